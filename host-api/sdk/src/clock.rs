//! The time, as the host tells it (`wasi:clocks`).

use std::time::Duration;

/// Microseconds since 1970-01-01T00:00:00Z. May jump, also back, when somebody sets the machine's clock.
pub fn now() -> u64 {
    let now = wasip2::clocks::wall_clock::now();
    now.seconds.saturating_mul(1_000_000).saturating_add(u64::from(now.nanoseconds / 1_000))
}

/// Time since some moment in the past. Never goes back; for measuring and for deadlines.
pub fn monotonic() -> Duration {
    Duration::from_nanos(wasip2::clocks::monotonic_clock::now())
}

/// Waits so long, as time on the clock of the call.
pub fn sleep(duration: Duration) {
    let nanoseconds = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
    wasip2::clocks::monotonic_clock::subscribe_duration(nanoseconds).block();
}
