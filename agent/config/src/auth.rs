//! `auth_service`: the cluster's authority, as one host runs it.

use std::net::SocketAddr;
use std::time::Duration;

use domain::name::ClusterName;

use crate::address::{self, HostPort};
use crate::section::Section;
use crate::settings::Version;
use crate::unserved;

mod authentication;
mod token;

pub use authentication::{Authentication, Connector, SecondFactor, U2f};
pub use token::StaticTokenSource;

/// The port of the auth service.
pub(crate) const PORT: u16 = 3025;

/// What the auth service does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthSettings {
    /// Where agents reach it.
    pub listen: SocketAddr,
    /// Names of this host that go into its certificate.
    pub public_addrs: Vec<HostPort>,
    /// The cluster's name; chosen at random on the first start when absent, and fixed from then on.
    pub cluster_name: Option<ClusterName>,
    /// Join tokens that never expire.
    pub tokens: Vec<StaticTokenSource>,
    /// How users prove who they are.
    pub authentication: Authentication,
    /// Who records sessions.
    pub session_recording: SessionRecording,
    /// Whether a recording proxy refuses hosts without a certificate of the cluster.
    pub proxy_checks_host_keys: bool,
    /// How often a server asks whether its peer is still there.
    pub keep_alive_interval: Duration,
    /// After how many unanswered questions the peer counts as gone.
    pub keep_alive_count_max: u32,
    /// How long a proxy tries to reach a node.
    pub ssh_dial_timeout: Duration,
    /// What several nodes of one name mean.
    pub routing: Routing,
    /// Whether host names are compared without regard to letter case.
    pub case_insensitive_routing: bool,
    /// Shown before a user signs in.
    pub message_of_the_day: String,
    /// How proxies share their ports.
    pub listener_mode: ListenerMode,
    /// How agents reach proxies.
    pub tunnel_strategy: TunnelStrategy,
}

/// Who records sessions. The `sync` forms end a session that cannot be recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionRecording {
    /// The node, sent afterwards.
    Node,
    /// The node, sent while it happens.
    NodeSync,
    /// The proxy, sent afterwards.
    Proxy,
    /// The proxy, sent while it happens.
    ProxySync,
    /// Nobody.
    Off,
}

/// What several nodes of one name mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Routing {
    /// An error that lists them.
    UnambiguousMatch,
    /// The one heard of last.
    MostRecent,
}

/// How proxies share their ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListenerMode {
    /// One port per protocol.
    Separate,
    /// Everything on the web port.
    Multiplex,
}

/// How agents reach proxies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TunnelStrategy {
    /// Every agent keeps a tunnel to every proxy.
    AgentMesh,
    /// Every agent keeps tunnels to some proxies, which pass connections on.
    ProxyPeering {
        /// To how many.
        agent_connection_count: u32,
    },
}

const RECORDINGS: &[(&str, SessionRecording)] = &[
    ("node", SessionRecording::Node),
    ("node-sync", SessionRecording::NodeSync),
    ("proxy", SessionRecording::Proxy),
    ("proxy-sync", SessionRecording::ProxySync),
    ("off", SessionRecording::Off),
];

const ROUTINGS: &[(&str, Routing)] =
    &[("unambiguous_match", Routing::UnambiguousMatch), ("most_recent", Routing::MostRecent)];

/// What the cluster does instead of what these keys say.
const WITHOUT_EFFECT: &[(&str, &str)] = &[
    ("session_recording", "sessions are not recorded; the audit log has their start, end and commands"),
    ("proxy_checks_host_keys", "the proxy does not open connections, it passes them on as they are"),
    ("keep_alive_count_max", "a peer that does not answer 3 times is gone"),
    ("ssh_dial_timeout", "a proxy tries for 30s to reach a node"),
    ("routing_strategy", "a name of several nodes is an error that lists them"),
    ("case_insensitive_routing", "names are compared as they are"),
    ("message_of_the_day", "nothing is shown before sign-in"),
    ("proxy_listener_mode", "the proxy opens the ports its own section sets"),
    ("tunnel_strategy", "every agent keeps a link to every proxy it is configured with"),
];

