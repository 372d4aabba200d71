//! What the proxy counts.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// Counters of the SSH proxy.
#[derive(Debug, Clone, Default)]
pub struct Metrics {
    pub(crate) connections: Gauge,
    pub(crate) streams: Gauge,
    pub(crate) refused_dials: Counter,
}

impl Metrics {
    /// Adds the counters to a registry.
    pub fn register(&self, registry: &mut Registry) {
        registry.register("connections", "SSH connections of users", self.connections.clone());
        registry.register("streams", "Connections to nodes that are open", self.streams.clone());
        registry.register(
            "refused_dials",
            "Connections to nodes that were not made",
            self.refused_dials.clone(),
        );
    }
}
