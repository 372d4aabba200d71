//! What the web port counts.

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

/// What a connection was for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
pub(crate) enum Purpose {
    Auth,
    Tunnel,
    Https,
    PlainHttp,
    Garbage,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct PurposeLabels {
    purpose: Purpose,
}

/// Counters of the web port.
#[derive(Debug, Clone, Default)]
pub struct Metrics {
    connections: Family<PurposeLabels, Counter>,
}

impl Metrics {
    /// Adds the counters to a registry.
    pub fn register(&self, registry: &mut Registry) {
        registry.register("connections", "Connections, by what they were for", self.connections.clone());
    }

    pub(crate) fn count(&self, purpose: Purpose) {
        self.connections.get_or_create(&PurposeLabels { purpose }).inc();
    }
}
