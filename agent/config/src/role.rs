//! Which services run, and whether the host joins a cluster or is one.
//!
//! `--roles` settles it. Without it a section's `enabled` does, which is `yes` by default, for absent
//! sections too: a host without any configuration is a cluster of its own. Two exceptions keep short
//! files of agents short: from v3 on, a file that names a server to join and has no `auth_service`
//! section runs no auth service, and one that names a proxy and has no `proxy_service` section runs no
//! proxy. `--auth-server` turns the local auth service off in any case.

use domain::identity::SystemRole;

use crate::address::HostPort;
use crate::auth;
use crate::flags::Flags;
use crate::join::{Join, ServerKind};
use crate::report::{Position, Report};
use crate::section::Section;
use crate::settings::{Draft, Version};
use crate::shown::{not_one_of, shown};

/// Which services run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Roles {
    pub(crate) auth: bool,
    pub(crate) node: bool,
    pub(crate) proxy: bool,
}

/// What the file says about running a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Enabled {
    /// There is no such section.
    Absent,
    /// There is one, and it does not say.
    Default,
    /// `enabled: yes`.
    On,
    /// `enabled: no`.
    Off,
}

impl Enabled {
    /// Reads `enabled` of a service's section.
    pub(crate) fn read(present: bool, service: &mut Section<'_>) -> Self {
        match service.flag("enabled") {
            Some(true) => Self::On,
            Some(false) => Self::Off,
            None if present => Self::Default,
            None => Self::Absent,
        }
    }

    fn runs(self, when_absent: bool) -> bool {
        match self {
            Self::Absent => when_absent,
            Self::Default | Self::On => true,
            Self::Off => false,
        }
    }
}

/// Decides which services run.
pub(crate) fn decide(flags: &Flags, draft: &Draft, report: &Report) -> Roles {
    let named = draft.general.join.servers.as_ref();
    let v3 = draft.version == Version::V3;
    let through_proxy = v3 && named.is_some_and(|servers| servers.kind == ServerKind::Proxy);
    let mut roles = match &flags.roles {
        Some(text) => from_flag(text, report),
        None => Roles {
            auth: draft.auth.enabled.runs(!(v3 && named.is_some())),
            node: draft.node.enabled.runs(true),
            proxy: draft.proxy.enabled.runs(!through_proxy),
        },
    };
    if roles.auth && !flags.auth_server.is_empty() {
        roles.auth = false;
        if flags.roles.is_some() || draft.auth.enabled == Enabled::On {
            let message = "names another auth server, so the local auth service is not started";
            report.warning(None, "--auth-server", message);
        }
    }
    if let Some(servers) = named.filter(|_| through_proxy && roles.proxy) {
        let message = "a proxy does not join through a proxy; name an auth_server, or turn proxy_service off";
        report.problem(servers.at, "teleport.proxy_server", message);
    }
    if !(roles.auth || roles.node || roles.proxy) && flags.roles.is_none() {
        let top = Some(Position { line: 1, column: 1 });
        report.problem(top, "", "every service is turned off, nothing would run; enable one or give --roles");
    }
    roles
}

pub(crate) fn from_flag(text: &str, report: &Report) -> Roles {
    let mut roles = Roles { auth: false, node: false, proxy: false };
    let names: Vec<_> = text.split(',').map(str::trim).filter(|name| !name.is_empty()).collect();
    if names.is_empty() {
        report.problem(None, "--roles", "is empty; choose from auth, node, proxy");
    }
    for name in names {
        match SystemRole::parse_joinable(name) {
            Ok(SystemRole::Auth) => roles.auth = true,
            Ok(SystemRole::Node) => roles.node = true,
            Ok(SystemRole::Proxy) => roles.proxy = true,
            Ok(SystemRole::App | SystemRole::Discovery) => {
                let message =
                    format!("{} is not served by this version; choose from auth, node, proxy", shown(name));
                report.problem(None, "--roles", message);
            }
            _ => report.problem(None, "--roles", not_one_of(name, &["auth", "node", "proxy"])),
        }
    }
    roles
}

/// How the host joins; `None` when it runs the auth service itself.
pub(crate) fn join(roles: Roles, draft: &mut Draft, report: &Report) -> Option<Join> {
    let keys = std::mem::take(&mut draft.general.join);
    if roles.auth {
        if let Some(servers) = keys.servers {
            let message = "is not used, because the auth service runs in this process; to join another one, set `auth_service: {enabled: no}`";
            report.warning(servers.at, &format!("teleport.{}", servers.key), message);
        }
        return None;
    }
    let (servers, kind) = match keys.servers {
        Some(servers) => (servers.addresses, servers.kind),
        None if draft.version == Version::V3 => {
            let message = "is missing: without an auth service of its own this host has no cluster to join; add proxy_server or auth_server";
            report.problem(draft.version_at, "teleport.proxy_server", message);
            (Vec::new(), ServerKind::Proxy)
        }
        None => (vec![HostPort { host: "127.0.0.1".to_owned(), port: auth::PORT }], ServerKind::Auth),
    };
    Some(Join { token: keys.token, servers, kind, ca_pins: keys.ca_pins })
}
