//! What the plugin host tells: counted for whoever scrapes, and written to the audit log when other code
//! begins to run, is refused, or is left alone.
//!
//! The host tells it on the thread that plugins run on, so nothing here waits: events go through
//! a short queue to a task that has the time to see them kept.

use std::sync::Arc;
use std::time::Duration;

use domain::audit::{Context, Detail, PluginChange, PluginFacts};
use domain::plugin::PluginName;
use parking_lot::RwLock;
use plugin_host::{CallReport, Change, ChangeKind, Outcome, Question};
use port::audit::Recorder;
use telemetry::metrics::prometheus_client::metrics::counter::Counter;
use telemetry::metrics::prometheus_client::metrics::family::Family;
use telemetry::metrics::prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use telemetry::metrics::prometheus_client::registry::{Registry, Unit};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// Changes that wait to be written at most. There are few: plugins are loaded and replaced by hand.
pub(super) const WAITING: usize = 256;

type ByPlugin = [(&'static str, String); 1];
type ByOutcome = [(&'static str, String); 2];
type ByFunction = [(&'static str, String); 3];

/// What counts the questions of one kind: of one plugin, to one function, with one outcome.
struct Asked {
    plugin: PluginName,
    function: &'static str,
    outcome: Outcome,
    questions: Counter,
    seconds: Histogram,
}

impl Asked {
    fn counts(&self, question: &Question<'_>) -> bool {
        self.outcome == question.outcome
            && self.function == question.function
            && self.plugin == *question.plugin
    }

    fn count(&self, wall: f64) {
        self.questions.inc();
        self.seconds.observe(wall);
    }
}

/// Counters of the plugins.
#[derive(Clone)]
pub(super) struct Numbers {
    calls: Family<ByOutcome, Counter>,
    questions: Family<ByFunction, Counter>,
    /// The kinds of questions there were: some tens at most, and one or two of them nearly always.
    asked: Arc<RwLock<Vec<Asked>>>,
    seconds: Family<ByPlugin, Histogram, fn() -> Histogram>,
    loads: Family<ByPlugin, Counter>,
    reloads: Family<ByPlugin, Counter>,
    rejects: Family<ByPlugin, Counter>,
    quarantines: Family<ByPlugin, Counter>,
}

impl Default for Numbers {
    fn default() -> Self {
        Self {
            calls: Family::default(),
            questions: Family::default(),
            asked: Arc::default(),
            seconds: Family::new_with_constructor(call_time),
            loads: Family::default(),
            reloads: Family::default(),
            rejects: Family::default(),
            quarantines: Family::default(),
        }
    }
}

/// From 10 µs, half of what the smallest call takes, to 42 s in steps of four.
fn call_time() -> Histogram {
    Histogram::new(exponential_buckets(10e-6, 4.0, 12))
}

impl Numbers {
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register("calls", "Calls of plugins, by how they ended", self.calls.clone());
        let (questions, seconds) = (self.questions.clone(), self.seconds.clone());
        registry.register(
            "storage_calls",
            "Calls of storage plugins, by how they ended; one may answer several questions",
            questions,
        );
        registry.register_with_unit("call", "Time of a call of a plugin", Unit::Seconds, seconds);
        registry.register("loads", "Plugins that were loaded", self.loads.clone());
        registry.register("reloads", "Plugins that were replaced while served", self.reloads.clone());
        registry.register("rejects", "Plugins that were refused", self.rejects.clone());
        registry.register("quarantines", "Plugins that failed too often", self.quarantines.clone());
    }

    /// Counts a call. One that was not made has no time.
    pub(super) fn call(&self, report: &CallReport) {
        let (plugin, outcome) = (report.plugin.to_string(), report.outcome());
        self.calls.get_or_create(&[("plugin", plugin.clone()), ("outcome", outcome.key().to_owned())]).inc();
        if report.wall > Duration::ZERO {
            self.seconds.get_or_create(&[("plugin", plugin)]).observe(report.wall.as_secs_f64());
        }
    }

    /// Counts a question to a storage backend. There are very many, of few kinds: to look up what counts a
    /// kind by its labels would take as long as a short answer.
    pub(super) fn question(&self, question: &Question<'_>) {
        let wall = question.wall.as_secs_f64();
        if let Some(known) = self.asked.read().iter().find(|asked| asked.counts(question)) {
            return known.count(wall);
        }
        let asked = self.begin(question);
        asked.count(wall);
        self.asked.write().push(asked);
    }

    fn begin(&self, question: &Question<'_>) -> Asked {
        let (plugin, outcome) = (question.plugin.to_string(), question.outcome);
        let labels = [
            ("plugin", plugin.clone()),
            ("function", question.function.to_owned()),
            ("outcome", outcome.key().to_owned()),
        ];
        Asked {
            plugin: question.plugin.clone(),
            function: question.function,
            outcome,
            questions: self.questions.get_or_create_owned(&labels),
            seconds: self.seconds.get_or_create_owned(&[("plugin", plugin)]),
        }
    }

    pub(super) fn change(&self, change: &Change) {
        let counter = match &change.kind {
            ChangeKind::Loaded => &self.loads,
            ChangeKind::Reloaded(_) => &self.reloads,
            ChangeKind::Rejected(_) => &self.rejects,
            ChangeKind::Quarantined { .. } => &self.quarantines,
            ChangeKind::Released
            | ChangeKind::Disabled(_)
            | ChangeKind::Enabled(_)
            | ChangeKind::Revealed(_) => return,
        };
        counter.get_or_create(&[("plugin", change.plugin.to_string())]).inc();
    }
}

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

    #[test]
    fn questions_are_counted_by_their_kind() {
        let metrics = telemetry::metrics::Metrics::default();
        let numbers = Numbers::default();
        metrics.register("plugin", |registry| numbers.register(registry));
        let (one, other) = (PluginName::new("store-x").unwrap(), PluginName::new("store-y").unwrap());
        let asked = [
            (&one, "get", Outcome::Ok),
            (&one, "get", Outcome::Ok),
            (&one, "get", Outcome::Trap),
            (&one, "write", Outcome::Ok),
            (&other, "get", Outcome::Ok),
            (&one, "get", Outcome::Ok),
        ];
        for (plugin, function, outcome) in asked {
            numbers.question(&Question { plugin, function, wall: Duration::from_millis(1), outcome });
        }
        let text = metrics.encode().unwrap();
        for (labels, times) in [
            ("plugin=\"store-x\",function=\"get\",outcome=\"ok\"", 3),
            ("plugin=\"store-x\",function=\"get\",outcome=\"trap\"", 1),
            ("plugin=\"store-x\",function=\"write\",outcome=\"ok\"", 1),
            ("plugin=\"store-y\",function=\"get\",outcome=\"ok\"", 1),
        ] {
            assert!(text.contains(&format!("plugin_storage_calls_total{{{labels}}} {times}\n")), "{text}");
        }
        assert!(text.contains("plugin_call_seconds_count{plugin=\"store-x\"} 5\n"), "{text}");
    }

    #[test]
    fn changes_are_counted_by_plugin() {
        let metrics = telemetry::metrics::Metrics::default();
        let numbers = Numbers::default();
        metrics.register("plugin", |registry| numbers.register(registry));
        every_change().iter().for_each(|change| numbers.change(change));
        let text = metrics.encode().unwrap();
        for counter in ["loads", "reloads", "rejects", "quarantines"] {
            assert!(text.contains(&format!("plugin_{counter}_total{{plugin=\"label-x\"}} 1\n")), "{text}");
        }
    }
}
