//! Processor time of one call, measured on the thread that runs it.
//!
//! Epochs alone count time on the clock, so a plugin on a busy machine would be charged for others'
//! work; the thread's own clock is not. It also counts what host functions spend on the call.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Counts the processor time of one call.
#[derive(Default)]
pub(crate) struct Meter {
    /// Nanoseconds of the finished slices.
    spent: AtomicU64,
    /// The thread's clock when the running slice began.
    began: AtomicU64,
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
            let began = thread_clock();
            self.began.store(began, Ordering::Relaxed);
            let poll = future.as_mut().poll(context);
            self.spent.fetch_add(thread_clock().saturating_sub(began), Ordering::Relaxed);
            poll
        })
        .await
    }

    /// Begins to count anew, for the next call of an instance that is kept.
    pub(crate) fn restart(&self) {
        self.spent.store(0, Ordering::Relaxed);
    }

    /// The time of the finished slices.
    pub(crate) fn spent(&self) -> Duration {
        Duration::from_nanos(self.spent.load(Ordering::Relaxed))
    }

    /// The time so far, asked from within a slice.
    pub(crate) fn spent_within(&self) -> Duration {
        let slice = thread_clock().saturating_sub(self.began.load(Ordering::Relaxed));
        self.spent() + Duration::from_nanos(slice)
    }
}

/// Processor time of this thread, in nanoseconds.
fn thread_clock() -> u64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
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
                    sum = std::hint::black_box(sum.wrapping_add(1));
                }
            })
            .await;
        assert!(meter.spent() >= Duration::from_millis(20), "{:?}", meter.spent());
    }
}
