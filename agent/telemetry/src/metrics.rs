//! The numbers of the daemon, in the OpenMetrics text that Prometheus scrapes.
//!
//! Each room keeps its own families in its `metrics.rs` and puts them here under its own prefix:
//!
//! ```
//! use prometheus_client::metrics::counter::Counter;
//! use teleport_telemetry::metrics::Metrics;
//!
//! #[derive(Clone, Default)]
//! struct NodeMetrics {
//!     sessions: Counter,
//! }
//!
//! let metrics = Metrics::default();
//! let node = metrics.register("teleport_node", |registry| {
//!     let node = NodeMetrics::default();
//!     registry.register("sessions", "sessions opened", node.sessions.clone());
//!     node
//! });
//! node.sessions.inc();
//! assert!(metrics.encode().unwrap().contains("teleport_node_sessions_total 1"));
//! ```
//!
//! Refuses to hold anything global: the registry is handed to whoever measures.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

use crate::Build;
use crate::health::HealthHandle;

mod process;

pub use process::Usage;
pub use prometheus_client;

/// The media type of what [`Metrics::encode`] writes.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The metrics could not be written as text.
#[derive(Debug, thiserror::Error)]
#[error("cannot write the metrics as text")]
pub struct MetricsError(#[source] std::fmt::Error);

/// Every metric of the process. Clones share one registry.
#[derive(Clone, Default)]
pub struct Metrics(Arc<Inner>);

#[derive(Default)]
struct Inner {
    registry: Mutex<Registry>,
    families: Mutex<HashMap<(TypeId, String), Box<dyn Any + Send>>>,
}

impl Metrics {
    /// The metrics of a daemon: build, process and `process_state`, and whatever is registered later.
    pub fn of_process(build: Build, health: HealthHandle, started: domain::Timestamp) -> Self {
        let metrics = Self::default();
        let labels = vec![("version", build.version), ("gitref", build.revision)];
        let mut registry = metrics.0.registry.lock();
        registry.register("teleport_build", "the program that runs", Info::new(labels));
        registry.register_collector(Box::new(process::Collector::new(health, started)));
        drop(registry);
        metrics
    }

    /// The families of a room, made on first call and shared by every later call with the same type
    /// and prefix: a service that is started again goes on counting where it was.
    ///
    /// `prefix` comes without a trailing underscore, such as `teleport_node`.
    pub fn register<T>(&self, prefix: &str, make: impl FnOnce(&mut Registry) -> T) -> T
    where
        T: Clone + Send + 'static,
    {
        let mut families = self.0.families.lock();
        let slot = (TypeId::of::<T>(), prefix.to_owned());
        if let Some(family) = families.get(&slot).and_then(|family| family.downcast_ref::<T>()) {
            return family.clone();
        }
        let family = make(self.0.registry.lock().sub_registry_with_prefix(prefix));
        families.insert(slot, Box::new(family.clone()));
        family
    }

    /// Every metric as text; serve it with [`CONTENT_TYPE`].
    ///
    /// # Errors
    /// [`MetricsError`] when a collector fails.
    pub fn encode(&self) -> Result<String, MetricsError> {
        let mut text = String::new();
        let registry = self.0.registry.lock();
        prometheus_client::encoding::text::encode(&mut text, &registry).map_err(MetricsError)?;
        Ok(text)
    }
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Metrics").field("rooms", &self.0.families.lock().len()).finish()
    }
}

/// A histogram of durations in seconds, from 0.5 ms to 16 s in doublings: good for a disk write as
/// well as for a login.
pub fn seconds() -> Histogram {
    Histogram::new(prometheus_client::metrics::histogram::exponential_buckets(0.0005, 2.0, 16))
}

#[cfg(test)]
mod tests {
    use domain::Timestamp;
    use port::clock::SystemClock;
    use prometheus_client::metrics::counter::Counter;

    use super::*;

    fn counted(metrics: &Metrics) -> Counter {
        metrics.register("teleport_node", |registry| {
            let counter = Counter::default();
            registry.register("sessions", "sessions opened", counter.clone());
            counter
        })
    }

    #[test]
    fn a_service_started_again_goes_on_with_the_same_numbers() {
        let metrics = Metrics::default();
        counted(&metrics).inc();
        counted(&metrics).inc();
        let text = metrics.encode().unwrap();
        assert!(text.contains("teleport_node_sessions_total 2\n"), "{text}");
        assert_eq!(text.matches("# TYPE teleport_node_sessions counter").count(), 1, "{text}");
    }

    #[test]
    fn two_rooms_with_one_type_do_not_share_numbers() {
        let metrics = Metrics::default();
        let make = |registry: &mut Registry| {
            let counter: Counter = Counter::default();
            registry.register("events", "events", counter.clone());
            counter
        };
        metrics.register("a", make).inc_by(3);
        metrics.register("b", make);
        let text = metrics.encode().unwrap();
        assert!(text.contains("a_events_total 3\n") && text.contains("b_events_total 0\n"), "{text}");
    }

    #[test]
    fn a_daemon_shows_build_process_and_state() {
        let health = HealthHandle::new(Arc::new(SystemClock));
        let build = Build { version: "1.2.3", revision: "abc" };
        let started = Timestamp::from_second(1_000).unwrap();
        let metrics = Metrics::of_process(build, health.clone(), started);
        let text = metrics.encode().unwrap();
        for line in [
            r#"teleport_build_info{version="1.2.3",gitref="abc"} 1"#,
            "process_state 3",
            "process_start_time_seconds 1000.0",
            "# TYPE process_cpu_seconds counter",
            "# TYPE process_resident_memory_bytes gauge",
            "# TYPE process_open_fds gauge",
            "# EOF",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is missing in:\n{text}");
        }
        health.worked("auth");
        assert!(metrics.encode().unwrap().contains("process_state 0\n"));
    }
}
