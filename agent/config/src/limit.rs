//! Limits and pacing of the `teleport` section: connections, the cluster cache, reconnecting.

use std::time::Duration;

use crate::section::Section;
use crate::unserved;

/// The most connections of one client address to one service, unless the operator says otherwise.
pub const MAX_CONNECTIONS: u32 = 15_000;

/// How much one client may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Connections per client address and service; at least 1.
    pub max_connections: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_connections: MAX_CONNECTIONS }
    }
}

/// The local copy of what the cluster knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cache {
    /// Whether to keep one.
    pub enabled: bool,
    /// The longest wait before watching again after a failure.
    pub max_backoff: Duration,
}

impl Default for Cache {
    fn default() -> Self {
        Self { enabled: true, max_backoff: Duration::from_secs(90) }
    }
}

/// How an agent paces its attempts to reach the cluster again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reconnect {
    /// The longest wait between two attempts; at least 10 s.
    pub upper_limit: Duration,
    /// The wait before the first attempt.
    pub initial_delay: Duration,
    /// What each failed attempt adds to the wait.
    pub step: Duration,
}

/// The least upper limit: a shorter one would turn a restart of the auth server into a storm.
const UPPER_LIMIT_MIN: Duration = Duration::from_secs(10);

impl Reconnect {
    fn below(upper_limit: Duration) -> Self {
        Self { upper_limit, initial_delay: upper_limit / 10, step: upper_limit / 5 }
    }
}

impl Default for Reconnect {
    fn default() -> Self {
        Self::below(Duration::from_secs(90))
    }
}

/// Reads `teleport.connection_limits`.
pub(crate) fn read_limits(limits: &mut Section<'_>) -> Limits {
    let most = limits.count("max_connections");
    if let Some(users) = limits.field("max_users").filter(|users| users.whole(0, u64::MAX).is_some()) {
        users.warning("is ignored: the number of users is not limited; remove the key");
    }
    Limits { max_connections: most.unwrap_or(MAX_CONNECTIONS) }
}

/// Reads `teleport.cache`.
pub(crate) fn read_cache(cache: &mut Section<'_>) -> Cache {
    let default = Cache::default();
    let instead = "every service watches what it needs";
    unserved::without_effect(cache, &[("enabled", instead), ("max_backoff", instead)]);
    Cache {
        enabled: cache.flag("enabled").unwrap_or(default.enabled),
        max_backoff: cache.duration("max_backoff").unwrap_or(default.max_backoff),
    }
}

/// Reads `teleport.auth_connection_config`.
pub(crate) fn read_reconnect(reconnect: &mut Section<'_>) -> Reconnect {
    let upper = reconnect.field("upper_limit_between_retries");
    let limit = upper.as_ref().and_then(|field| field.duration());
    if let Some(field) = upper.filter(|_| limit.is_some_and(|limit| limit < UPPER_LIMIT_MIN)) {
        field.problem("must be at least 10s, so that agents do not storm an auth server that restarts");
    }
    let default = limit.map_or_else(Reconnect::default, Reconnect::below);
    let instead = "the wait doubles from 0.5s up to upper_limit_between_retries, less a random part";
    let keys = [("initial_connection_delay", instead), ("backoff_step_duration", instead)];
    unserved::without_effect(reconnect, &keys);
    let mut at_most = |key| {
        let field = reconnect.field(key)?;
        let wait = field.duration()?;
        if wait > default.upper_limit {
            field.problem("must not be longer than upper_limit_between_retries");
        }
        Some(wait)
    };
    let initial_delay = at_most("initial_connection_delay").unwrap_or(default.initial_delay);
    let step = at_most("backoff_step_duration").unwrap_or(default.step);
    Reconnect { initial_delay, step, ..default }
}
