//! Labels computed now and then.
//!
//! Each label has a task of its own: it asks the provider, waits its period with a little jitter, and
//! asks again; sooner when what computes it has been put in place anew. A failure keeps the last good
//! value and is shown apart from it; a label without any good value yet is absent. Time, memory and output
//! of a run are the provider's to bound.

use std::sync::Arc;
use std::time::Duration;

use domain::label::{DynamicLabel, Labels, MIN_PERIOD, clean_value};
use port::label::{Edition, LabelProvider};
use port::random::Random;
use prometheus_client::metrics::counter::Counter;
use tokio::sync::watch;
use tokio::time::Instant;

/// What the dynamic labels are now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LabelState {
    /// The last good value of each label.
    pub values: Labels,
    /// Why the last run of a label failed.
    pub errors: Labels,
    /// How many labels have been tried at least once.
    pub tried: usize,
}

impl LabelState {
    /// Together with the fixed labels, which a dynamic one never hides.
    pub(crate) fn merged(&self, fixed: &Labels) -> Labels {
        let mut all = self.values.clone();
        all.0.extend(fixed.0.clone());
        all
    }

    fn succeeded(&mut self, name: &str, value: &str) {
        self.values.0.insert(name.to_owned(), clean_value(value));
        self.errors.0.remove(name);
    }

    fn failed(&mut self, name: &str, reason: &str) {
        self.errors.0.insert(name.to_owned(), clean_value(reason));
    }
}

/// How often it is logged that a label goes on failing.
const TELL_AGAIN: Duration = Duration::from_secs(600);

/// When a label's failures were logged last, and how many were not since; nothing while it does not fail. The reason
/// may be a plugin's own words, of which it may have any number.
#[derive(Default)]
struct Failing(Option<(Instant, u64)>);

impl Failing {
    /// One more; where it is to be logged, how many were not.
    fn failed(&mut self, now: Instant) -> Option<u64> {
        match &mut self.0 {
            Some((told, untold)) if now.saturating_duration_since(*told) < TELL_AGAIN => {
                *untold += 1;
                None
            }
            failing => failing.replace((now, 0)).map_or(Some(0), |(_, untold)| Some(untold)),
        }
    }

    /// Whether that is a change.
    fn succeeded(&mut self) -> bool {
        self.0.take().is_some()
    }
}

/// Over how long the labels are spread whose plugin has been put in place anew: all of a host, and those of a fleet
/// that gets a new version, would be computed in one moment otherwise.
const SPREAD: Duration = Duration::from_secs(10);

/// Keeps one label fresh until cancelled.
pub(crate) async fn keep_fresh(
    label: DynamicLabel,
    provider: Arc<dyn LabelProvider>,
    random: Arc<dyn Random>,
    state: watch::Sender<LabelState>,
    failures: Counter,
) {
    let (mut first, mut failing) = (true, Failing::default());
    loop {
        let began = Instant::now();
        let before = provider.edition(&label);
        let outcome = provider.evaluate(&label).await;
        let has_failed = outcome.is_err();
        // What was loaded for this very answer is not asked again because of that. Whatever else came meanwhile is:
        // a call that was under way ends on the version it began with.
        let edition = match before.versions {
            0 if !has_failed => Edition { versions: provider.edition(&label).versions.min(1), ..before },
            _ => before,
        };
        state.send_if_modified(|state| {
            let before = state.clone();
            state.tried += usize::from(first);
            match &outcome {
                Ok(value) => state.succeeded(&label.name, value),
                Err(failure) => state.failed(&label.name, &failure.reason),
            }
            *state != before
        });
        match outcome {
            Ok(_) if failing.succeeded() => tracing::info!(label = %label.name, "a label has a value again"),
            Ok(_) => {}
            Err(failure) => {
                failures.inc();
                if let Some(untold) = failing.failed(Instant::now()) {
                    tracing::warn!(label = %label.name, reason = %failure.reason, untold, "a label command failed; the last good value stays");
                }
            }
        }
        first = false;
        let renewed = async {
            provider.renewed(&label, edition, has_failed).await;
            let spread = SPREAD.min(label.period).mul_f64(random.uniform());
            tokio::time::sleep_until((began + MIN_PERIOD).max(Instant::now() + spread)).await;
        };
        tokio::select! {
            () = tokio::time::sleep(jittered(label.period, random.uniform())) => {}
            () = renewed => {}
        }
    }
}

/// The period, up to a tenth longer, so that a fleet's commands do not all run at once.
fn jittered(period: Duration, draw: f64) -> Duration {
    period.max(MIN_PERIOD).mul_f64(1.0 + draw / 10.0)
}

#[cfg(test)]
mod tests {
    use fake::{FakeLabels, FakeRandom};

    use super::*;

    fn label(name: &str, seconds: u64) -> DynamicLabel {
        DynamicLabel {
            name: name.into(),
            command: vec!["x".into()],
            period: Duration::from_secs(seconds),
            plugin: "label-command".into(),
        }
    }

