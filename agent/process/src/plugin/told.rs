//! What the plugin host tells of other code that begins to run, is refused, or is left alone: written to the
//! audit log.
//!
//! The host tells it on the thread that plugins run on, so nothing here waits: events go through
//! a short queue to a task that has the time to see them kept.

use std::sync::Arc;

use domain::audit::{Context, Detail, PluginChange, PluginFacts};
use plugin_host::{Change, ChangeKind};
use port::audit::Recorder;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// Changes that wait to be written at most. There are few: plugins are loaded and replaced by hand.
pub(super) const WAITING: usize = 256;

/// Writes changes to the audit log.
pub(super) struct Chronicle {
    pub(super) changes: mpsc::Receiver<Change>,
    pub(super) recorder: Arc<Recorder>,
    /// This host.
    pub(super) context: Context,
}

impl Chronicle {
    /// Writes until told to stop, and then what is left.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        loop {
            tokio::select! {
                Some(change) = self.changes.recv() => self.write(change).await,
                () = stop.cancelled() => break,
            }
        }
        while let Ok(change) = self.changes.try_recv() {
            self.write(change).await;
        }
    }

    async fn write(&self, change: Change) {
        let detail = detail(change);
        let (event, context) = (detail.name(), self.context.clone());
        if let Err(error) = self.recorder.record(context, detail).await {
            tracing::error!(event, %error, "an audit event of a plugin is lost");
        }
    }
}

fn detail(change: Change) -> Detail {
    let Change { plugin, facts, kind } = change;
    let mut told = PluginFacts {
        plugin: plugin.to_string(),
        version: facts.version,
        digest: facts.digest.map(|digest| digest.to_string()),
        contract: facts.contract.map(|contract| contract.to_string()),
        source: facts.source,
        publisher: facts.publisher,
        ..PluginFacts::default()
    };
    let change = match kind {
        ChangeKind::Loaded => PluginChange::Load,
        ChangeKind::Reloaded(before) => {
            told.previous_version = before.version;
            told.previous_digest = before.digest.map(|digest| digest.to_string());
            PluginChange::Reload
        }
        ChangeKind::Rejected(reason) => {
            told.reason = Some(reason);
            PluginChange::Reject
        }
        ChangeKind::Quarantined { until, reason } => {
            (told.until, told.reason) = (Some(until), Some(reason));
            PluginChange::Quarantine
        }
        ChangeKind::Released => PluginChange::Release,
        ChangeKind::Disabled(by) => {
            told.reason = Some(by);
            PluginChange::Disable
        }
        ChangeKind::Enabled(by) => {
            told.reason = Some(by);
            PluginChange::Enable
        }
        ChangeKind::Revealed(label) => {
            told.secret = Some(label.to_string());
            PluginChange::Reveal
        }
    };
    Detail::Plugin { change, facts: told }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use async_trait::async_trait;
    use domain::Timestamp;
    use domain::audit::Event;
    use domain::plugin::{Digest, PluginName, SecretLabel};
    use plugin_host::Facts;
    use port::audit::{AuditError, AuditSink};
    use port::clock::SystemClock;
    use port::random::SystemRandom;

    use super::*;

    fn change(kind: ChangeKind) -> Change {
        let facts = Facts { version: Some("2.0.0".into()), ..Facts::default() };
        Change { plugin: PluginName::new("label-x").unwrap(), facts, kind }
    }

    fn every_change() -> Vec<Change> {
        let before =
            Facts { digest: Some(Digest::of(b"1")), version: Some("1.0.0".into()), ..Facts::default() };
        let quarantined =
            ChangeKind::Quarantined { until: Timestamp::UNIX_EPOCH, reason: "it trapped".into() };
        let rejected = ChangeKind::Rejected("it is not pinned".into());
        let revealed = ChangeKind::Revealed(SecretLabel::new("token").unwrap());
        let mut kinds = vec![ChangeKind::Loaded, ChangeKind::Reloaded(before), rejected, quarantined];
        kinds.extend([ChangeKind::Released, revealed]);
        kinds.into_iter().map(change).collect()
    }

    #[derive(Default)]
    struct Kept(Mutex<Vec<Event>>);

    #[async_trait]
    impl AuditSink for Kept {
        async fn record(&self, event: Event) -> Result<(), AuditError> {
            self.0.lock().unwrap().push(event);
            Ok(())
        }
    }

    #[tokio::test]
    async fn every_change_is_written_even_when_it_is_time_to_stop() {
        let (sender, changes) = mpsc::channel(WAITING);
        let kept = Arc::new(Kept::default());
        let recorder = Recorder::new(Arc::new(SystemClock), Arc::new(SystemRandom), kept.clone());
        let context = Context { server_hostname: "web-1".into(), ..Context::default() };
        let chronicle = Chronicle { changes, recorder: Arc::new(recorder), context };
        for change in every_change() {
            sender.try_send(change).unwrap();
        }
        let stop = CancellationToken::new();
        stop.cancel();
        chronicle.run(stop).await;
        let events: Vec<_> = kept.0.lock().unwrap().iter().map(Event::to_json).collect();
        let codes: Vec<_> = events.iter().map(|event| event["code"].as_str().unwrap().to_owned()).collect();
        assert_eq!(codes, ["TPL00I", "TPL01I", "TPL02W", "TPL03W", "TPL03I", "TPL06I"]);
        assert_eq!(events[1]["previous_version"], "1.0.0");
        assert_eq!(events[1]["previous_digest"], Digest::of(b"1").to_string());
        assert_eq!(events[2]["reason"], "it is not pinned");
        assert_eq!((&events[5]["event"], &events[5]["secret"]), (&"plugin.reveal".into(), &"token".into()));
        assert!(
            events.iter().all(|event| event["server_hostname"] == "web-1" && event["version"] == "2.0.0")
        );
    }
}