/// Reads `auth_service`.
pub(crate) fn read(auth: &mut Section<'_>, version: Version) -> AuthSettings {
    let listen = address::everywhere(PORT);
    let license = auth.field("license_file");
    if let Some(license) = license.filter(|field| field.text().is_some()) {
        license.warning("is ignored: this product needs no licence; remove the key");
    }
    refuse_stricter(auth);
    unserved::without_effect(auth, WITHOUT_EFFECT);
    let cluster_name = auth.field("cluster_name");
    AuthSettings {
        listen: auth.listen("listen_addr", listen).unwrap_or(listen),
        public_addrs: address::public(auth, "public_addr", PORT),
        cluster_name: cluster_name.and_then(|field| field.checked(ClusterName::new(field.text()?))),
        tokens: auth.field("tokens").map(|field| token::read(&field)).unwrap_or_default(),
        authentication: auth.within("authentication", authentication::read),
        session_recording: choice(auth, "session_recording", RECORDINGS, SessionRecording::Node),
        proxy_checks_host_keys: auth.flag("proxy_checks_host_keys").unwrap_or(true),
        keep_alive_interval: keep_alive(auth),
        keep_alive_count_max: auth.count("keep_alive_count_max").unwrap_or(3),
        ssh_dial_timeout: auth.duration("ssh_dial_timeout").unwrap_or(Duration::from_secs(30)),
        routing: choice(auth, "routing_strategy", ROUTINGS, Routing::UnambiguousMatch),
        case_insensitive_routing: auth.flag("case_insensitive_routing").unwrap_or(false),
        message_of_the_day: auth
            .field("message_of_the_day")
            .and_then(|field| field.any_text())
            .unwrap_or_default()
            .to_owned(),
        listener_mode: listener_mode(auth, version),
        tunnel_strategy: auth.within("tunnel_strategy", tunnel_strategy),
    }
}

/// What would end connections that this version lets be.
fn refuse_stricter(auth: &mut Section<'_>) {
    let idle = auth.field("client_idle_timeout").filter(|field| !field.is_off());
    let idle = idle.filter(|field| field.duration().is_some());
    let expired = auth.field("disconnect_expired_cert").filter(|field| field.flag() == Some(true));
    idle.iter().chain(&expired).for_each(unserved::not_enforced);
}

fn choice<T: Copy>(
    section: &mut Section<'_>,
    key: &'static str,
    table: &[(&'static str, T)],
    default: T,
) -> T {
    section.field(key).and_then(|field| field.choice(table)).unwrap_or(default)
}

fn keep_alive(auth: &mut Section<'_>) -> Duration {
    let default = Duration::from_secs(300);
    let Some(field) = auth.field("keep_alive_interval") else { return default };
    let interval = field.duration().unwrap_or(default);
    field.warning("holds for the services of this process alone; other hosts ask every 5m");
    if interval < Duration::from_secs(1) {
        field.problem("must be at least 1s");
    }
    interval
}

fn listener_mode(auth: &mut Section<'_>, version: Version) -> ListenerMode {
    let modes = [("separate", ListenerMode::Separate), ("multiplex", ListenerMode::Multiplex)];
    let default = if version.multiplexes() { ListenerMode::Multiplex } else { ListenerMode::Separate };
    choice(auth, "proxy_listener_mode", &modes, default)
}

fn tunnel_strategy(strategy: &mut Section<'_>) -> TunnelStrategy {
    let peering = choice(strategy, "type", &[("agent_mesh", false), ("proxy_peering", true)], false);
    let count = strategy.count("agent_connection_count");
    match (peering, count) {
        (true, count) => TunnelStrategy::ProxyPeering { agent_connection_count: count.unwrap_or(1) },
        (false, None) => TunnelStrategy::AgentMesh,
        (false, Some(_)) => {
            strategy.problem("agent_connection_count", "belongs to `type: proxy_peering`");
            TunnelStrategy::AgentMesh
        }
    }
}
