//! How long to wait between two tries to reach a proxy. No clock of its own, and no dice: both are handed
//! in by [`super::keep`].

use std::time::Duration;

use domain::backoff::{Backoff, around};
use domain::name::HostId;
use tokio::time::Instant;

/// The first wait after a link was lost.
pub(super) const RETRY_FIRST: Duration = Duration::from_millis(500);
/// A link that lived this long was a success: the next wait is a short one again.
const LIVED: Duration = Duration::from_secs(30);
/// The longest wait for a proxy whose address leads to another, and always to that: behind a balancer that always leads a
/// host to the same one it is never reached, and each try is a handshake.
const MISLED_MAX: Duration = Duration::from_secs(600);

/// The waits on the way to one proxy.
///
/// That it says to have moved makes the next try come soon, and not more often than once in [`LIVED`]: or it would have a
/// whole fleet knock wherever it pleases.
pub(super) struct Waits {
    backoff: Backoff,
    /// For as long as its only address leads to the same other one.
    misled: Backoff,
    /// Where that led last.
    led: Option<HostId>,
    /// When it was last dialled for having moved.
    moved: Option<Instant>,
    is_fresh: bool,
}

impl Waits {
    /// Waits of at most `retry_max`, but for a proxy that is never where its address leads.
    pub(super) fn new(retry_max: Duration) -> Self {
        let (backoff, misled) = (Backoff::new(RETRY_FIRST, retry_max), Backoff::new(RETRY_FIRST, MISLED_MAX));
        Self { backoff, misled, led: None, moved: None, is_fresh: true }
    }

    /// Whether nothing has failed yet, or not since it was reached or moved.
    pub(super) fn is_fresh(&self) -> bool {
        self.is_fresh
    }

    /// It was not reached.
    pub(super) fn failed(&mut self, draw: f64) -> Duration {
        self.is_fresh = false;
        self.backoff.failed(draw)
    }

    /// Another one was there. A balancer that leads now here and now there may lead to it next, and so may another of
    /// its addresses.
    pub(super) fn led_to(&mut self, there: HostId, is_only_address: bool, draw: f64) -> Duration {
        let is_same = self.led.replace(there) == Some(there);
        if !(is_same && is_only_address) {
            return self.failed(draw);
        }
        self.is_fresh = false;
        self.misled.failed(draw)
    }

    /// It has lost a link that lived so long, or an attempt has ended after that.
    pub(super) fn lost(&mut self, lived: Duration, draw: f64) -> Duration {
        if lived >= LIVED {
            self.begin_anew();
        }
        self.failed(draw)
    }

    /// It says to be reached elsewhere: how long until it is dialled there.
    pub(super) fn moved(&mut self, now: Instant, draw: f64) -> Duration {
        self.begin_anew();
        let since = self.moved.map_or(LIVED, |moved| now.saturating_duration_since(moved));
        let wait = LIVED.saturating_sub(since) + around(RETRY_FIRST, draw);
        self.moved = Some(now + wait);
        wait
    }

    fn begin_anew(&mut self) {
        self.backoff.succeeded();
        self.misled.succeeded();
        self.is_fresh = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAX: Duration = Duration::from_secs(90);
    const HIGH: f64 = 1.0;

    fn ids() -> [HostId; 2] {
        ["d52527f9-b260-41d0-bb5a-e23b0cfe0f8f", "11111111-f9b2-41d0-bb5a-e23b0cfe0f8f"]
            .map(|id| HostId::parse(id).unwrap())
    }

    #[test]
    fn only_one_that_is_always_led_to_the_same_other_waits_long() {
        let [one, other] = ids();
        let longest = |is_only_address, there: &dyn Fn(usize) -> HostId| {
            let mut waits = Waits::new(MAX);
            (0..30).map(|number| waits.led_to(there(number), is_only_address, HIGH)).max().unwrap()
        };
        assert_eq!(longest(true, &|_| one), MISLED_MAX);
        assert_eq!(longest(false, &|_| one), MAX, "it has another address");
        assert_eq!(longest(true, &|number| if number % 2 == 0 { one } else { other }), MAX);
    }

    #[test]
    fn one_that_moves_is_dialled_soon_and_not_again_and_again() {
        let (mut waits, began) = (Waits::new(MAX), Instant::now());
        for _ in 0..20 {
            waits.failed(HIGH);
        }
        let first = waits.moved(began, HIGH);
        assert!(first < Duration::from_secs(1) && waits.is_fresh(), "{first:?}");
        // It takes it back, and says it again: that ends, and not before its time.
        let mut now = began + first;
        for _ in 0..5 {
            let wait = waits.moved(now, HIGH);
            assert!(wait >= LIVED && wait < LIVED + Duration::from_secs(1), "{wait:?}");
            now += wait;
        }
        assert!(waits.moved(now + LIVED, HIGH) < Duration::from_secs(1));
    }

    #[test]
    fn a_link_that_lived_makes_the_next_wait_short() {
        let mut waits = Waits::new(MAX);
        for _ in 0..20 {
            waits.failed(HIGH);
        }
        assert_eq!(waits.lost(LIVED / 2, HIGH), MAX);
        assert_eq!(waits.lost(LIVED, HIGH), RETRY_FIRST);
    }
}
