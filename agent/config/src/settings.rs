//! The checked settings of one process, and how they come about from file, flags and environment.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use domain::identity::SystemRole;
use domain::secret::Secret;
use domain::token::StaticToken;

use crate::algorithm::Algorithms;
use crate::auth::{self, AuthSettings};
use crate::environment::{self, Environment, HttpProxy};
use crate::error::ConfigError;
use crate::flags::{self, Flags};
use crate::general::{self, General};
use crate::join::{Advertise, Join};
use crate::limit::{Cache, Limits, Reconnect};
use crate::log::LogSettings;
use crate::node::{self, NodeSettings};
use crate::plugin::Plugins;
use crate::proxy::{self, ProxySettings};
use crate::report::{Position, Report};
use crate::role::{self, Enabled};
use crate::secret_source::{CaPin, ReadFile};
use crate::section::Section;
use crate::storage::{AuditSettings, Storage};
use crate::{tree, unserved};

/// Everything a process needs to know before it opens anything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// What was read: a file, `TELEPORT_CONFIG` or `defaults`.
    pub source: String,
    /// The format of the file.
    pub version: Version,
    /// The name this host asks for.
    pub nodename: String,
    /// Where state is kept.
    pub data_dir: PathBuf,
    /// How to join; `None` when this process runs the auth service.
    pub join: Option<Join>,
    /// Where others reach this host, when it cannot tell by itself.
    pub advertise: Option<Advertise>,
    /// How to log.
    pub log: LogSettings,
    /// Where the cluster's records are kept.
    pub storage: Storage,
    /// Where events and recordings are kept.
    pub audit: AuditSettings,
    /// How much one client may use.
    pub limits: Limits,
    /// Which SSH algorithms are offered.
    pub algorithms: Algorithms,
    /// The local copy of what the cluster knows.
    pub cache: Cache,
    /// How attempts to reach the cluster are paced.
    pub reconnect: Reconnect,
    /// Where health and metrics are served; nowhere when absent.
    pub diag_addr: Option<SocketAddr>,
    /// Where the process number is written; nowhere when absent.
    pub pid_file: Option<PathBuf>,
    /// How long to go on serving after the order to stop, so that load balancers notice.
    pub shutdown_delay: Duration,
    /// Whether any certificate of a proxy is taken.
    pub insecure: bool,
    /// Whether the web port speaks plain HTTP.
    pub insecure_no_tls: bool,
    /// The way out of the site.
    pub http_proxy: HttpProxy,
    /// Plugins from disk.
    pub plugins: Plugins,
    /// The auth service, when it runs.
    pub auth: Option<AuthSettings>,
    /// The node service, when it runs.
    pub node: Option<NodeSettings>,
    /// The proxy service, when it runs.
    pub proxy: Option<ProxySettings>,
    /// What the operator should know, one line each; for the log.
    pub warnings: Vec<String>,
}

/// The format of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// One port per protocol. What a file without a version is.
    V1,
    /// Everything on the web port; other ports are opened only when they are set.
    V2,
    /// The same, and one server is named to join instead of a list.
    V3,
}

impl Version {
    /// Whether ports beside the web port are shut unless they are set.
    pub fn multiplexes(self) -> bool {
        self > Self::V1
    }
}

const VERSIONS: &[(&str, Version)] = &[("v1", Version::V1), ("v2", Version::V2), ("v3", Version::V3)];

/// What settings name but do not hold until somebody reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Secrets {
    /// The join token; `None` when none is needed or none was given.
    pub join_token: Option<Secret>,
    /// Pins of the cluster's authority.
    pub ca_pins: Vec<CaPin>,
    /// Join tokens that never expire.
    pub static_tokens: Vec<StaticToken>,
}

impl Settings {
    /// The roles this process plays, in the order they are started.
    pub fn roles(&self) -> Vec<SystemRole> {
        let runs = [
            (SystemRole::Auth, self.auth.is_some()),
            (SystemRole::Proxy, self.proxy.is_some()),
            (SystemRole::Node, self.node.is_some()),
        ];
        runs.into_iter().filter(|(_, runs)| *runs).map(|(role, _)| role).collect()
    }