    fn start(label: DynamicLabel, provider: &Arc<FakeLabels>) -> watch::Receiver<LabelState> {
        let (sender, receiver) = watch::channel(LabelState::default());
        tokio::spawn(keep_fresh(
            label,
            provider.clone(),
            Arc::new(FakeRandom::new(1)),
            sender,
            Counter::default(),
        ));
        receiver
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_keeps_the_last_good_value_and_shows_apart_from_it() {
        let provider = Arc::new(FakeLabels::new());
        provider.then("up", Ok("1 day"));
        provider.then("up", Err("exit code 1"));
        provider.then("up", Ok("2 days"));
        let mut state = start(label("up", 60), &provider);
        state.changed().await.unwrap();
        assert_eq!(state.borrow_and_update().values.value("up"), Some("1 day"));
        state.changed().await.unwrap();
        {
            let state = state.borrow_and_update();
            assert_eq!(
                (state.values.value("up"), state.errors.value("up")),
                (Some("1 day"), Some("exit code 1"))
            );
        }
        state.changed().await.unwrap();
        let state = state.borrow();
        assert_eq!((state.values.value("up"), state.errors.value("up")), (Some("2 days"), None));
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_run_is_at_start_and_the_next_after_the_period() {
        let provider = Arc::new(FakeLabels::new());
        provider.always("up", Ok("1"));
        let began = Instant::now();
        let mut state = start(label("up", 60), &provider);
        state.changed().await.unwrap();
        assert_eq!(began.elapsed(), Duration::ZERO);
        while provider.calls().len() < 2 {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        assert!((60..=67).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn what_computes_it_is_asked_soon_when_it_is_put_in_place_anew() {
        let provider = Arc::new(FakeLabels::new());
        provider.then("up", Err("there is no such plugin"));
        provider.always("up", Ok("1"));
        let began = Instant::now();
        let mut state = start(label("up", 3600), &provider);
        state.changed().await.unwrap();
        assert_eq!(state.borrow_and_update().values.value("up"), None);
        provider.renew();
        state.changed().await.unwrap();
        assert_eq!(state.borrow().values.value("up"), Some("1"));
        assert!((MIN_PERIOD..SPREAD).contains(&began.elapsed()), "{:?}", began.elapsed());
        tokio::time::sleep(Duration::from_secs(3000)).await;
        assert_eq!(provider.calls().len(), 2, "once");
    }

    #[tokio::test(start_paused = true)]
    async fn only_a_label_that_failed_is_asked_anew_when_what_computes_it_may_go_on() {
        let provider = Arc::new(FakeLabels::new());
        provider.then("bad", Err("it is in quarantine"));
        provider.always("bad", Ok("1"));
        provider.always("good", Ok("1"));
        let (_bad, _good) = (start(label("bad", 3600), &provider), start(label("good", 3600), &provider));
        tokio::time::sleep(Duration::from_secs(5)).await;
        provider.release();
        tokio::time::sleep(Duration::from_secs(3000)).await;
        let asked: Vec<_> = provider.calls().into_iter().map(|label| label.name).collect();
        assert_eq!(asked[2..], ["bad"], "{asked:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn labels_of_one_plugin_are_not_all_asked_for_at_once() {
        let provider = Arc::new(FakeLabels::new());
        provider.always("up", Ok("1"));
        let starting = |seed| {
            let (sender, _) = watch::channel(LabelState::default());
            let random = Arc::new(FakeRandom::new(seed));
            tokio::spawn(keep_fresh(label("up", 3600), provider.clone(), random, sender, Counter::default()));
        };
        (0..40).for_each(starting);
        tokio::time::sleep(Duration::from_secs(5)).await;
        provider.renew();
        let mut most = 0;
        for _ in 0..10 {
            let before = provider.calls().len();
            tokio::time::sleep(Duration::from_secs(1)).await;
            most = most.max(provider.calls().len() - before);
        }
        assert_eq!(provider.calls().len(), 80);
        assert!(most <= 10, "{most} of 40 within a second");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_put_in_place_while_it_is_asked_is_asked_again_unless_that_was_for_this_answer() {
        for (answer, was_there, calls) in
            [(Ok("1"), false, 1), (Err("not yet"), false, 2), (Ok("1"), true, 2), (Err("not yet"), true, 2)]
        {
            let provider = Arc::new(FakeLabels::new());
            if was_there {
                provider.renew();
            }
            provider.then("up", answer);
            provider.always("up", Ok("2"));
            provider.hang(true);
            let _state = start(label("up", 3600), &provider);
            while provider.calls().is_empty() {
                tokio::task::yield_now().await;
            }
            provider.renew();
            provider.hang(false);
            tokio::time::sleep(Duration::from_secs(3000)).await;
            assert_eq!(provider.calls().len(), calls, "after {answer:?}, loaded before: {was_there}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_label_that_goes_on_failing_is_told_of_now_and_then() {
        let (mut failing, mut told) = (Failing::default(), Vec::new());
        for _ in 0..1201 {
            told.extend(failing.failed(Instant::now()));
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        assert_eq!(told, [0, 599, 599]);
        assert!(failing.succeeded() && !failing.succeeded());
        assert_eq!(failing.failed(Instant::now()), Some(0), "it begins anew");
    }

    #[test]
    fn jitter_stays_within_a_tenth_and_the_minimum_holds() {
        assert_eq!(jittered(Duration::from_secs(60), 0.0), Duration::from_secs(60));
        assert!(jittered(Duration::from_secs(60), 1.0) <= Duration::from_secs(66));
        assert_eq!(jittered(Duration::ZERO, 0.0), MIN_PERIOD);
    }

    #[test]
    fn values_are_cleaned_of_what_could_steer_a_terminal() {
        let mut state = LabelState::default();
        state.succeeded("a", "x\u{1b}[2Jy\n");
        assert_eq!(state.values.value("a"), Some("x[2Jy"));
    }
}
