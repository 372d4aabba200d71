//! Where the auth server of this host is, and who `tctl` is to it.
//!
//! The auth server leaves two files in `<data_dir>/identity`: `admin.json`, the identity of `tctl`
//! with its private keys, readable by its own user alone, and `auth.addr`, one line with the address
//! it listens on. Whoever can read them may administer the cluster; nobody else can.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use certs::CertError;
use certs::bundle::Bundle;
use clap::Args;
use config::{Environment, Flags, HostPort, Settings};
use domain::Timestamp;
use domain::secret::Secret;
use terminal::{Explain, Failure};

/// The port of an auth server, where `--auth-server` names none.
const AUTH_PORT: u16 = 3025;

/// The options that say which auth server is meant.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Options of every command")]
pub(crate) struct Place {
    /// The configuration file of the daemon of this host [default: /etc/teleport.yaml if there is one]
    #[arg(short, long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where the auth server keeps its state [default: what the configuration says]
    #[arg(long, global = true, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Where the auth server listens [default: what it wrote down when it started]
    #[arg(long, global = true, value_name = "HOST:PORT", value_parser = address)]
    auth_server: Option<HostPort>,
    /// Say on standard error which files and addresses are used
    #[arg(short, long, global = true)]
    pub(crate) debug: bool,
}

fn address(text: &str) -> Result<HostPort, config::AddressError> {
    HostPort::parse(text, AUTH_PORT)
}

/// The way to the auth server.
#[derive(Debug)]
pub(crate) struct Entrance {
    /// Who `tctl` is.
    pub(crate) bundle: Bundle,
    /// The file that says so.
    pub(crate) identity_file: PathBuf,
    /// `host:port` of the auth server.
    pub(crate) address: String,
    /// Where the address comes from, for people.
    pub(crate) address_from: String,
}

/// Why there is no way to the auth server.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PlaceError {
    /// The file is not there.
    #[error("there is no admin identity at {}", .0.display())]
    NoIdentity(PathBuf),
    /// The file may not or cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file holds something else.
    #[error("the admin identity {} is damaged", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: CertError,
    },
    /// Its certificates have run out.
    #[error("the admin identity {} has expired", .0.display())]
    Expired(PathBuf),
    /// The file with the address holds none.
    #[error("{} holds no address: {reason}", path.display())]
    Address {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: config::AddressError,
    },
}

impl Place {
    /// Whether the configuration is known of the daemon whose folder this is: not where the folder alone was named.
    pub(crate) fn knows_configuration(&self) -> bool {
        self.config.is_some() || self.data_dir.is_none()
    }

    /// The configuration of the auth server, or the defaults when there is none.
    ///
    /// # Errors
    /// A failure that lists what is wrong with it.
    pub(crate) fn settings(&self) -> Result<Settings, Failure> {
        let flags =
            Flags { config: self.config.clone(), data_dir: self.data_dir.clone(), ..Flags::default() };
        // The name of this host plays no part here, but settings have one.
        config::load(&flags, &Environment::from_process(), "localhost", &config::read_file)
            .while_doing("cannot tell where the auth server keeps its state")
            .hint(match self.config {
                Some(_) => "name another with --config FILE, or its folder with --data-dir DIR",
                None => "name its configuration with --config FILE",
            })
    }

    /// Finds the auth server and the identity it made for this tool.
    ///
    /// # Errors
    /// A failure that says which path was looked at and where to run this instead.
    pub(crate) fn entrance(&self, settings: &Settings, now: Timestamp) -> Result<Entrance, Failure> {
        let folder = settings.data_dir.join("identity");
        let identity_file = folder.join("admin.json");
        let bundle = read_identity(&identity_file, now).map_err(|error| self.advise(error, settings))?;
        let (address, address_from) = match &self.auth_server {
            Some(address) => (address.to_string(), "--auth-server".to_owned()),
            None => written_address(&folder.join("auth.addr"), settings)?,
        };
        Ok(Entrance { bundle, identity_file, address, address_from })
    }

    fn advise(&self, error: PlaceError, settings: &Settings) -> Failure {
        let denied = matches!(&error, PlaceError::Read { source, .. }
            if source.kind() == io::ErrorKind::PermissionDenied);
        let old = matches!(error, PlaceError::Expired(_) | PlaceError::Damaged { .. });
        let failure = Failure::from(error);
        if denied {
            return failure.hint("run tctl as the user that runs teleport, for example with sudo");
        }
        if old {
            return failure.hint("the auth server makes a new one whenever it starts; restart teleport");
        }
        let mut failure = failure.hint(
            "run tctl on the auth server's host, as the user that runs teleport; the auth server writes this file when it starts",
        );
        if settings.auth.is_none() {
            failure = failure.hint(format!("{} runs no auth service on this host", settings.source));
        }
        let looked = format!("data_dir is {} by {}", settings.data_dir.display(), self.source(settings));
        failure.hint(format!("{looked}; name another with --data-dir DIR or --config FILE"))
    }

    fn source(&self, settings: &Settings) -> String {
        if self.data_dir.is_some() { "--data-dir".to_owned() } else { settings.source.clone() }
    }
}

fn read_identity(path: &Path, now: Timestamp) -> Result<Bundle, PlaceError> {
    let content = match config::read_file(path) {
        Ok(content) => Secret::from(content),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(PlaceError::NoIdentity(path.to_owned()));
        }
        Err(source) => return Err(PlaceError::Read { path: path.to_owned(), source }),
    };
    let bundle = Bundle::from_secret(&content)
        .map_err(|source| PlaceError::Damaged { path: path.to_owned(), source })?;
    if bundle.is_expired(now) { Err(PlaceError::Expired(path.to_owned())) } else { Ok(bundle) }
}

/// The address the auth server wrote down; without that file, the one it is configured to listen on.
fn written_address(path: &Path, settings: &Settings) -> Result<(String, String), PlaceError> {
    let from = path.display().to_string();
    match config::read_file(path) {
        Ok(text) => match address(&text) {
            Ok(address) => Ok((address.to_string(), from)),
            Err(reason) => Err(PlaceError::Address { path: path.to_owned(), reason }),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let listen = settings.auth.as_ref().map_or_else(default_listen, |auth| auth.listen);
            Ok((local(listen).to_string(), settings.source.clone()))
        }
        Err(source) => Err(PlaceError::Read { path: path.to_owned(), source }),
    }
}

fn default_listen() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], AUTH_PORT))
}

/// How this host reaches what listens on an address: `0.0.0.0` is everywhere, also here.
fn local(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        ip if !ip.is_unspecified() => ip,
        std::net::IpAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
        std::net::IpAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
    };
    SocketAddr::new(ip, listen.port())
}

#[cfg(test)]
mod tests;