    /// Reads the files that hold secrets and pins. A host that has `joined` needs neither token nor
    /// pin any more, so their files may be gone by then.
    ///
    /// # Errors
    /// [`ConfigError::SecretFile`] or [`ConfigError::SecretContent`] about the first file at fault.
    pub fn resolve_secrets(&self, joined: bool, read: ReadFile<'_>) -> Result<Secrets, ConfigError> {
        let join = self.join.as_ref().filter(|_| !joined);
        let token = join.and_then(|join| join.token.as_ref()).map(|token| token.read(read)).transpose()?;
        let mut ca_pins = Vec::new();
        for source in join.into_iter().flat_map(|join| &join.ca_pins) {
            ca_pins.extend(source.read(read)?);
        }
        let tokens = self.auth.iter().flat_map(|auth| &auth.tokens).map(|token| token.read(read));
        Ok(Secrets { join_token: token, ca_pins, static_tokens: tokens.collect::<Result<_, _>>()? })
    }
}

/// What the file says, while flags are put over it.
pub(crate) struct Draft {
    pub(crate) version: Version,
    pub(crate) version_at: Option<Position>,
    pub(crate) general: General,
    pub(crate) auth: Service<AuthSettings>,
    pub(crate) node: Service<NodeSettings>,
    pub(crate) proxy: Service<ProxySettings>,
}

/// A service's settings, whether it runs or not: they are checked in any case.
pub(crate) struct Service<T> {
    pub(crate) enabled: Enabled,
    pub(crate) settings: T,
}

/// Everything that makes settings, beside the text of the file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Inputs<'a> {
    pub(crate) flags: &'a Flags,
    pub(crate) environment: &'a Environment,
    pub(crate) hostname: &'a str,
}

/// Text to settings. Nothing is opened, nothing is looked up.
pub(crate) fn read(text: &str, file: &str, inputs: Inputs<'_>) -> Result<Settings, ConfigError> {
    let report = Report::new(file);
    let Some(node) = tree::parse(text, &report) else {
        return Err(report.close().err().map_or(ConfigError::ConfigString, ConfigError::Invalid));
    };
    let mut draft = draft(Section::root(&node, &report), inputs);
    flags::apply(inputs.flags, &mut draft, &report);
    let http_proxy = environment::http_proxy(inputs.environment, &report);
    let roles = role::decide(inputs.flags, &draft, &report);
    let join = role::join(roles, &mut draft, &report);
    let Draft { version, general, auth, node, proxy, .. } = draft;
    Ok(Settings {
        warnings: report.close()?,
        source: file.to_owned(),
        version,
        nodename: general.nodename,
        data_dir: general.data_dir,
        join,
        advertise: general.advertise,
        log: general.log,
        storage: general.storage,
        audit: general.audit,
        limits: general.limits,
        algorithms: general.algorithms,
        cache: general.cache,
        reconnect: general.reconnect,
        diag_addr: general.diag_addr,
        pid_file: general.pid_file,
        shutdown_delay: general.shutdown_delay,
        insecure: inputs.flags.insecure,
        insecure_no_tls: inputs.flags.insecure_no_tls,
        http_proxy,
        plugins: general.plugins,
        auth: roles.auth.then_some(auth.settings),
        node: roles.node.then_some(node.settings),
        proxy: roles.proxy.then_some(proxy.settings),
    })
}

fn draft(mut root: Section<'_>, inputs: Inputs<'_>) -> Draft {
    // A version nobody knows is refused; reading on as the newest one adds the fewest errors of its own.
    let version = root.field("version").map(|field| field.choice(VERSIONS).unwrap_or(Version::V3));
    let version = version.unwrap_or(Version::V1);
    let general =
        root.within("teleport", |teleport| general::read(teleport, version, inputs.flags, inputs.hostname));
    let draft = Draft {
        version,
        version_at: root.key_at("version"),
        general,
        auth: service(&mut root, "auth_service", |auth| auth::read(auth, version)),
        node: service(&mut root, "ssh_service", node::read),
        proxy: service(&mut root, "proxy_service", |proxy| proxy::read(proxy, version)),
    };
    unserved::services(&mut root);
    root.finish();
    draft
}

fn service<'a, T>(
    root: &mut Section<'a>,
    key: &'static str,
    read: impl FnOnce(&mut Section<'a>) -> T,
) -> Service<T> {
    let present = root.key_at(key).is_some();
    root.within(key, |section| Service { enabled: Enabled::read(present, section), settings: read(section) })
}
