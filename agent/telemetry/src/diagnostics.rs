//! What the daemon knows of itself, as lines for the log: the answer to the signal USR1.
//!
//! Gathers and renders only; `process` owns the signal. Nothing in here is secret.

use std::time::Duration;

use domain::Timestamp;
use domain::health::Shown;
use tokio::runtime::RuntimeMetrics;

use crate::Build;
use crate::health::HealthHandle;
use crate::metrics::{Metrics, Usage};

/// What to gather from.
#[derive(Debug, Clone, Copy)]
pub struct Sources<'a> {
    /// Which program this is.
    pub build: Build,
    /// When it started.
    pub started: Timestamp,
    /// Now.
    pub now: Timestamp,
    /// Its health.
    pub health: &'a HealthHandle,
    /// Its metrics.
    pub metrics: &'a Metrics,
    /// Its main runtime, from `tokio::runtime::Handle::metrics`.
    pub runtime: &'a RuntimeMetrics,
}

/// Everything worth knowing, one fact per line. Metrics come last, without their descriptions.
pub fn lines(sources: Sources<'_>) -> Vec<String> {
    let mut lines = vec![program(sources), usage(Usage::now()), runtime(sources.runtime)];
    lines.push(format!("health {}", sources.health.overall().as_str()));
    lines.extend(sources.health.shown().into_iter().map(component));
    match sources.metrics.encode() {
        Ok(text) => lines.extend(text.lines().filter(|line| !line.starts_with('#')).map(metric)),
        Err(error) => lines.push(format!("metrics {error}")),
    }
    lines
}

/// Puts [`lines`] into the log.
pub fn log(sources: Sources<'_>) {
    for line in lines(sources) {
        tracing::info!(component = "diagnostics", "{line}");
    }
}

fn program(Sources { build, started, now, .. }: Sources<'_>) -> String {
    let uptime = Duration::try_from(now.duration_since(started)).unwrap_or_default();
    let Build { version, revision } = build;
    let pid = std::process::id();
    let uptime = domain::duration::format(uptime);
    format!("program version={version} revision={revision} pid={pid} uptime={uptime}")
}

fn usage(usage: Usage) -> String {
    let known = |value: Option<u64>| value.map_or_else(|| "unknown".to_owned(), |value| value.to_string());
    format!(
        "process resident_bytes={} open_files={} max_files={} threads={} cpu_seconds={:.2}",
        known(usage.resident),
        known(usage.open_files),
        known(usage.max_files),
        known(usage.threads),
        usage.cpu_seconds,
    )
}

fn runtime(metrics: &RuntimeMetrics) -> String {
    let workers = metrics.num_workers();
    let busy: Duration = (0..workers).map(|worker| metrics.worker_total_busy_duration(worker)).sum();
    format!(
        "runtime workers={workers} tasks={} queued={} busy_seconds={:.2}",
        metrics.num_alive_tasks(),
        metrics.global_queue_depth(),
        busy.as_secs_f64(),
    )
}

fn component(Shown { component, state, reason }: Shown) -> String {
    let reason = reason.map(|reason| format!(" reason={reason:?}")).unwrap_or_default();
    format!("component {component} state={}{reason}", state.as_str())
}

fn metric(line: &str) -> String {
    format!("metric {line}")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use port::clock::SystemClock;

    use super::*;

    #[tokio::test]
    async fn says_what_runs_how_it_fares_and_what_it_uses() {
        let health = HealthHandle::new(Arc::new(SystemClock));
        health.worked("auth");
        health.failed("auth", "disk \"full\"\nforged");
        let build = Build { version: "1.2.3", revision: "abc" };
        let started = Timestamp::from_second(1_000).unwrap();
        let metrics = Metrics::of_process(build, health.clone(), started);
        let waiting = tokio::spawn(std::future::pending::<()>());
        let sources = Sources {
            build,
            started,
            now: Timestamp::from_second(4_661).unwrap(),
            health: &health,
            metrics: &metrics,
            runtime: &tokio::runtime::Handle::current().metrics(),
        };
        let lines = lines(sources);
        waiting.abort();
        let text = lines.join("\n");
        assert!(text.starts_with("program version=1.2.3 revision=abc pid="), "{text}");
        assert!(text.contains("uptime=1h1m1s\nprocess resident_bytes="), "{text}");
        assert!(text.contains("runtime workers=1 tasks=1 queued="), "{text}");
        assert!(
            text.contains("component auth state=degraded reason=\"disk \\\"full\\\"\\nforged\""),
            "{text}"
        );
        assert!(text.contains("metric process_state 2"), "{text}");
        assert!(!text.contains("# TYPE"), "{text}");
        assert!(lines.iter().all(|line| !line.contains('\n')));
    }
}
