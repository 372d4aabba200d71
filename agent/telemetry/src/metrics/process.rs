//! What the operating system says of this process: memory, CPU time, open files.
//!
//! Read afresh for each scrape, from `/proc`; a system without it leaves the numbers out rather
//! than inventing them. Names follow Prometheus' own client libraries.

use std::fmt;
use std::fs;

use domain::Timestamp;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

use crate::health::HealthHandle;

/// What this process uses right now. A number that the system does not tell is absent.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Usage {
    /// Resident memory, in bytes.
    pub resident: Option<u64>,
    /// Open file descriptors.
    pub open_files: Option<u64>,
    /// How many there may be.
    pub max_files: Option<u64>,
    /// Operating-system threads.
    pub threads: Option<u64>,
    /// CPU time of all threads since the start, user and system, in seconds.
    pub cpu_seconds: f64,
}

impl Usage {
    /// Asks the system.
    pub fn now() -> Self {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let cpu = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
        let files = rustix::process::getrlimit(rustix::process::Resource::Nofile);
        Self {
            resident: resident(),
            open_files: open_files(),
            max_files: files.current,
            threads: threads(&status),
            cpu_seconds: seconds(cpu.tv_sec, cpu.tv_nsec),
        }
    }
}

#[allow(clippy::cast_precision_loss, reason = "seconds of CPU time and nanoseconds of one second are small")]
fn seconds(whole: i64, nanoseconds: impl Into<i64>) -> f64 {
    whole as f64 + nanoseconds.into() as f64 / 1e9
}

/// The second number of `statm`: resident pages.
fn resident() -> Option<u64> {
    let text = fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = text.split_ascii_whitespace().nth(1)?.parse().ok()?;
    pages.checked_mul(rustix::param::page_size() as u64)
}

fn threads(status: &str) -> Option<u64> {
    status.lines().find_map(|line| line.strip_prefix("Threads:"))?.trim().parse().ok()
}

/// The descriptors there are, without the one that reads the folder.
fn open_files() -> Option<u64> {
    let entries = fs::read_dir("/proc/self/fd").ok()?.count();
    u64::try_from(entries).ok()?.checked_sub(1)
}

/// Writes process metrics whenever someone scrapes.
pub(super) struct Collector {
    health: HealthHandle,
    started: Timestamp,
}

impl Collector {
    pub(super) fn new(health: HealthHandle, started: Timestamp) -> Self {
        Self { health, started }
    }
}

impl fmt::Debug for Collector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Collector")
    }
}

impl prometheus_client::collector::Collector for Collector {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), fmt::Error> {
        let usage = Usage::now();
        let mut write = |name: &str, help: &str, metric: &dyn Encode| metric.write(&mut encoder, name, help);
        let state = ConstGauge::new(self.health.overall().metric());
        write("process_state", "0 ok, 1 recovering, 2 degraded, 3 starting", &state)?;
        let started = ConstGauge::new(self.started.as_duration().as_secs_f64());
        write("process_start_time_seconds", "when the process started, in seconds since 1970", &started)?;
        let cpu = ConstCounter::new(usage.cpu_seconds);
        write("process_cpu_seconds", "user and system time spent, in seconds", &cpu)?;
        let gauges = [
            ("process_resident_memory_bytes", "resident memory", usage.resident),
            ("process_open_fds", "open file descriptors", usage.open_files),
            ("process_max_fds", "how many file descriptors may be open", usage.max_files),
            ("process_threads", "threads of the operating system", usage.threads),
        ];
        for (name, help, value) in gauges {
            if let Some(value) = value.and_then(|value| i64::try_from(value).ok()) {
                write(name, help, &ConstGauge::new(value))?;
            }
        }
        Ok(())
    }
}

/// `EncodeMetric`, in a shape that fits one closure for every kind of metric.
trait Encode {
    fn write(&self, encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str) -> fmt::Result;
}

impl<M: EncodeMetric> Encode for M {
    fn write(&self, encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str) -> fmt::Result {
        self.encode(encoder.encode_descriptor(name, help, None, self.metric_type())?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_os = "linux")]
    fn usage_follows_what_the_process_does() {
        let before = Usage::now();
        assert!(before.resident.unwrap() > 100 * 1024, "{before:?}");
        assert!(before.threads.unwrap() >= 1 && before.max_files.unwrap() >= 16, "{before:?}");
        let held: Vec<_> = (0..200).map(|_| fs::File::open("/dev/null").unwrap()).collect();
        // Other tests of this process open and close a few files of their own meanwhile.
        let after = Usage::now();
        assert!(after.open_files.unwrap() >= before.open_files.unwrap() + 150, "{before:?} {after:?}");
        assert!(after.cpu_seconds >= before.cpu_seconds);
        drop(held);
    }
}
