//! The auth server's client behind the ports of services.

use std::sync::Arc;

use async_trait::async_trait;
use audit_service::{Forward, ForwardError};
use client::AuthClient;
use domain::audit::Event;
use domain::node::NodeSpec;
use port::audit::{AuditError, AuditLog, AuditSink};
use port::presence::{Presence, PresenceError};
use serde_json::{Map, Value};

/// Makes a node known to the auth server.
pub(crate) struct Announcer(pub(crate) AuthClient);

#[async_trait]
impl Presence for Announcer {
    async fn announce(&self, spec: &NodeSpec) -> Result<String, PresenceError> {
        self.0.heartbeat(spec, false).await.map_err(|error| PresenceError(ssh::refuse::chain(&error)))
    }

    async fn leave(&self, spec: &NodeSpec) -> Result<(), PresenceError> {
        let left = self.0.heartbeat(spec, true).await;
        left.map(drop).map_err(|error| PresenceError(ssh::refuse::chain(&error)))
    }
}

/// Events of the auth server's own process, straight into its log.
pub(crate) struct Straight(pub(crate) Arc<dyn AuditLog>);

#[async_trait]
impl AuditSink for Straight {
    async fn record(&self, event: Event) -> Result<(), AuditError> {
        self.0.append(vec![event.to_json()]).await
    }
}

/// Brings audit events to the auth server.
pub(crate) struct Deliverer(pub(crate) AuthClient);

#[async_trait]
impl Forward for Deliverer {
    async fn send(&self, events: Vec<Map<String, Value>>) -> Result<(), ForwardError> {
        for batch in events.chunks(api::EVENTS_MAX) {
            let lines =
                batch.iter().map(serde_json::to_vec).collect::<Result<_, _>>().map_err(ForwardError::new)?;
            self.0.emit(lines).await.map_err(ForwardError::new)?;
        }
        Ok(())
    }
}
