//! A clock that stands still until it is told otherwise.

use std::sync::Arc;
use std::time::Duration;

use domain::Timestamp;
use parking_lot::Mutex;
use port::clock::Clock;

/// A clock set by hand. Clones show the same time.
///
/// It tells the time of day only; waiting is tokio's business and is paused there.
#[derive(Debug, Clone)]
pub struct FakeClock(Arc<Mutex<Timestamp>>);

impl FakeClock {
    /// Where a new clock stands: 2026-01-01, noon UTC.
    pub const START: Timestamp = Timestamp::constant(1_767_268_800, 0);

    /// A clock at [`FakeClock::START`].
    pub fn new() -> Self {
        Self::at(Self::START)
    }

    /// A clock at `now`.
    pub fn at(now: Timestamp) -> Self {
        Self(Arc::new(Mutex::new(now)))
    }

    /// Sets the time; it may go back, as the clocks of machines do.
    pub fn set(&self, now: Timestamp) {
        *self.0.lock() = now;
    }

    /// Moves forward, at most to the end of time.
    pub fn advance(&self, by: Duration) {
        let mut now = self.0.lock();
        *now = now.checked_add(by).unwrap_or(Timestamp::MAX);
    }

    /// The time so long from now: for expiries.
    pub fn after(&self, wait: Duration) -> Timestamp {
        self.now().checked_add(wait).unwrap_or(Timestamp::MAX)
    }
}

impl Default for FakeClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for FakeClock {
    fn now(&self) -> Timestamp {
        *self.0.lock()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moves_only_when_told() {
        let clock = FakeClock::new();
        let other = clock.clone();
        assert_eq!(clock.now().to_string(), "2026-01-01T12:00:00Z");
        clock.advance(Duration::from_secs(60));
        assert_eq!(other.now().to_string(), "2026-01-01T12:01:00Z");
        other.set(Timestamp::UNIX_EPOCH);
        assert_eq!(clock.now(), Timestamp::UNIX_EPOCH);
        clock.advance(Duration::MAX);
        assert_eq!(clock.now(), Timestamp::MAX);
    }
}
