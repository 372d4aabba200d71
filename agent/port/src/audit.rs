//! Where events go.

use async_trait::async_trait;
use domain::audit::{Context, Detail, Event};
use serde_json::{Map, Value};

/// Why an event could not be kept.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// The place for events waiting to be delivered is full.
    #[error("the audit spool is full ({0} bytes); events are refused until the auth server takes some")]
    Full(u64),
    /// What is left of that place is for the events of users.
    #[error(
        "the audit spool holds {0} bytes, and the rest of it is for events of users; what strangers tried is not written down until the auth server takes some"
    )]
    Reserved(u64),
    /// Writing failed.
    #[error("cannot write the audit log: {0}")]
    Write(String),
    /// The log has stopped.
    #[error("the audit log is closed")]
    Closed,
}

/// Takes the events of a service.
#[async_trait]
pub trait AuditSink: Send + Sync + 'static {
    /// Keeps the event. When this returns, the event survives the death of this process.
    ///
    /// # Errors
    /// [`AuditError`]; whoever must not act unrecorded then does not act.
    async fn record(&self, event: Event) -> Result<(), AuditError>;
}

/// The audit log itself: lines that are already JSON, from this process and from agents.
#[async_trait]
pub trait AuditLog: Send + Sync + 'static {
    /// Appends the events in order and returns when all of them are on disk. An event whose `uid`
    /// was appended before is not written again.
    ///
    /// # Errors
    /// [`AuditError`]; then it is not known which of the events were written.
    async fn append(&self, events: Vec<Map<String, Value>>) -> Result<(), AuditError>;
}

/// Makes events: puts the identifier, the time and the context to what happened.
pub struct Recorder {
    clock: std::sync::Arc<dyn crate::clock::Clock>,
    random: std::sync::Arc<dyn crate::random::Random>,
    sink: std::sync::Arc<dyn AuditSink>,
}

impl Recorder {
    /// A recorder that keeps events in `sink`.
    pub fn new(
        clock: std::sync::Arc<dyn crate::clock::Clock>,
        random: std::sync::Arc<dyn crate::random::Random>,
        sink: std::sync::Arc<dyn AuditSink>,
    ) -> Self {
        Self { clock, random, sink }
    }

    /// Records what happened in this context.
    ///
    /// # Errors
    /// Those of the sink.
    pub async fn record(&self, context: Context, detail: Detail) -> Result<(), AuditError> {
        let event = Event { uid: self.random.uuid(), time: self.clock.now(), context, detail };
        self.sink.record(event).await
    }
}
