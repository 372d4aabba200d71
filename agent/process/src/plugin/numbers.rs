//! What plugins do, counted for whoever scrapes.
//!
//! The host tells it on the thread that plugins run on, so nothing here waits.

use std::sync::Arc;
use std::time::Duration;

use domain::plugin::PluginName;
use parking_lot::RwLock;
use plugin_host::{CallReport, Change, ChangeKind, Outcome, Question};
use telemetry::metrics::prometheus_client::metrics::counter::Counter;
use telemetry::metrics::prometheus_client::metrics::family::Family;
use telemetry::metrics::prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use telemetry::metrics::prometheus_client::registry::{Registry, Unit};

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
            // The same word of the program, nearly always.
            && (std::ptr::eq(self.function, question.function) || self.function == question.function)
            && self.plugin == *question.plugin
    }

    fn count(&self, wall: f64) {
        self.questions.inc();
        self.seconds.observe(wall);
    }
}

/// Counters of the plugins.
#[derive(Clone)]
pub struct PluginNumbers {
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

impl Default for PluginNumbers {
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

impl PluginNumbers {
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
    pub fn question(&self, question: &Question<'_>) {
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

#[cfg(test)]
mod tests {
    use domain::Timestamp;
    use plugin_host::Facts;

    use super::*;

    #[test]
    fn questions_are_counted_by_their_kind() {
        let metrics = telemetry::metrics::Metrics::default();
        let numbers = PluginNumbers::default();
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
        let numbers = PluginNumbers::default();
        metrics.register("plugin", |registry| numbers.register(registry));
        let quarantined =
            ChangeKind::Quarantined { until: Timestamp::UNIX_EPOCH, reason: "it trapped".into() };
        let rejected = ChangeKind::Rejected("it is not pinned".into());
        let kinds = [ChangeKind::Loaded, ChangeKind::Reloaded(Facts::default()), rejected, quarantined];
        for kind in kinds.into_iter().chain([ChangeKind::Released]) {
            let plugin = PluginName::new("label-x").unwrap();
            numbers.change(&Change { plugin, facts: Facts::default(), kind });
        }
        let text = metrics.encode().unwrap();
        for counter in ["loads", "rejects", "reloads", "quarantines"] {
            assert!(text.contains(&format!("plugin_{counter}_total{{plugin=\"label-x\"}} 1\n")), "{text}");
        }
    }
}
