//! The daemon's log: `tracing` events become lines, one record each, on one output.
//!
//! `process` calls [`start`] once, with settings that were checked elsewhere, and keeps the
//! [`LogHandle`]: to change the level at run time, to reopen the file after rotation, and to flush
//! before the process ends. Text lines look like this, JSON lines carry the same:
//!
//! ```text
//! 2026-11-21T02:30:00.123Z INFO [NODE] session ended user=joe status=0
//! ```
//!
//! A record never spans lines and never steers a terminal, whatever a client put into a field. A
//! slow output never stalls whoever logs: lines wait in a bounded queue for a writer thread, and
//! what does not fit is dropped, counted, and said. Libraries (h2, rustls, russh, wasmtime …) speak
//! only from WARN upwards, so that debugging our own rooms does not flood.
//!
//! Refuses to: read the environment, write to several outputs, keep or rotate old files.

use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use port::clock::Clock;
use tracing_subscriber::Registry;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::reload;

use crate::metrics::Metrics;

mod bridge;
mod encode;
mod filter;
mod layer;
mod queue;
mod record;
mod settings;
mod sink;
mod syslog;
#[cfg(test)]
mod tests;

pub use settings::{Encoding, ExtraField, Output, Settings, Severity};

/// How long a panic waits for its own record to be written.
const PANIC_FLUSH: Duration = Duration::from_secs(1);

/// Why the log cannot be started or changed.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// Standard output or error is closed.
    #[error("cannot log to {stream}; is it closed? set teleport.log.output to a file or to syslog")]
    Stream {
        /// Which one.
        stream: &'static str,
        /// What happened.
        #[source]
        source: std::io::Error,
    },
    /// The file cannot be opened for appending.
    #[error("cannot open the log file {path}; its folder must exist and be writable by this user")]
    File {
        /// Which one.
        path: PathBuf,
        /// What happened.
        #[source]
        source: std::io::Error,
    },
    /// No syslog daemon listens.
    #[error(
        "cannot reach the system log at {socket}; start a syslog daemon or set teleport.log.output to stderr"
    )]
    Syslog {
        /// Its socket.
        socket: PathBuf,
        /// What happened.
        #[source]
        source: std::io::Error,
    },
    /// The thread that writes cannot be started.
    #[error("cannot start the thread that writes the log")]
    Thread(#[source] std::io::Error),
    /// A log has been started in this process before.
    #[error("the log of this process has already been started")]
    AlreadyStarted,
    /// The level can no longer be changed, because the log has ended.
    #[error("the log of this process has ended")]
    Ended,
}

/// The running log. Clones speak of the same one.
#[derive(Clone)]
pub struct LogHandle(Arc<Shared>);

struct Shared {
    queue: Arc<queue::Queue>,
    filter: reload::Handle<Targets, Registry>,
    severity: Mutex<Severity>,
    output: Output,
    /// The file opened last; the writer thread takes it up before it writes on.
    reopened: Arc<Mutex<Option<File>>>,
    /// Whether this log also speaks for libraries that use the `log` crate.
    global: bool,
}

/// Starts the log of this process: the subscriber of every `tracing` event, the logger of libraries
/// that use `log`, and the record of panics.
///
/// # Errors
/// [`LogError`] when the output cannot be opened, or when this was called before.
pub fn start(settings: &Settings, clock: Arc<dyn Clock>) -> Result<LogHandle, LogError> {
    let (dispatch, handle) = assemble(settings, clock, true)?;
    tracing::dispatcher::set_global_default(dispatch).map_err(|_| LogError::AlreadyStarted)?;
    bridge::install(settings.severity)?;
    record_panics(handle.clone());
    Ok(handle)
}

/// A log that is not that of the process: for tests, with `tracing::dispatcher::with_default`.
///
/// # Errors
/// [`LogError`] when the output cannot be opened.
pub fn build(settings: &Settings, clock: Arc<dyn Clock>) -> Result<(tracing::Dispatch, LogHandle), LogError> {
    assemble(settings, clock, false)
}

fn assemble(
    settings: &Settings,
    clock: Arc<dyn Clock>,
    global: bool,
) -> Result<(tracing::Dispatch, LogHandle), LogError> {
    let reopened = Arc::new(Mutex::new(None));
    let sink = sink::Sink::open(&settings.output, Arc::clone(&reopened))?;
    let encoder = encode::Encoder::new(settings);
    let queue = queue::start(sink, encoder.clone(), Arc::clone(&clock)).map_err(LogError::Thread)?;
    let (filter, reloads) = reload::Layer::new(filter::targets(settings.severity));
    let lines = layer::Lines::new(encoder, clock, queue::Owner::new(Arc::clone(&queue)));
    let handle = LogHandle(Arc::new(Shared {
        queue,
        filter: reloads,
        severity: Mutex::new(settings.severity),
        output: settings.output.clone(),
        reopened,
        global,
    }));
    Ok((tracing::Dispatch::new(Registry::default().with(filter).with(lines)), handle))
}

/// Puts panics into the log: standard error may lead nowhere.
fn record_panics(handle: LogHandle) {
    std::panic::set_hook(Box::new(move |panic| {
        let message = panic.payload_as_str().unwrap_or("a panic without a message");
        let location = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(component = "panic", location, "{message}");
        handle.flush(PANIC_FLUSH);
    }));
}

impl LogHandle {
    /// The least severe records written.
    pub fn severity(&self) -> Severity {
        *self.0.severity.lock()
    }

    /// Writes records from this severity upwards, from now on.
    ///
    /// # Errors
    /// [`LogError::Ended`] when the subscriber is gone.
    pub fn set_severity(&self, severity: Severity) -> Result<(), LogError> {
        self.0.filter.reload(filter::targets(severity)).map_err(|_| LogError::Ended)?;
        if self.0.global {
            bridge::set_severity(severity);
        }
        *self.0.severity.lock() = severity;
        Ok(())
    }

    /// Opens the log file anew, after something moved it away; nothing happens for other outputs. Says whether there
    /// is a file.
    ///
    /// # Errors
    /// [`LogError::File`]; then the log goes on into the file it has.
    pub fn reopen(&self) -> Result<bool, LogError> {
        let Output::File(path) = &self.0.output else { return Ok(false) };
        let file = sink::open_file(path)?;
        *self.0.reopened.lock() = Some(file);
        Ok(true)
    }

    /// Waits until everything logged so far is written, at most this long. Says whether it is.
    ///
    /// Blocks the thread: call it when the process ends, or from a blocking task.
    pub fn flush(&self, at_most: Duration) -> bool {
        self.0.queue.flush(at_most)
    }

    /// Shows in the metrics how many records were dropped, as `teleport_log_records_dropped_total`.
    pub fn register(&self, metrics: &Metrics) {
        let dropped = self.0.queue.dropped().clone();
        metrics.register("teleport_log", |registry| {
            let help = "log records dropped because the output was slow or failed";
            registry.register("records_dropped", help, dropped.clone());
            dropped
        });
    }
}

impl std::fmt::Debug for LogHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LogHandle").field("severity", &self.severity()).finish_non_exhaustive()
    }
}
