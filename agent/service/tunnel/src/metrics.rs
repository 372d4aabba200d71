//! What tunnels count.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// Counters of both ends; each has its own.
#[derive(Debug, Clone, Default)]
pub struct Metrics {
    pub(crate) links: Gauge,
    pub(crate) dials: Counter,
    pub(crate) failed_dials: Counter,
    pub(crate) reconnects: Counter,
}

impl Metrics {
    /// Adds what a proxy counts to a registry.
    pub fn register_proxy(&self, registry: &mut Registry) {
        registry.register("links", "Links of agents that are up", self.links.clone());
        registry.register("dials", "Connections to nodes asked for", self.dials.clone());
        registry.register(
            "failed_dials",
            "Connections to nodes that could not be made",
            self.failed_dials.clone(),
        );
    }

    /// Adds what an agent counts.
    pub fn register_agent(&self, registry: &mut Registry) {
        registry.register("connects", "Times this agent connected to a proxy", self.reconnects.clone());
    }
}
