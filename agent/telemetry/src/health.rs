//! The health of the daemon as its services report it and as `/healthz` and `/readyz` show it.
//!
//! The rules are in `domain::health`; here is the handle that services share, with a watch for
//! whoever waits for readiness, and the two answers as pure functions. The listener that serves
//! them is in `process`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use domain::health::{Health, Shown, State};
use parking_lot::Mutex;
use port::clock::Clock;
use serde::Serialize;
use tokio::sync::watch;

/// The media type of [`healthz`] and [`readyz`].
pub const CONTENT_TYPE: &str = "application/json";

/// The health of every component, shared by all who report and all who look.
#[derive(Clone)]
pub struct HealthHandle(Arc<Inner>);

struct Inner {
    clock: Arc<dyn Clock>,
    health: Mutex<Health>,
    overall: watch::Sender<State>,
    /// Whether no new connections are taken any more.
    drains: AtomicBool,
}

impl HealthHandle {
    /// A daemon in which no component has been heard of yet: it is starting.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        let (overall, _) = watch::channel(State::Starting);
        Self(Arc::new(Inner { clock, health: Mutex::default(), overall, drains: AtomicBool::new(false) }))
    }

    /// Announces a component that has yet to work; the whole is not ready before it does.
    pub fn expect(&self, component: &str) {
        self.change(component, |health| health.expect(component));
    }

    /// A component worked. Returns its state: a component that failed before stays recovering until
    /// it has reported success for `domain::health::RECOVERY`, so whoever sees `Recovering` reports
    /// again every `domain::health::CHECK_PERIOD`.
    pub fn worked(&self, component: &str) -> State {
        let now = self.0.clock.now();
        self.change(component, |health| health.worked(component, now))
    }

    /// A component failed, for this reason (one line, without secrets). Returns its state.
    pub fn failed(&self, component: &str, reason: impl Into<String>) -> State {
        self.change(component, |health| health.failed(component, reason))
    }

    /// No new connections are taken from now on: whoever chooses between daemons is to choose another, though
    /// everything works.
    pub fn drains(&self) {
        self.0.drains.store(true, Ordering::Relaxed);
    }

    /// The state of the whole.
    pub fn overall(&self) -> State {
        self.0.health.lock().overall()
    }

    /// Every component, by name.
    pub fn shown(&self) -> Vec<Shown> {
        self.0.health.lock().shown()
    }

    /// The state of the whole, and every change of it.
    pub fn subscribe(&self) -> watch::Receiver<State> {
        self.0.overall.subscribe()
    }

    /// Waits until every component works. The caller sets the deadline.
    pub async fn ready(&self) {
        // The sender lives as long as `self`, so waiting cannot end in any other way.
        let _ = self.subscribe().wait_for(|state| *state == State::Ok).await;
    }

    fn change(&self, component: &str, how: impl FnOnce(&mut Health)) -> State {
        let mut health = self.0.health.lock();
        let before = health.state(component);
        how(&mut health);
        let after = health.state(component).unwrap_or(State::Starting);
        let overall = health.overall();
        // Told under the lock, so that watchers see changes in the order they happened.
        self.0.overall.send_if_modified(|current| std::mem::replace(current, overall) != overall);
        let reason = reason_of(&health, component, after);
        drop(health);
        log_change(component, before, after, reason);
        after
    }
}

impl std::fmt::Debug for HealthHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HealthHandle").field("overall", &self.overall()).finish_non_exhaustive()
    }
}

/// Why a component is not well; looked up only for a state that has a reason.
fn reason_of(health: &Health, component: &str, state: State) -> Option<String> {
    if state == State::Ok {
        return None;
    }
    health.shown().into_iter().find(|shown| shown.component == component)?.reason
}

/// Says what an operator would act on or date: a component that begins to fail or works again.
fn log_change(component: &str, before: Option<State>, after: State, reason: Option<String>) {
    if before == Some(after) {
        return;
    }
    let reason = reason.unwrap_or_default();
    match after {
        State::Ok if before == Some(State::Recovering) => tracing::info!(component, "works again"),
        State::Ok => tracing::info!(component, "works"),
        State::Recovering => tracing::info!(component, "is recovering"),
        State::Degraded => tracing::warn!(component, reason, "fails"),
        State::Starting => tracing::debug!(component, "is starting"),
    }
}

