//! What can be set on a store. The defaults are what the daemon uses; tests shorten them.

use std::time::Duration;

/// How a store keeps its past and how often it looks around.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// How many changes are kept for watchers that come back. A few more stay until the next
    /// clean-up; 32 MiB of values bound them as well.
    pub history: usize,
    /// How long a change is kept for them.
    pub history_age: Duration,
    /// How often items past their expiry are swept away, so that watchers hear of it.
    pub sweep: Duration,
    /// How soon a watcher hears of a change another process made. SQLite only: memory has no other
    /// process.
    pub poll: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            history: 4096,
            history_age: Duration::from_secs(3600),
            sweep: Duration::from_secs(1),
            poll: Duration::from_millis(250),
        }
    }
}

impl Settings {
    /// The same with periods a timer accepts.
    pub(crate) fn checked(mut self) -> Self {
        self.sweep = self.sweep.max(Duration::from_millis(1));
        self.poll = self.poll.max(Duration::from_millis(1));
        self
    }
}
