//! How long to wait before the next try.
//!
//! Exponential with full jitter over the upper half, so that many agents that lost the same proxy
//! come back spread out. The random draw is handed in.

use std::time::Duration;

/// The waiting times of one retry loop.
#[derive(Debug, Clone, PartialEq)]
pub struct Backoff {
    first: Duration,
    max: Duration,
    failures: u32,
}

impl Backoff {
    /// Waits around `first` after the first failure, doubling up to `max`.
    pub fn new(first: Duration, max: Duration) -> Self {
        Self { first, max, failures: 0 }
    }

    /// The wait before the next try. `draw` is uniform in `0.0..1.0`.
    ///
    /// The result lies between half and the whole of the current step.
    pub fn failed(&mut self, draw: f64) -> Duration {
        let step = self.first.saturating_mul(1u32.checked_shl(self.failures).unwrap_or(u32::MAX));
        self.failures = self.failures.saturating_add(1).min(31);
        let step = step.min(self.max);
        step.mul_f64(0.5 + draw.clamp(0.0, 1.0) / 2.0)
    }

    /// Starts over after a success.
    pub fn succeeded(&mut self) {
        self.failures = 0;
    }
}

/// A period a quarter shorter or longer, so that many who began together do not stay together. `draw` is uniform in
/// `0.0..1.0`.
pub fn around(period: Duration, draw: f64) -> Duration {
    period.mul_f64(0.75 + draw.clamp(0.0, 1.0) / 2.0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn doubles_up_to_the_cap_and_starts_over() {
        let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(5));
        let waits: Vec<_> = (0..4).map(|_| backoff.failed(1.0).as_secs()).collect();
        assert_eq!(waits, [1, 2, 4, 5]);
        backoff.succeeded();
        assert_eq!(backoff.failed(1.0).as_secs(), 1);
    }

    #[test]
    fn a_period_is_a_quarter_shorter_or_longer() {
        let waits = [0.0, 0.5, 1.0].map(|draw| around(Duration::from_secs(60), draw).as_secs());
        assert_eq!(waits, [45, 60, 75]);
    }

    proptest! {
        #[test]
        fn stays_within_half_and_whole_of_the_cap(draws in prop::collection::vec(0.0f64..1.0, 1..200)) {
            let max = Duration::from_secs(90);
            let mut backoff = Backoff::new(Duration::from_millis(500), max);
            for draw in draws {
                let wait = backoff.failed(draw);
                prop_assert!(wait <= max && wait >= Duration::from_millis(250));
            }
        }
    }
}
