//! The numbers of this room.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use telemetry::metrics::{Metrics, prometheus_client, seconds};

/// Numbers of the audit log.
#[derive(Debug, Clone)]
pub(crate) struct LogMetrics {
    /// Events written.
    pub(crate) events: Counter,
    /// Events that were delivered again and not written again.
    pub(crate) duplicates: Counter,
    /// Groups of events that went to disk together.
    pub(crate) groups: Counter,
    /// Groups that could not be written.
    pub(crate) failures: Counter,
    /// How long a group takes, fsync included.
    pub(crate) group_seconds: Histogram,
}

impl LogMetrics {
    pub(crate) fn register(metrics: &Metrics) -> Self {
        metrics.register("teleport_audit_log", |registry| {
            let new = Self {
                events: Counter::default(),
                duplicates: Counter::default(),
                groups: Counter::default(),
                failures: Counter::default(),
                group_seconds: seconds(),
            };
            registry.register("events", "events written", new.events.clone());
            registry.register("duplicates", "events delivered again", new.duplicates.clone());
            registry.register("groups", "groups of events synced to disk together", new.groups.clone());
            registry.register("failures", "groups that could not be written", new.failures.clone());
            let help = "seconds to write a group and sync it to disk";
            registry.register("group_seconds", help, new.group_seconds.clone());
            new
        })
    }
}

/// Numbers of the spool.
#[derive(Debug, Clone, Default)]
pub(crate) struct SpoolMetrics {
    /// Events recorded.
    pub(crate) recorded: Counter,
    /// Events the auth server has taken.
    pub(crate) forwarded: Counter,
    /// Events refused because the spool was full or could not be written.
    pub(crate) refused: Counter,
    /// Attempts to forward that failed.
    pub(crate) failures: Counter,
    /// Lines that a death of the process left unreadable.
    pub(crate) unreadable: Counter,
    /// Bytes on disk.
    pub(crate) bytes: Gauge,
}

impl SpoolMetrics {
    pub(crate) fn register(metrics: &Metrics) -> Self {
        metrics.register("teleport_audit_spool", |registry| {
            let new = Self::default();
            registry.register("recorded", "events recorded", new.recorded.clone());
            registry.register("forwarded", "events the auth server took", new.forwarded.clone());
            registry.register("refused", "events the spool could not keep", new.refused.clone());
            registry.register("failures", "attempts to forward that failed", new.failures.clone());
            registry.register("unreadable", "lines that could not be read back", new.unreadable.clone());
            registry.register("bytes", "bytes of events on disk", new.bytes.clone());
            new
        })
    }
}
