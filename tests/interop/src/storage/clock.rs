//! Time for code that runs natively: the machine's, and how far a test has moved it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use domain::Timestamp;
use port::clock::{Clock, SystemClock};
use storage::RemoteSettings;

/// The machine's clock, and how far it was moved.
#[derive(Debug, Clone, Default)]
pub struct MovedClock(Arc<Moved>);

#[derive(Debug, Default)]
struct Moved {
    wall: AtomicU64,
    monotonic: AtomicU64,
}

impl MovedClock {
    /// Moves the clock on the wall, as the suite does.
    pub fn advance(&self, by: Duration) {
        self.0.wall.fetch_add(micros(by), Ordering::SeqCst);
    }

    /// Moves the clock that never goes back as well: nothing may be under way.
    pub fn pass(&self, time: Duration) {
        self.advance(time);
        self.0.monotonic.fetch_add(micros(time), Ordering::SeqCst);
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap()
}

impl Clock for MovedClock {
    fn now(&self) -> Timestamp {
        // Stores keep microseconds, and the suite makes its expiries of this.
        let now = Timestamp::from_microsecond(SystemClock.now().as_microsecond()).unwrap();
        now.checked_add(Duration::from_micros(self.0.wall.load(Ordering::SeqCst))).unwrap()
    }
}

/// Both clocks, as one instance of a plugin reads them.
#[derive(Debug, Clone)]
pub struct Time {
    clock: MovedClock,
    began: tokio::time::Instant,
}

impl Time {
    /// Begins now.
    pub fn new(clock: &MovedClock) -> Self {
        Self { clock: clock.clone(), began: tokio::time::Instant::now() }
    }

    /// Microseconds since 1970-01-01T00:00:00Z.
    pub fn now(&self) -> u64 {
        u64::try_from(self.clock.now().as_microsecond()).unwrap()
    }

    /// Time since it began.
    pub fn monotonic(&self) -> Duration {
        self.began.elapsed() + Duration::from_micros(self.clock.0.monotonic.load(Ordering::SeqCst))
    }
}

/// How the store treats a plugin in the suite: a test ends when its last question does, which is when a
/// watch has waited so long.
pub fn remote(wait: Duration) -> RemoteSettings {
    RemoteSettings { history: 1024, wait, ..RemoteSettings::default() }
}
