//! What one session writes down: each event with its place among the session's own.
//!
//! Several tasks write: the session itself, who follows the SFTP server, who accepts for the agent. One
//! event is written at a time, so that the log has them in the order of their numbers; a number that is
//! missing there is an event that could not be kept.

use std::sync::Arc;

use domain::audit::{Context, Detail};
use domain::label::Labels;
use port::audit::AuditError;
use ssh::entrance::Door;
use tokio::sync::Mutex;

/// Where the events of one session go.
pub(crate) struct Journal {
    door: Arc<Door>,
    /// What they have in common.
    context: Context,
    labels: Labels,
    next: Mutex<u64>,
}

impl Journal {
    /// A session that begins: who it is of, and the host's labels at this moment.
    pub(crate) fn new(door: Arc<Door>, context: Context, labels: Labels) -> Self {
        Self { door, context, labels, next: Mutex::default() }
    }

    /// Writes an event down.
    ///
    /// # Errors
    /// [`AuditError`]; whoever must not act unrecorded then does not act.
    pub(super) async fn record(&self, detail: Detail) -> Result<(), AuditError> {
        let mut next = self.next.lock().await;
        let context = self.context(&mut next, &detail);
        self.door.record(context, detail).await
    }

    /// Writes down what has happened; where it cannot be kept, that is said in the log.
    pub(super) async fn note(&self, detail: Detail) {
        let mut next = self.next.lock().await;
        let context = self.context(&mut next, &detail);
        self.door.note(context, detail).await;
    }

    fn context(&self, next: &mut u64, detail: &Detail) -> Context {
        let ei = *next;
        *next += 1;
        // A session may have any number of the others, which would each carry the same labels along.
        let labelled =
            matches!(detail, Detail::SessionStart { .. } | Detail::SessionEnd { .. } | Detail::Exec { .. });
        let server_labels = if labelled { self.labels.clone() } else { Labels::default() };
        Context { ei, server_labels, ..self.context.clone() }
    }
}
