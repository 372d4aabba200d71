//! The sink of agents: events wait on disk until the auth server has taken them.
//!
//! [`Spool::record`] writes one line into the newest segment and returns: the operating system has
//! the bytes then, so the event survives the death of this process (not of the machine: no fsync is
//! spent per event). [`forward`] reads segments back in order, hands batches to the auth server, and
//! forgets what was acknowledged. When everything is, the segment is emptied, so that an idle agent
//! keeps no bytes and, more often than not, never wrote any to the disk.
//!
//! Of sessions whose daemon died the spool itself tells the end ([`ledger`]).

use std::collections::VecDeque;
use std::io;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use domain::audit::Event;
use parking_lot::Mutex;
use port::audit::{AuditError, AuditSink};
use port::clock::Clock;
use tokio::sync::Notify;

use crate::line::encode;
use crate::metrics::SpoolMetrics;
use crate::settings::SpoolSettings;

mod forward;
mod ledger;
mod reader;
mod segment;
#[cfg(test)]
mod tests;

pub(crate) use forward::Forwarder;
pub use forward::{Forward, ForwardError};
use ledger::Ledger;
pub(crate) use reader::Reader;
use segment::Segment;

/// The segments this process writes, and who waits for events.
pub(crate) struct Spool {
    settings: SpoolSettings,
    metrics: SpoolMetrics,
    written: Mutex<Written>,
    ledger: Ledger,
    /// Told of every event.
    fresh: Notify,
}

#[derive(Default)]
struct Written {
    /// Oldest first; the last one is written to.
    segments: VecDeque<Arc<Segment>>,
    /// Bytes of all segments on disk that are this process's to forward.
    total: u64,
}

impl Spool {
    /// Opens the spool. Segments of processes that died are found by the [`Reader`]; those of a
    /// process that still runs belong to it. This one begins its own with its first event, so that a
    /// full disk keeps no host from starting.
    ///
    /// # Errors
    /// When the folder cannot be made.
    pub(crate) fn open(settings: SpoolSettings, metrics: SpoolMetrics) -> io::Result<Arc<Self>> {
        segment::create_folder(&settings.folder)?;
        let ledger = Ledger::new(&settings.folder);
        Ok(Arc::new(Self { settings, metrics, written: Mutex::default(), ledger, fresh: Notify::new() }))
    }

    /// Says of the sessions of daemons that died that they have ended. What cannot be kept now is said another time.
    fn end_lost(&self, clock: &dyn Clock) {
        for dead in ledger::left_behind(&self.settings.folder) {
            let end = |session: &ledger::Begun| self.keep(&encode(session.lost(clock.now())).bytes, false);
            match dead.sessions().iter().try_for_each(end) {
                Ok(()) => dead.forget(),
                Err(error) => {
                    tracing::warn!(component = "audit", %error, "what a daemon that died left open is not said to have ended")
                }
            }
        }
    }

    /// Keeps one line. Those of strangers only while the spool is not half full: without room for its
    /// beginning no session starts, and nobody who is not signed in may have a say in that.
    fn keep(&self, line: &[u8], is_strangers: bool) -> Result<(), AuditError> {
        let mut written = self.written.lock();
        let added = line.len() as u64;
        let total = written.total + added;
        if total > self.settings.max_bytes {
            return Err(AuditError::Full(written.total));
        }
        if is_strangers && total > self.settings.max_bytes / 2 {
            return Err(AuditError::Reserved(written.total));
        }
        let failed = |error: io::Error| {
            let folder = self.settings.folder.display();
            AuditError::Write(format!("cannot write the audit spool in {folder}: {error}"))
        };
        let segment = self.writable(&mut written, added).map_err(failed)?;
        segment.append(line).map_err(failed)?;
        self.grow(&mut written, added.cast_signed());
        drop(written);
        self.fresh.notify_one();
        Ok(())
    }

    /// The newest segment, or a new one when that has no room.
    fn writable(&self, written: &mut Written, added: u64) -> io::Result<Arc<Segment>> {
        if let Some(newest) = written.segments.back()
            && (newest.is_empty() || newest.length() + added <= self.settings.segment_bytes)
        {
            return Ok(Arc::clone(newest));
        }
        let segment = Arc::new(Segment::create(&self.settings.folder)?);
        self.grow(written, segment.length().cast_signed());
        written.segments.push_back(Arc::clone(&segment));
        Ok(segment)
    }

    fn grow(&self, written: &mut Written, bytes: i64) {
        written.total = written.total.saturating_add_signed(bytes);
        self.metrics.bytes.set(written.total.cast_signed());
    }

    /// Counts a segment that a dead process left behind.
    fn adopt(&self, bytes: u64) {
        self.grow(&mut self.written.lock(), bytes.cast_signed());
    }

    /// No longer counts a segment that was forwarded and removed.
    fn release(&self, bytes: u64) {
        self.grow(&mut self.written.lock(), -bytes.cast_signed());
    }

    /// The oldest segment of this process.
    fn oldest(&self) -> Option<Arc<Segment>> {
        self.written.lock().segments.front().cloned()
    }

    /// Everything in the oldest segment is acknowledged: removes it, or empties it when it is the one
    /// that is written to. Says whether there is another one to read.
    fn finish_oldest(&self) -> io::Result<bool> {
        // Under the lock, so that no event gets into a segment while it goes.
        let mut written = self.written.lock();
        let Some(oldest) = written.segments.front().cloned() else { return Ok(false) };
        if oldest.acknowledged() < oldest.length() {
            return Ok(true);
        }
        let before = oldest.length();
        if written.segments.len() == 1 {
            oldest.empty()?;
            let after = oldest.length();
            self.grow(&mut written, after.cast_signed() - before.cast_signed());
            return Ok(false);
        }
        oldest.remove()?;
        written.segments.pop_front();
        self.grow(&mut written, -before.cast_signed());
        Ok(true)
    }

    /// Whether a segment is one that this process writes.
    fn owns(&self, path: &Path) -> bool {
        self.written.lock().segments.iter().any(|segment| segment.is_at(path))
    }

    fn folder(&self) -> &Path {
        &self.settings.folder
    }
}

#[async_trait]
impl AuditSink for Spool {
    async fn record(&self, event: Event) -> Result<(), AuditError> {
        // One write into the page cache, a few microseconds: cheaper than going to another thread.
        let kept = self.keep(&encode(event.to_json()).bytes, event.detail.is_strangers());
        match &kept {
            Ok(()) => {
                self.metrics.recorded.inc();
                self.ledger.note(&event);
            }
            Err(_) => {
                self.metrics.refused.inc();
            }
        }
        kept
    }
}
