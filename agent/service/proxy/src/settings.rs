//! What the operator decides about the SSH proxy.

use std::time::Duration;

use ssh::algorithm::Algorithms;

/// Settings of the SSH proxy, checked.
#[derive(Debug, Clone)]
pub struct Settings {
    /// This host, for events.
    pub host_id: String,
    /// Its name, for events.
    pub hostname: String,
    /// Algorithms an operator chose.
    pub algorithms: Algorithms,
    /// How often a silent client is asked whether it lives.
    pub keep_alive: Duration,
}
