//! How long a backend that crashes at call after call is let rest before it is begun anew. Nothing here waits.
//!
//! It is no quarantine: nobody is refused, and one call that goes well ends it. It bounds what a backend costs that dies
//! of every question: so many beginnings a second, however many questions come.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// So many crashes in a row may each be about a question of their own.
const FREE: u32 = 3;
/// The rest after one more. Each further one doubles it.
const FIRST: Duration = Duration::from_millis(10);
/// The longest rest: shorter than the time any caller is patient.
const MOST: Duration = Duration::from_secs(1);

/// The crashes of one plugin since a call of it went well.
#[derive(Default)]
pub(super) struct Setbacks {
    in_a_row: AtomicU32,
    last: Mutex<Option<Instant>>,
}

impl Setbacks {
    /// One more.
    pub(super) fn add(&self, now: Instant) {
        *self.last.lock() = Some(now);
        // That it begins with none again after four thousand million is no harm.
        self.in_a_row.fetch_add(1, Ordering::Relaxed);
    }

    /// A call went well. Asked for at each, so it costs a look where there is nothing to end.
    pub(super) fn end(&self) {
        if self.in_a_row.load(Ordering::Relaxed) != 0 {
            self.in_a_row.store(0, Ordering::Relaxed);
        }
    }

    /// Until when it rests, if it does.
    pub(super) fn rest(&self) -> Option<Instant> {
        let doublings = self.in_a_row.load(Ordering::Relaxed).checked_sub(FREE + 1)?;
        let rest = 2u32.checked_pow(doublings).and_then(|times| FIRST.checked_mul(times));
        Some((*self.last.lock())? + rest.map_or(MOST, |rest| rest.min(MOST)))
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
            rests.push(setbacks.rest().map_or(0, |until| (until - now).as_millis()));
            setbacks.add(now);
        }
        assert_eq!(rests[..12], [0, 0, 0, 0, 10, 20, 40, 80, 160, 320, 640, 1000]);
        assert!(rests[12..].iter().all(|rest| *rest == 1000), "{rests:?}");
        setbacks.end();
        assert_eq!(setbacks.rest(), None);
    }
}
