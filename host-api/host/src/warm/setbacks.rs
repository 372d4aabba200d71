//! How long a backend that crashes at call after call is let rest before it is begun anew. Nothing here waits.
//!
//! It is no quarantine: one call that goes well ends it. It bounds what a backend costs that dies of every question: a
//! few beginnings a second, however many questions come. Who follows the changes is not counted: the store has a pause
//! of its own between one tail and the next.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// So many crashes in a row may each be about a question of their own.
const FREE: u32 = 3;
/// The rest after one more. Each further one doubles it.
const FIRST: Duration = Duration::from_millis(10);
/// The longest rest.
const MOST: Duration = Duration::from_secs(1);

/// The crashes of one plugin since a call of it went well.
#[derive(Default)]
pub(super) struct Setbacks {
    in_a_row: AtomicU32,
    last: Mutex<Option<Last>>,
}

/// The last of them.
struct Last {
    at: Instant,
    reason: Arc<str>,
}

/// A backend that rests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rest {
    /// Until when.
    pub(crate) until: Instant,
    /// How often it has crashed in a row.
    pub(crate) crashes: u32,
    /// The last time.
    pub(crate) last: Arc<str>,
}

impl Setbacks {
    /// One more.
    pub(super) fn add(&self, now: Instant, reason: &str) {
        *self.last.lock() = Some(Last { at: now, reason: reason.into() });
        // That it begins with none again after four thousand million is no harm.
        self.in_a_row.fetch_add(1, Ordering::Relaxed);
    }

    /// A call went well. Asked for at each, so it costs a look where there is nothing to end.
    pub(super) fn end(&self) {
        if self.in_a_row.load(Ordering::Relaxed) != 0 {
            self.in_a_row.store(0, Ordering::Relaxed);
        }
    }

    /// The rest it has now, if it has one.
    pub(super) fn rest(&self, now: Instant) -> Option<Rest> {
        let crashes = self.in_a_row.load(Ordering::Relaxed);
        let doublings = crashes.checked_sub(FREE + 1)?;
        let length = 2u32.checked_pow(doublings).and_then(|times| FIRST.checked_mul(times));
        let last = self.last.lock();
        let Last { at, reason } = last.as_ref()?;
        let until = *at + length.map_or(MOST, |length| length.min(MOST));
        (now < until).then(|| Rest { until, crashes, last: Arc::clone(reason) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_rests_ever_longer_until_a_call_goes_well() {
        let (setbacks, now) = (Setbacks::default(), Instant::now());
        let mut rests = Vec::new();
        for _ in 0..50 {
            rests.push(setbacks.rest(now).map_or(0, |rest| (rest.until - now).as_millis()));
            setbacks.add(now, "why");
        }
        assert_eq!(rests[..12], [0, 0, 0, 0, 10, 20, 40, 80, 160, 320, 640, 1000]);
        assert!(rests[12..].iter().all(|rest| *rest == 1000), "{rests:?}");
        let rest = Rest { until: now + MOST, crashes: 50, last: "why".into() };
        assert_eq!(setbacks.rest(now), Some(rest));
        assert_eq!(setbacks.rest(now + MOST), None, "it is over");
        setbacks.end();
        assert_eq!(setbacks.rest(now), None);
    }
}
