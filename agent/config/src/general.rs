//! The `teleport` section: what holds for every service of the process.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use domain::name::is_valid_hostname;

use crate::algorithm::{self, Algorithms};
use crate::flags::Flags;
use crate::join::{self, Advertise, JoinKeys};
use crate::limit::{self, Cache, Limits, Reconnect};
use crate::log::{self, LogSettings};
use crate::plugin::{self, Plugins};
use crate::section::Section;
use crate::settings::Version;
use crate::storage::{self, AuditSettings, Storage};

/// Where a process keeps its state unless it is told otherwise.
pub const DATA_DIR: &str = "/var/lib/teleport";

/// What the section says. `data_dir` is final already, because defaults of other keys lie below it.
pub(crate) struct General {
    pub(crate) nodename: String,
    pub(crate) data_dir: PathBuf,
    pub(crate) join: JoinKeys,
    pub(crate) advertise: Option<Advertise>,
    pub(crate) log: LogSettings,
    pub(crate) storage: Storage,
    pub(crate) audit: AuditSettings,
    pub(crate) limits: Limits,
    pub(crate) algorithms: Algorithms,
    pub(crate) cache: Cache,
    pub(crate) reconnect: Reconnect,
    pub(crate) diag_addr: Option<SocketAddr>,
    pub(crate) pid_file: Option<PathBuf>,
    pub(crate) shutdown_delay: Duration,
    pub(crate) plugins: Plugins,
}

/// Reads the section. Of the flags it takes only those that other keys depend on.
pub(crate) fn read(teleport: &mut Section<'_>, version: Version, flags: &Flags, hostname: &str) -> General {
    let data_dir = teleport.path("data_dir");
    let data_dir = flags.data_dir.clone().or(data_dir).unwrap_or_else(|| PathBuf::from(DATA_DIR));
    let (storage, audit) = teleport.within("storage", |section| storage::read(section, &data_dir));
    General {
        nodename: nodename(teleport, flags, hostname),
        join: join::read(teleport, version),
        advertise: advertise(teleport),
        log: teleport.within("log", log::read),
        storage,
        audit,
        limits: teleport.within("connection_limits", limit::read_limits),
        algorithms: algorithm::read(teleport),
        cache: teleport.within("cache", limit::read_cache),
        reconnect: teleport.within("auth_connection_config", limit::read_reconnect),
        diag_addr: teleport.field("diag_addr").and_then(|field| {
            let text = field.text()?;
            field.checked(crate::address::listen_with_port(text))
        }),
        pid_file: teleport.path("pid_file"),
        shutdown_delay: teleport.duration("shutdown_delay").unwrap_or_default(),
        plugins: teleport.within("plugins", plugin::read),
        data_dir,
    }
}

/// The flag, the file, the machine. A name that is not fit to be shown still starts: the cluster then
/// shows the host's UUID, so it can be reached and mended.
fn nodename(teleport: &mut Section<'_>, flags: &Flags, hostname: &str) -> String {
    let stated = teleport.text("nodename");
    let (position, key) = (teleport.key_at("nodename"), teleport.path_of("nodename"));
    let (position, key, name) = match (&flags.nodename, stated) {
        (Some(name), _) => (None, "--nodename", name.as_str()),
        (None, Some(name)) => (position, key.as_str(), name),
        (None, None) => (None, key.as_str(), hostname),
    };
    if name.trim().is_empty() {
        teleport.report().problem(position, key, "the host has no name; set one");
    } else if !is_valid_hostname(name) {
        let message = "is not a valid host name (letters, digits, dots, hyphens, at most 256); the cluster will show this host's UUID instead";
        teleport.report().warning(position, key, message);
    }
    name.to_owned()
}

fn advertise(teleport: &mut Section<'_>) -> Option<Advertise> {
    let field = teleport.field("advertise_ip")?;
    let advertise = field.checked(Advertise::parse(field.text()?))?;
    if advertise.is_local() {
        field.warning("is reachable from this machine only");
    }
    Some(advertise)
}
