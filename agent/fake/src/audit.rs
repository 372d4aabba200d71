//! An audit log that keeps events in memory.

use std::collections::HashSet;
use std::time::Duration;

use async_trait::async_trait;
use domain::audit::Event;
use parking_lot::Mutex;
use port::audit::{AuditError, AuditLog, AuditSink};
use serde_json::{Map, Value};
use tokio::sync::Notify;

use crate::fault::Fault;

/// Keeps what is recorded and appended; fails when told to.
///
/// As a sink it takes a service's events, as a log the lines of agents. Both end up in
/// [`FakeAudit::lines`]; only the former in [`FakeAudit::events`].
#[derive(Debug, Default)]
pub struct FakeAudit {
    kept: Mutex<Kept>,
    fault: Fault<String>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Kept {
    events: Vec<Event>,
    lines: Vec<Map<String, Value>>,
    uids: HashSet<String>,
}

impl FakeAudit {
    /// An empty log.
    pub fn new() -> Self {
        Self::default()
    }

    /// The next `times` calls fail with [`AuditError::Write`] and keep nothing; `usize::MAX` means
    /// until [`FakeAudit::recover`].
    pub fn fail(&self, times: usize) {
        self.fault.set(times, "told to fail".to_owned());
    }

    /// Calls work again.
    pub fn recover(&self) {
        self.fault.clear();
    }

    /// What was recorded, in order.
    pub fn events(&self) -> Vec<Event> {
        self.kept.lock().events.clone()
    }

    /// What was recorded and appended, in order, as JSON.
    pub fn lines(&self) -> Vec<Map<String, Value>> {
        self.kept.lock().lines.clone()
    }

    /// The codes of all lines, in order.
    pub fn codes(&self) -> Vec<String> {
        let code = |line: &Map<String, Value>| line.get("code").and_then(Value::as_str).map(str::to_owned);
        self.kept.lock().lines.iter().filter_map(code).collect()
    }

    /// The first line of this code, waiting up to ten seconds for it.
    pub async fn wait_for(&self, code: &str) -> Option<Map<String, Value>> {
        let found = async {
            loop {
                let changed = self.changed.notified();
                let is_it =
                    |line: &&Map<String, Value>| line.get("code").and_then(Value::as_str) == Some(code);
                if let Some(line) = self.kept.lock().lines.iter().find(is_it) {
                    return line.clone();
                }
                changed.await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), found).await.ok()
    }

    fn check(&self) -> Result<(), AuditError> {
        self.fault.take().map_or(Ok(()), |reason| Err(AuditError::Write(reason)))
    }

    /// A line whose identifier is there already is not kept again.
    fn keep(&self, lines: impl IntoIterator<Item = Map<String, Value>>) {
        let mut kept = self.kept.lock();
        for line in lines {
            let uid = line.get("uid").and_then(Value::as_str).unwrap_or_default().to_owned();
            if uid.is_empty() || kept.uids.insert(uid) {
                kept.lines.push(line);
            }
        }
        drop(kept);
        self.changed.notify_waiters();
    }
}

#[async_trait]
impl AuditSink for FakeAudit {
    async fn record(&self, event: Event) -> Result<(), AuditError> {
        self.check()?;
        let line = event.to_json();
        self.kept.lock().events.push(event);
        self.keep([line]);
        Ok(())
    }
}

#[async_trait]
impl AuditLog for FakeAudit {
    async fn append(&self, events: Vec<Map<String, Value>>) -> Result<(), AuditError> {
        self.check()?;
        self.keep(events);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use domain::audit::{Context, Detail};
    use port::audit::Recorder;

    use super::*;
    use crate::{FakeClock, FakeRandom};

    fn recorder(audit: &Arc<FakeAudit>) -> Recorder {
        Recorder::new(Arc::new(FakeClock::new()), Arc::new(FakeRandom::default()), audit.clone())
    }

    fn start() -> Detail {
        Detail::SessionStart { size: None, interactive: false, initial_command: Vec::new() }
    }

    #[tokio::test]
    async fn keeps_events_in_order_and_as_lines() {
        let audit = Arc::new(FakeAudit::new());
        recorder(&audit).record(Context::default(), start()).await.unwrap();
        assert_eq!(audit.events().len(), 1);
        assert_eq!(audit.codes(), ["T2000I"]);
        assert!(audit.wait_for("T2000I").await.is_some());
    }

    #[tokio::test]
    async fn fails_as_told_and_keeps_nothing_then() {
        let audit = Arc::new(FakeAudit::new());
        audit.fail(1);
        assert!(recorder(&audit).record(Context::default(), start()).await.is_err());
        assert!(audit.lines().is_empty());
        recorder(&audit).record(Context::default(), start()).await.unwrap();
        assert_eq!(audit.lines().len(), 1);
    }

    #[tokio::test]
    async fn a_line_delivered_twice_is_kept_once() {
        let audit = Arc::new(FakeAudit::new());
        recorder(&audit).record(Context::default(), start()).await.unwrap();
        audit.append(audit.lines()).await.unwrap();
        assert_eq!(audit.lines().len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn waiting_for_what_never_comes_ends() {
        assert!(FakeAudit::new().wait_for("T2000I").await.is_none());
    }
}
