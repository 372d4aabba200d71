//! Which instances that have nothing to do are kept, and which of them answers next. Nothing here waits.

use std::time::Duration;

use tokio::time::Instant;

/// Calls one instance serves in its life.
const CALLS_MAX: u32 = 10_000;

/// How long an instance is kept that nobody needs.
const IDLE: Duration = Duration::from_secs(60);

/// What may be kept.
pub(super) trait Keep {
    /// When its last call began.
    fn used(&self) -> Instant;

    /// How many calls it has served.
    fn calls(&self) -> u32;
}

/// What is kept; the one that was used last is on top.
pub(super) struct Shelf<T>(Vec<T>);

impl<T: Keep> Shelf<T> {
    pub(super) fn new() -> Self {
        Self(Vec::new())
    }

    /// The one that was used last. Those that were needed too long ago end here.
    pub(super) fn take(&mut self, now: Instant) -> Option<T> {
        self.0.retain(|kept| now.saturating_duration_since(kept.used()) < IDLE);
        self.0.pop()
    }

    /// Keeps one, unless it has served enough.
    pub(super) fn put(&mut self, kept: T) {
        if kept.calls() < CALLS_MAX {
            self.0.push(kept);
        }
    }

    /// The one that was used last, where it is.
    pub(super) fn last(&self) -> Option<&T> {
        self.0.last()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq)]
    struct Used(Instant, u32);

    impl Keep for Used {
        fn used(&self) -> Instant {
            self.0
        }

        fn calls(&self) -> u32 {
            self.1
        }
    }

    #[test]
    fn the_one_used_last_answers_next() {
        let (mut shelf, now) = (Shelf::new(), Instant::now());
        assert_eq!(shelf.take(now), None);
        shelf.put(Used(now, 1));
        shelf.put(Used(now, 2));
        assert_eq!(shelf.last(), Some(&Used(now, 2)));
        assert_eq!(
            [shelf.take(now), shelf.take(now), shelf.take(now)],
            [Some(Used(now, 2)), Some(Used(now, 1)), None]
        );
    }

    #[test]
    fn who_is_not_needed_for_a_minute_ends_and_the_others_stay() {
        let (mut shelf, now) = (Shelf::new(), Instant::now());
        shelf.put(Used(now, 1));
        shelf.put(Used(now + Duration::from_secs(1), 2));
        assert_eq!(shelf.take(now + IDLE), Some(Used(now + Duration::from_secs(1), 2)));
        assert_eq!(shelf.take(now), None, "the first has ended");
    }

    #[test]
    fn who_has_served_enough_is_not_kept() {
        let (mut shelf, now) = (Shelf::new(), Instant::now());
        shelf.put(Used(now, CALLS_MAX));
        assert_eq!(shelf.last(), None);
        shelf.put(Used(now, CALLS_MAX - 1));
        assert_eq!(shelf.take(now), Some(Used(now, CALLS_MAX - 1)));
    }
}
