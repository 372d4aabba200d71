//! What the node counts.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// Counters of the SSH node.
#[derive(Debug, Clone, Default)]
pub struct Metrics {
    pub(crate) connections: Gauge,
    pub(crate) sessions: Gauge,
    pub(crate) started: Counter,
    pub(crate) failed_heartbeats: Counter,
    pub(crate) failed_labels: Counter,
}

impl Metrics {
    /// Adds the counters to a registry.
    pub fn register(&self, registry: &mut Registry) {
        registry.register("connections", "SSH connections of users", self.connections.clone());
        registry.register("sessions", "Sessions that run", self.sessions.clone());
        registry.register("sessions_started", "Sessions that were started", self.started.clone());
        registry.register(
            "failed_heartbeats",
            "Heartbeats that did not arrive",
            self.failed_heartbeats.clone(),
        );
        registry.register("failed_labels", "Runs of label commands that failed", self.failed_labels.clone());
    }
}
