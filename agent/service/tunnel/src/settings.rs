//! What the operator decides about tunnels.

use std::time::Duration;

use ssh::algorithm::Algorithms;

/// How often a silent link is asked whether it lives. Three misses end it.
const KEEP_ALIVE: Duration = Duration::from_secs(30);

/// Both ends.
#[derive(Debug, Clone)]
pub struct LinkSettings {
    /// Algorithms an operator chose.
    pub algorithms: Algorithms,
    /// How often a silent link is asked whether it lives.
    pub keep_alive: Duration,
}

impl Default for LinkSettings {
    fn default() -> Self {
        Self { algorithms: Algorithms::default(), keep_alive: KEEP_ALIVE }
    }
}

/// The agent's end.
#[derive(Debug, Clone)]
pub struct AgentSettings {
    /// `host:port` of the proxies' web ports. One link is kept to each proxy, however many of these lead to it.
    pub proxies: Vec<String>,
    /// What both ends share.
    pub link: LinkSettings,
    /// The longest wait between two tries to connect.
    pub retry_max: Duration,
}
