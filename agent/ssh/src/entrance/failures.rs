//! How many strangers who were not let in are written down one by one.
//!
//! Anybody may be refused as often as they like, and each time would be an event: on the auth server's
//! disk, and on this host's while the auth server is away, where events of users need the room. So a
//! crowd is written down at once and a slow stream after it; of the others only the number is kept, and
//! the next event tells it. Where strangers come from makes no difference: addresses are cheap.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// How many are written down at once. People who share an office or a load balancer may all be refused
/// at the same time.
const AT_ONCE: u32 = 1000;

/// How often a further one is: 86,400 in a day, some 40 MB on the auth server's disk.
const EVERY: Duration = Duration::from_secs(1);

/// The count of one service's door.
#[derive(Debug, Default)]
pub(super) struct Failures(Mutex<Count>);

#[derive(Debug, Default)]
struct Count {
    /// When it is as if nobody had ever been refused.
    empty: Option<Instant>,
    left_out: u64,
    /// Whether the log says that some are left out.
    told: bool,
}

impl Failures {
    /// Counts one that is to be written down: how many were left out since the last that was. None when
    /// this one is left out as well; the first of them is said in the log.
    pub(super) fn count(&self) -> Option<u64> {
        let mut count = self.0.lock();
        let now = Instant::now();
        let before = count.empty.filter(|empty| *empty > now);
        // The crowd is over when there is nothing left of it.
        count.told &= before.is_some();
        let empty = before.unwrap_or(now) + EVERY;
        if empty.duration_since(now) <= EVERY * AT_ONCE {
            count.empty = Some(empty);
            return Some(std::mem::take(&mut count.left_out));
        }
        count.left_out += 1;
        if !std::mem::replace(&mut count.told, true) {
            tracing::warn!(
                "more than {AT_ONCE} attempts to sign in were refused lately; one in {} s is written down, and the audit event says in left_out how many were not",
                EVERY.as_secs()
            );
        }
        None
    }

    /// The event that told of so many could not be kept: the next one tells of them, and of that one.
    pub(super) fn untold(&self, left_out: u64) {
        self.0.lock().left_out += left_out + 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_crowd_is_written_down_and_of_a_larger_one_the_number() {
        let failures = Failures::default();
        for _ in 0..AT_ONCE {
            assert_eq!(failures.count(), Some(0));
        }
        for _ in 0..500 {
            assert_eq!(failures.count(), None);
        }
        tokio::time::advance(EVERY).await;
        assert_eq!(failures.count(), Some(500));
        assert_eq!(failures.count(), None);
        tokio::time::advance(EVERY * AT_ONCE).await;
        assert_eq!(failures.count(), Some(1), "those before it were told already");
        for _ in 1..AT_ONCE {
            assert_eq!(failures.count(), Some(0));
        }
        assert_eq!(failures.count(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn the_log_tells_of_each_crowd_once() {
        let failures = Failures::default();
        let told = || failures.0.lock().told;
        for _ in 0..AT_ONCE {
            failures.count();
        }
        assert!(!told());
        for _ in 0..100 {
            failures.count();
            tokio::time::advance(EVERY / 2).await;
            assert!(told(), "a crowd that goes on is one crowd");
        }
        tokio::time::advance(EVERY * AT_ONCE).await;
        failures.count();
        assert!(!told());
    }
}