/// The answer to `GET /healthz`: the process runs. Status and body.
pub fn healthz() -> (u16, String) {
    (200, r#"{"status":"ok"}"#.to_owned())
}

#[derive(Serialize)]
struct Ready<'a> {
    status: &'a str,
    pid: u32,
    components: Vec<Component<'a>>,
}

#[derive(Serialize)]
struct Component<'a> {
    component: &'a str,
    state: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
}

/// The answer to `GET /readyz`: 200 when every component works, 400 while starting or recovering,
/// 503 when one fails, and while the daemon drains. Status and body.
pub fn readyz(health: &HealthHandle, pid: u32) -> (u16, String) {
    let (overall, shown) = {
        let health = health.0.health.lock();
        (health.overall(), health.shown())
    };
    let components = shown.iter().map(|Shown { component, state, reason }| Component {
        component,
        state: state.as_str(),
        reason: reason.as_deref(),
    });
    let (code, status) = match health.0.drains.load(Ordering::Relaxed) {
        true => (503, "draining"),
        false => (overall.http_status(), overall.as_str()),
    };
    let body = Ready { status, pid, components: components.collect() };
    // Strings and numbers always serialise.
    (code, serde_json::to_string(&body).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicI64, Ordering};
    use std::time::Duration;

    use domain::Timestamp;

    use super::*;

    #[derive(Default)]
    struct HandClock(AtomicI64);

    impl Clock for HandClock {
        fn now(&self) -> Timestamp {
            Timestamp::from_second(self.0.load(Ordering::SeqCst)).unwrap()
        }
    }

    fn handle() -> (Arc<HandClock>, HealthHandle) {
        let clock = Arc::new(HandClock::default());
        (Arc::clone(&clock), HealthHandle::new(clock))
    }

    #[test]
    fn readyz_names_the_state_and_each_component_with_its_reason() {
        let (_, health) = handle();
        assert_eq!(readyz(&health, 7), (400, r#"{"status":"starting","pid":7,"components":[]}"#.into()));
        health.worked("auth");
        health.expect("node");
        health.failed("node", "cannot join: \"token\" expired");
        let body = concat!(
            r#"{"status":"starting","pid":7,"components":[{"component":"auth","state":"ok"},"#,
            r#"{"component":"node","state":"starting","reason":"cannot join: \"token\" expired"}]}"#
        );
        assert_eq!(readyz(&health, 7), (400, body.into()));
        health.failed("auth", "disk full");
        assert_eq!(readyz(&health, 7).0, 503);
    }

    #[test]
    fn who_drains_is_not_ready_though_everything_works() {
        let (_, health) = handle();
        health.worked("proxy");
        assert_eq!(readyz(&health, 7).0, 200);
        health.drains();
        let (code, body) = readyz(&health, 7);
        assert!(code == 503 && body.starts_with(r#"{"status":"draining""#), "{body}");
    }

    #[test]
    fn healthz_is_always_ok() {
        assert_eq!(healthz(), (200, r#"{"status":"ok"}"#.into()));
    }

    #[test]
    fn a_component_recovers_over_time() {
        let (clock, health) = handle();
        health.worked("node");
        assert_eq!(health.failed("node", "x"), State::Degraded);
        assert_eq!(health.worked("node"), State::Recovering);
        clock.0.store(11, Ordering::SeqCst);
        assert_eq!(health.worked("node"), State::Ok);
        assert_eq!(readyz(&health, 1).0, 200);
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_waits_for_readiness_is_woken_by_the_last_component() {
        let (_, health) = handle();
        health.expect("auth");
        health.expect("node");
        let waiting = tokio::spawn({
            let health = health.clone();
            async move { health.ready().await }
        });
        health.worked("auth");
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert!(!waiting.is_finished());
        health.worked("node");
        tokio::time::timeout(Duration::from_secs(1), waiting).await.unwrap().unwrap();
    }

    #[test]
    fn watchers_see_changes_of_the_whole_only() {
        let (_, health) = handle();
        let mut watch = health.subscribe();
        health.worked("a");
        assert!(watch.has_changed().unwrap());
        assert_eq!(*watch.borrow_and_update(), State::Ok);
        health.worked("a");
        health.worked("b");
        assert!(!watch.has_changed().unwrap());
        health.failed("b", "x");
        assert_eq!(*watch.borrow_and_update(), State::Degraded);
    }
}
