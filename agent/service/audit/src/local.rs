//! The sink of services that live in the auth process: straight into the log.

use std::sync::Arc;

use async_trait::async_trait;
use domain::audit::Event;
use port::audit::{AuditError, AuditLog, AuditSink};

/// Records events in the log of this very process; each is on disk when `record` returns.
pub struct LocalSink {
    log: Arc<dyn AuditLog>,
}

impl LocalSink {
    /// A sink that appends to `log`.
    pub fn new(log: Arc<dyn AuditLog>) -> Self {
        Self { log }
    }
}

#[async_trait]
impl AuditSink for LocalSink {
    async fn record(&self, event: Event) -> Result<(), AuditError> {
        self.log.append(vec![event.to_json()]).await
    }
}
