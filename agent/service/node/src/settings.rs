//! What the operator decides about the SSH node.

use std::time::Duration;

use domain::label::{DynamicLabel, Labels};
use domain::name::HostId;
use ssh::algorithm::Algorithms;

/// Settings of the SSH node, checked.
#[derive(Debug, Clone)]
pub struct Settings {
    /// This host.
    pub host_id: HostId,
    /// Its name.
    pub hostname: String,
    /// `host:port` of a proxy's web port, for sessions to show; empty where none is known.
    pub web_proxy: String,
    /// `ip:port` where proxies reach it; empty when its tunnels are the only way.
    pub address: String,
    /// Whether it keeps tunnels.
    pub use_tunnel: bool,
    /// Labels that do not change.
    pub labels: Labels,
    /// Labels computed now and then.
    pub dynamic_labels: Vec<DynamicLabel>,
    /// Whether `~/.tsh/environment` is read.
    pub permit_user_env: bool,
    /// Whether ports and sockets may be forwarded at all.
    pub port_forwarding: bool,
    /// Whether scp and sftp may be used at all.
    pub file_copy: bool,
    /// Algorithms an operator chose.
    pub algorithms: Algorithms,
    /// How often a silent client is asked whether it lives.
    pub keep_alive: Duration,
    /// How often the node announces itself, before jitter.
    pub heartbeat: Duration,
    /// The program's version.
    pub version: String,
}
