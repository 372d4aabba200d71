//! Processor time of one call, measured on the thread that runs it.
//!
//! Epochs alone count time on the clock, so a plugin on a busy machine would be charged for others'
//! work; the thread's own clock is not. It also counts what host functions spend on the call,
//! but for files they read and write, which is done beside it and bounded by the time on the clock.
//!
//! Asking for the thread's clock is a call of the kernel (0.4 us each, where a whole call of a kept
//! instance takes 1), and asking for the time is not. So the first few milliseconds of a call are
//! charged by the clock on the wall, and from then on it is measured closely. The slice in between counts
//! as those few milliseconds: the guest is interrupted by then, and what a function of the host that it
//! called took beyond is not known to be the guest's or the machine's.
//!
//! Even asking for the time is a twentieth of a short call of a kept instance. Its first slice goes by the kernel's
//! last tick, which is right on the average over many calls (less than that where a tick is longer than a slice is
//! charged); only the first, for a guest could time the others between two ticks.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// How much of a call is charged by the clock on the wall, in nanoseconds: no more than the grain of the
/// limit. One slice is not charged more either, for the machine may have done something else meanwhile.
const ROUGHLY: u64 = 5_000_000;

/// Counts the processor time of one call.
#[derive(Default)]
pub(crate) struct Meter {
    /// Nanoseconds of the finished slices.
    spent: AtomicU64,
    /// The clock when the running slice began.
    began: AtomicU64,
    /// Whether the running slice goes by the last tick.
    is_coarse: AtomicBool,
}

/// The call has had its processor time.
#[derive(Debug, thiserror::Error)]
#[error("the processor time of the call is spent")]
pub(crate) struct CpuSpent;

impl Meter {
    /// Runs a future to its end, counting.
    pub(crate) async fn count<F: Future>(self: &Arc<Self>, future: F) -> F::Output {
        let mut future = pin!(future);
        std::future::poll_fn(|context| {
            self.began.store(self.clock(), Ordering::Relaxed);
            let poll = future.as_mut().poll(context);
            let slice = self.slice();
            self.spent.fetch_add(slice, Ordering::Relaxed);
            self.is_coarse.store(false, Ordering::Relaxed);
            poll
        })
        .await
    }

    /// Begins to count anew, for the next call of an instance that is kept.
    pub(crate) fn restart(&self) {
        self.spent.store(0, Ordering::Relaxed);
        self.is_coarse.store(true, Ordering::Relaxed);
    }

    /// The time of the finished slices.
    pub(crate) fn spent(&self) -> Duration {
        Duration::from_nanos(self.spent.load(Ordering::Relaxed))
    }

    /// The time so far, asked from within a slice.
    pub(crate) fn spent_within(&self) -> Duration {
        self.spent() + Duration::from_nanos(self.slice())
    }

    /// Whether the slice is measured closely. It stays the same until the slice has ended.
    fn is_close(&self) -> bool {
        self.spent.load(Ordering::Relaxed) >= ROUGHLY
    }

    fn clock(&self) -> u64 {
        let is_coarse = self.is_coarse.load(Ordering::Relaxed);
        nanoseconds(match self.is_close() {
            true => ClockId::ThreadCPUTime,
            false if is_coarse => ClockId::MonotonicCoarse,
            false => ClockId::Monotonic,
        })
    }

    /// The time of the running slice.
    fn slice(&self) -> u64 {
        let slice = self.clock().saturating_sub(self.began.load(Ordering::Relaxed));
        if self.is_close() { slice } else { slice.min(ROUGHLY) }
    }
}

fn nanoseconds(clock: ClockId) -> u64 {
    let time = clock_gettime(clock);
    let whole = u64::try_from(time.tv_sec).unwrap_or_default().saturating_mul(1_000_000_000);
    whole.saturating_add(u64::try_from(time.tv_nsec).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn work_counts_and_waiting_does_not() {
        let meter = Arc::new(Meter::default());
        let waited = meter.count(tokio::time::sleep(Duration::from_secs(3600)));
        waited.await;
        assert!(meter.spent() < Duration::from_secs(1), "{:?}", meter.spent());

        let inner = Arc::clone(&meter);
        meter
            .count(async move {
                let mut sum = 0u64;
                while inner.spent_within() < Duration::from_millis(20) {
                    for _ in 0..10_000 {
                        sum = std::hint::black_box(sum.wrapping_add(1));
                    }
                    tokio::task::yield_now().await;
                }
            })
            .await;
        assert!(meter.spent() >= Duration::from_millis(20), "{:?}", meter.spent());
    }

    #[tokio::test]
    async fn a_slice_the_machine_slept_through_is_charged_little() {
        let meter = Arc::new(Meter::default());
        // Not tokio's: the thread is away within the slice, as on a busy machine.
        meter.count(async { pause(Duration::from_millis(60)) }).await;
        let roughly = Duration::from_nanos(ROUGHLY);
        assert_eq!(meter.spent(), roughly, "the first slice, charged by the clock on the wall");
        meter.count(async { pause(Duration::from_millis(60)) }).await;
        assert!(meter.spent() < roughly * 4, "the next is measured: {:?}", meter.spent());
    }

    #[tokio::test]
    async fn only_the_first_slice_of_a_call_goes_by_the_last_tick() {
        let meter = Arc::new(Meter::default());
        let is_coarse = || meter.is_coarse.load(Ordering::Relaxed);
        assert!(!is_coarse(), "an instance for one call tells how long that took");
        for _ in 0..2 {
            meter.restart();
            let mut seen = vec![is_coarse()];
            let within = async {
                for _ in 0..3 {
                    seen.push(is_coarse());
                    tokio::task::yield_now().await;
                }
            };
            meter.count(within).await;
            assert_eq!(seen, [true, true, false, false]);
        }
        // Those are charged each, however short.
        let before = meter.spent();
        meter.count(async { pause(Duration::from_micros(200)) }).await;
        assert!(meter.spent() >= before + Duration::from_micros(200), "{:?}", meter.spent());
    }

    fn pause(time: Duration) {
        let (_silent, heard) = std::sync::mpsc::channel::<()>();
        assert!(heard.recv_timeout(time).is_err());
    }
}
