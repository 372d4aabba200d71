//! What can be set on a store that a backend keeps. The defaults are what the daemon uses.

use std::time::Duration;

/// How a remote store waits, retries and remembers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RemoteSettings {
    /// How many changes are kept here for watchers that come back; 32 MiB of values bound them as well.
    pub history: usize,
    /// How long a change is kept for them.
    pub history_age: Duration,
    /// How long opening may take: a backend may have to make its table first.
    pub opening: Duration,
    /// How long any other call may take before it counts as failed. The backend's own limits should
    /// be shorter: they know more to say.
    pub patience: Duration,
    /// How long one question for changes waits at the backend.
    pub wait: Duration,
    /// The wait after the first failure of the tail; it doubles from there.
    pub retry_first: Duration,
    /// The longest wait between two tries.
    pub retry_max: Duration,
    /// How many watchers may be read the past by tails of their own at one time.
    pub catch_ups: usize,
}

impl Default for RemoteSettings {
    fn default() -> Self {
        Self {
            history: 4096,
            history_age: Duration::from_secs(3600),
            opening: Duration::from_secs(120),
            patience: Duration::from_secs(30),
            wait: Duration::from_secs(10),
            retry_first: Duration::from_millis(250),
            retry_max: Duration::from_secs(15),
            catch_ups: 8,
        }
    }
}
