//! Wiring: settings and ports become the log of the auth server, or the spool of an agent.

use std::sync::Arc;

use parking_lot::Mutex;
use port::audit::{AuditLog, AuditSink};
use port::clock::Clock;
use port::random::Random;
use telemetry::health::HealthHandle;
use telemetry::metrics::Metrics;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::error::AuditServiceError;
use crate::log::folder::DiskFolder;
use crate::log::{COMPONENT, FileLog, Request, Writer};
use crate::metrics::{LogMetrics, SpoolMetrics};
use crate::settings::{LogSettings, SpoolSettings};
use crate::spool::{Forward, Forwarder, Reader, Spool};

/// What the log needs of the outside.
#[derive(Clone)]
pub struct LogPorts {
    /// Says which day it is.
    pub clock: Arc<dyn Clock>,
    /// Where its numbers go.
    pub metrics: Metrics,
    /// Where it reports, as the component `audit`.
    pub health: HealthHandle,
}

/// The audit log of the auth server.
pub struct LogService {
    log: Arc<FileLog>,
    queue: mpsc::Receiver<Request>,
    writer: Writer,
    metrics: LogMetrics,
    health: HealthHandle,
}

impl LogService {
    /// Opens the log and reads which events were written last.
    ///
    /// # Errors
    /// [`AuditServiceError`] names the folder that cannot be used.
    pub fn new(settings: &LogSettings, ports: LogPorts) -> Result<Self, AuditServiceError> {
        let path = &settings.folder;
        let folder = DiskFolder::create(path)
            .map_err(|source| AuditServiceError::LogFolder { folder: path.clone(), source })?;
        let metrics = LogMetrics::register(&ports.metrics);
        let writer = Writer::open(folder, settings.remembered, ports.clock, metrics.clone())
            .map_err(|source| AuditServiceError::LogFile { folder: path.clone(), source })?;
        let (log, queue) = FileLog::new(settings.cluster_name.clone());
        ports.health.expect(COMPONENT);
        Ok(Self { log: Arc::new(log), queue, writer, metrics, health: ports.health })
    }

    /// The log. What is appended before [`LogService::run`] waits for it.
    pub fn log(&self) -> Arc<dyn AuditLog> {
        Arc::clone(&self.log) as Arc<dyn AuditLog>
    }

    /// Writes until shutdown. What was appended by then is written still; later appends are refused,
    /// so whoever records is stopped first.
    pub async fn run(self, shutdown: CancellationToken) {
        crate::log::run(self.writer, self.queue, self.metrics, self.health, shutdown).await;
    }
}

/// What the spool needs of the outside.
#[derive(Clone)]
pub struct SpoolPorts {
    /// Says when it was found out that a session has ended.
    pub clock: Arc<dyn Clock>,
    /// Spreads retries.
    pub random: Arc<dyn Random>,
    /// Where its numbers go.
    pub metrics: Metrics,
    /// Where it reports, as the component `audit`.
    pub health: HealthHandle,
}

/// The spool of an agent.
pub struct SpoolService {
    spool: Arc<Spool>,
    reader: Reader,
    random: Arc<dyn Random>,
    health: HealthHandle,
}

impl SpoolService {
    /// Opens the spool and takes over what a process before this one left in it: events, and sessions of which
    /// it could not say that they ended.
    ///
    /// # Errors
    /// [`AuditServiceError::Spool`] names the folder that cannot be used.
    pub fn new(settings: SpoolSettings, ports: SpoolPorts) -> Result<Self, AuditServiceError> {
        let folder = settings.folder.clone();
        let failed = |source| AuditServiceError::Spool { folder, source };
        let open = || {
            let spool = Spool::open(settings, SpoolMetrics::register(&ports.metrics))?;
            Ok((Arc::clone(&spool), Reader::open(spool, ports.clock)?))
        };
        let (spool, reader) = open().map_err(failed)?;
        ports.health.expect(COMPONENT);
        Ok(Self { spool, reader, random: ports.random, health: ports.health })
    }

    /// The sink of this host's services. It takes events at once, also while [`SpoolService::run`]
    /// does not run yet because the host has not joined.
    pub fn sink(&self) -> Arc<dyn AuditSink> {
        Arc::clone(&self.spool) as Arc<dyn AuditSink>
    }

    /// Forwards until shutdown; then, for five seconds at most, what is left. The rest is forwarded
    /// after the next start.
    pub async fn run(self, forward: Arc<dyn Forward>, shutdown: CancellationToken) {
        let forwarder = Forwarder {
            spool: self.spool,
            reader: Arc::new(Mutex::new(self.reader)),
            forward,
            random: self.random,
            health: self.health,
        };
        forwarder.run(shutdown).await;
    }
}
