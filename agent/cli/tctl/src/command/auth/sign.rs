//! `tctl auth sign`: keys made here, certificates made by the auth server, files that hold both.

use std::path::PathBuf;
use std::time::Duration;

use api::auth::{SignHostRequest, SignUserRequest, StatusResponse};
use certs::bundle::HostKeys;
use clap::{Args, ValueEnum};
use domain::authority::{AuthoritySpec, AuthorityType};
use domain::printable::escape;
use ssh_key::Certificate;
use terminal::{Explain, Failure};

use super::export::{authority_lines, proxy_hosts};
use crate::command::users;
use crate::context::{Context, Session};
use crate::credential::{Credential, Target};
use crate::shell::quoted;

/// Arguments of `tctl auth sign`.
#[derive(Debug, Args)]
#[command(after_help = FORMATS)]
pub(crate) struct Arguments {
    #[command(flatten)]
    subject: Subject,
    /// Which files to write
    #[arg(long, value_enum, default_value_t = Format::Openssh)]
    format: Format,
    /// How long the certificates are good for; the roles of a user may allow less
    #[arg(long, default_value = "12h", value_parser = ttl)]
    ttl: Duration,
    /// The file of the private key, or the identity file [default: the name of the user or first host]
    #[arg(short, long, value_name = "PATH")]
    out: Option<PathBuf>,
    /// Replace files that are there
    #[arg(long)]
    overwrite: bool,
    /// Addresses the certificate may be used from: CIDR ranges separated by commas; users only
    #[arg(long, value_name = "CIDR,CIDR", conflicts_with = "host")]
    source_address: Option<String>,
}

/// Whom the certificates stand for.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct Subject {
    /// Certificates for a user of the cluster, with the logins the roles allow
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// A certificate for a host under these names, separated by commas
    #[arg(long, value_name = "NAME,NAME", value_delimiter = ',')]
    host: Vec<String>,
}

/// Which files to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// PATH, PATH.pub and PATH-cert.pub, for ssh and sshd
    Openssh,
    /// One identity file
    File,
}

/// What the help says about the formats.
const FORMATS: &str = "\
An identity file holds, in this order:
  the SSH private key and the SSH certificate (one line),
  the X.509 private key and the X.509 certificate,
  the host authority as a line for known_hosts and as an X.509 certificate.

Examples:
  tctl auth sign --user=joe --ttl=8h --out=joe && ssh-add joe
  tctl auth sign --host=db.example.com,10.0.0.7 --ttl=90d --out=/etc/ssh/teleport_host_key";

fn ttl(text: &str) -> Result<Duration, String> {
    let ttl = domain::duration::parse(text).map_err(|error| error.to_string())?;
    if ttl < Duration::from_secs(60) { Err("a certificate lives at least 1m".to_owned()) } else { Ok(ttl) }
}

/// What the auth server made.
struct Signed {
    ssh: String,
    tls: Vec<u8>,
    authorities: Vec<AuthoritySpec>,
}

/// Makes the keys, has them certified and writes the files.
pub(super) async fn run(arguments: Arguments, context: &mut Context<'_>) -> Result<(), Failure> {
    let target = arguments.target()?;
    // Before the auth server is asked: a certificate that is thrown away would still be on record.
    target.check_free(arguments.overwrite)?;
    let session = context.connect().await?;
    let mut keys = HostKeys::generate(context.random())?;
    let signed = arguments.sign(&session, &keys).await?;
    keys.ssh.set_comment(arguments.comment());
    let certificate =
        Certificate::from_openssh(&signed.ssh).while_doing("the auth server's answer cannot be used")?;
    arguments.note_shortened(context, &certificate);
    let proxies = proxy_hosts(&session.status);
    let credential = Credential {
        keys,
        ssh_certificate: signed.ssh,
        tls_certificate: signed.tls,
        known_hosts: authority_lines(&signed.authorities, AuthorityType::Host, &proxies),
        tls_authorities: tls_authorities(&signed.authorities),
    };
    let files = target.write(&credential)?;
    let names: Vec<_> = files.iter().map(|file| file.display().to_string()).collect();
    let until =
        domain::Timestamp::from_second(i64::try_from(certificate.valid_before()).unwrap_or(i64::MAX))?;
    context.printer.line(format_args!("Written: {}", escape(&names.join(", "))))?;
    context.printer.line(format_args!("Valid until {}", terminal::expiry(Some(until), context.now())))?;
    let advice = arguments.advice(&target, &certificate, &session.status, &proxies);
    Ok(context.printer.line(advice)?)
}

