//! Whether the daemon is well: one small state machine per component, and their sum.
//!
//! Degraded beats recovering beats starting; the whole is ok only when every component is. A
//! component that failed stays recovering for [`RECOVERY`] of successes before it counts as ok.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::Timestamp;

/// How often components report.
pub const CHECK_PERIOD: Duration = Duration::from_secs(5);

/// How long a component must be well again before it counts as ok.
pub const RECOVERY: Duration = Duration::from_secs(10);

/// The state of a component or of the whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// Works.
    Ok,
    /// Works again, not for long yet.
    Recovering,
    /// Fails.
    Degraded,
    /// Has not worked yet.
    Starting,
}

impl State {
    /// The value of the `process_state` metric.
    pub const fn metric(self) -> i64 {
        match self {
            Self::Ok => 0,
            Self::Recovering => 1,
            Self::Degraded => 2,
            Self::Starting => 3,
        }
    }

    /// The word in `/readyz`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Recovering => "recovering",
            Self::Degraded => "degraded",
            Self::Starting => "starting",
        }
    }

    /// The HTTP status of `/readyz`.
    pub const fn http_status(self) -> u16 {
        match self {
            Self::Ok => 200,
            Self::Recovering | Self::Starting => 400,
            Self::Degraded => 503,
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
struct Component {
    state: State,
    recovering_since: Option<Timestamp>,
    reason: Option<String>,
}

/// The health of every component.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Health {
    components: BTreeMap<String, Component>,
}

/// One component as `/readyz` shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// Its name.
    pub component: String,
    /// Its state.
    pub state: State,
    /// Why it is not ok.
    pub reason: Option<String>,
}

impl Health {
    /// Announces a component that has yet to work.
    pub fn expect(&mut self, component: &str) {
        self.components.entry(component.to_owned()).or_insert(Component {
            state: State::Starting,
            recovering_since: None,
            reason: None,
        });
    }

    /// A component worked at `now`.
    pub fn worked(&mut self, component: &str, now: Timestamp) {
        self.expect(component);
        let Some(entry) = self.components.get_mut(component) else { return };
        entry.state = match (entry.state, entry.recovering_since) {
            (State::Starting | State::Ok, _) => State::Ok,
            (State::Recovering, Some(since)) if long_enough(since, now) => State::Ok,
            (State::Recovering, Some(_)) => State::Recovering,
            _ => {
                entry.recovering_since = Some(now);
                State::Recovering
            }
        };
        if entry.state == State::Ok {
            entry.recovering_since = None;
            entry.reason = None;
        }
    }

    /// A component failed. One that never worked stays starting.
    pub fn failed(&mut self, component: &str, reason: impl Into<String>) {
        self.expect(component);
        let Some(entry) = self.components.get_mut(component) else { return };
        entry.reason = Some(reason.into());
        entry.recovering_since = None;
        if entry.state != State::Starting {
            entry.state = State::Degraded;
        }
    }

    /// The state of the whole.
    pub fn overall(&self) -> State {
        let has = |state| self.components.values().any(|component| component.state == state);
        [State::Degraded, State::Recovering, State::Starting]
            .into_iter()
            .find(|state| has(*state))
            .unwrap_or(if self.components.is_empty() { State::Starting } else { State::Ok })
    }

    /// The state of one component; none when it was never heard of.
    pub fn state(&self, component: &str) -> Option<State> {
        self.components.get(component).map(|component| component.state)
    }

    /// Every component, by name.
    pub fn shown(&self) -> Vec<Shown> {
        let show = |(name, component): (&String, &Component)| Shown {
            component: name.clone(),
            state: component.state,
            reason: component.reason.clone(),
        };
        self.components.iter().map(show).collect()
    }
}

fn long_enough(since: Timestamp, now: Timestamp) -> bool {
    let elapsed = now.duration_since(since);
    elapsed.as_secs_f64() > RECOVERY.as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn starts_starting_and_needs_every_component() {
        let mut health = Health::default();
        assert_eq!(health.overall(), State::Starting);
        health.expect("auth");
        health.expect("node");
        health.worked("auth", at(0));
        assert_eq!(health.overall(), State::Starting);
        health.worked("node", at(0));
        assert_eq!(health.overall(), State::Ok);
    }

    #[test]
    fn recovery_takes_more_than_ten_seconds() {
        let mut health = Health::default();
        health.worked("node", at(0));
        health.failed("node", "auth is unreachable");
        assert_eq!(health.overall(), State::Degraded);
        health.worked("node", at(5));
        health.worked("node", at(15));
        assert_eq!(health.overall(), State::Recovering);
        health.worked("node", at(16));
        assert_eq!(health.overall(), State::Ok);
    }

    #[test]
    fn a_failure_while_recovering_starts_over() {
        let mut health = Health::default();
        health.worked("node", at(0));
        health.failed("node", "x");
        health.worked("node", at(5));
        health.failed("node", "y");
        health.worked("node", at(12));
        health.worked("node", at(20));
        assert_eq!(health.overall(), State::Recovering);
    }

    #[test]
    fn a_component_that_never_worked_stays_starting_and_says_why() {
        let mut health = Health::default();
        health.failed("node", "cannot join");
        assert_eq!(health.overall(), State::Starting);
        assert_eq!(health.shown().first().unwrap().reason.as_deref(), Some("cannot join"));
    }

    #[test]
    fn degraded_beats_the_rest() {
        let mut health = Health::default();
        health.expect("a");
        health.worked("b", at(0));
        health.failed("b", "x");
        assert_eq!(health.overall(), State::Degraded);
        assert_eq!(health.overall().http_status(), 503);
    }
}
