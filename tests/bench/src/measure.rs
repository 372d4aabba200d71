//! Reading clocks and counters.

use std::time::Duration;

use tokio::time::Instant;

mod process;
pub(crate) mod spawner;

pub(crate) use process::{
    adopt_orphans, cpu_of_ended_children, cpu_of_tree, proportional_kib, reset_most_resident, resident_kib,
    resident_most_kib,
};

/// How much is done.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scale {
    pub(crate) quick: bool,
}

impl Scale {
    /// `full` rounds, or a few.
    pub(crate) fn rounds(self, full: usize) -> usize {
        if self.quick { (full / 8).max(2) } else { full }
    }
}

/// The time something takes.
pub(crate) fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let started = Instant::now();
    let result = work();
    (result, started.elapsed())
}

/// The value below which this part of the values lies; the values are sorted for it.
pub(crate) fn quantile(values: &mut [f64], part: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let last = values.len().saturating_sub(1);
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "an index"
    )]
    let at = (last as f64 * part).round() as usize;
    values.get(at).copied().unwrap_or(f64::NAN)
}

/// The middle of the values.
pub(crate) fn median(values: &mut [f64]) -> f64 {
    quantile(values, 0.5)
}

/// The middle of the ratios of pairs: noise that hits both of a pair cancels.
pub(crate) fn median_ratio(ours: &[f64], peer: &[f64]) -> f64 {
    let mut ratios: Vec<f64> = ours.iter().zip(peer).map(|(ours, peer)| ours / peer).collect();
    median(&mut ratios)
}

/// Milliseconds.
pub(crate) fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}