impl Arguments {
    /// The files that will be written.
    fn target(&self) -> Result<Target, Failure> {
        let path = match &self.out {
            Some(path) => path.clone(),
            None => self.default_path()?,
        };
        Ok(match self.format {
            Format::Openssh => Target::Openssh(path),
            Format::File => Target::Identity(path),
        })
    }

    /// A file in this folder, named after whom it stands for.
    fn default_path(&self) -> Result<PathBuf, Failure> {
        let name = self.subject.user.as_deref().or(self.subject.host.first().map(String::as_str));
        let name = name.unwrap_or_default();
        if name.is_empty() || name.starts_with(['.', '-']) || name.contains('/') {
            return Err(Failure::usage(format!("{name:?} cannot name a file; name one with --out")));
        }
        Ok(PathBuf::from(name))
    }

    fn comment(&self) -> String {
        match &self.subject.user {
            Some(user) => format!("teleport:{}", escape(user)),
            None => format!("teleport:{}", escape(&self.subject.host.join(","))),
        }
    }

    async fn sign(&self, session: &Session, keys: &HostKeys) -> Result<Signed, Failure> {
        let ssh_public_key = keys.ssh_public()?;
        let tls_public_key = keys.tls.public_der();
        let ttl_seconds = self.ttl.as_secs();
        if let Some(user) = self.subject.user.clone() {
            let source_address = self.source_address.clone().unwrap_or_default();
            let request =
                SignUserRequest { user, ttl_seconds, ssh_public_key, tls_public_key, source_address };
            let made = session.client.sign_user(request).await.map_err(users::refused)?;
            return Ok(Signed { ssh: made.ssh, tls: made.tls, authorities: made.authorities });
        }
        // A certificate that is not written down would still be one of a node.
        let tls_public_key = if self.format == Format::Openssh { Vec::new() } else { tls_public_key };
        let hosts = self.subject.host.iter().map(|host| host.trim().to_owned()).collect();
        let request = SignHostRequest { hosts, ttl_seconds, ssh_public_key, tls_public_key };
        let made = session.client.sign_host(request).await?;
        Ok(Signed { ssh: made.ssh, tls: made.tls, authorities: made.authorities })
    }

    /// Says so when the roles of a user allow less than was asked for.
    fn note_shortened(&self, context: &mut Context<'_>, certificate: &Certificate) {
        let life = certificate.valid_before().saturating_sub(certificate.valid_after());
        if life < self.ttl.as_secs() {
            context.note("note: the roles of the user allow a shorter life than --ttl asks for");
        }
    }

    /// How to use what was written.
    fn advice(
        &self,
        target: &Target,
        certificate: &Certificate,
        status: &StatusResponse,
        proxies: &[String],
    ) -> String {
        // sshd does not look for a file in the folder somebody happened to be in.
        let path = std::path::absolute(target.path()).unwrap_or_else(|_| target.path().to_owned());
        let path = path.display();
        if self.format == Format::File {
            return "It holds private keys: keep it as safe as a password.".to_owned();
        }
        if self.subject.user.is_none() {
            return format!(
                "Add to /etc/ssh/sshd_config and restart sshd:\n  HostKey {path}\n  HostCertificate {path}-cert.pub\nFor users of the cluster, see: tctl auth export --help"
            );
        }
        let login = certificate.valid_principals().first().map_or("LOGIN", String::as_str);
        // An auth server of an older version tells the host alone.
        let host = || format!("{}:3023", proxies.first().map_or("<proxyhost>", String::as_str));
        let proxy = status.proxy_ssh_addresses.first().cloned().unwrap_or_else(host);
        let [login, cluster, proxy] = [login, &status.cluster_name, &proxy].map(escape);
        format!(
            "Use it with OpenSSH (once, for the host keys: tctl auth export --type=host >> ~/.ssh/known_hosts):\n  ssh-add {}\n  ssh -J {login}@{proxy} {login}@NODE.{cluster}",
            quoted(&path.to_string())
        )
    }
}

fn tls_authorities(authorities: &[AuthoritySpec]) -> Vec<String> {
    let hosts = authorities.iter().filter(|authority| authority.r#type == AuthorityType::Host);
    hosts.flat_map(|authority| &authority.active_keys).map(|keys| keys.tls.clone()).collect()
}
