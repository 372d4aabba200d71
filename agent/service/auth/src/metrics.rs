//! What the auth service counts.

use domain::audit::CertKind;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

/// User or host.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct CertLabels {
    kind: CertLabel,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelValue)]
enum CertLabel {
    User,
    Host,
}

impl From<CertKind> for CertLabels {
    fn from(kind: CertKind) -> Self {
        let kind = match kind {
            CertKind::User => CertLabel::User,
            CertKind::Host => CertLabel::Host,
        };
        Self { kind }
    }
}

/// Whether it worked.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct OutcomeLabels {
    success: bool,
}

impl From<bool> for OutcomeLabels {
    fn from(success: bool) -> Self {
        Self { success }
    }
}

/// Counters of the auth service.
#[derive(Debug, Clone, Default)]
pub struct Metrics {
    pub(crate) certificates: Family<CertLabels, Counter>,
    pub(crate) joins: Family<OutcomeLabels, Counter>,
    pub(crate) heartbeats: Counter,
    pub(crate) events: Counter,
}

impl Metrics {
    /// Adds the counters to a registry.
    pub fn register(&self, registry: &mut Registry) {
        registry.register("certificates", "Certificates made", self.certificates.clone());
        registry.register("joins", "Hosts that asked to join", self.joins.clone());
        registry.register("heartbeats", "Heartbeats of nodes and servers", self.heartbeats.clone());
        registry.register("events", "Audit events delivered by agents", self.events.clone());
    }
}
