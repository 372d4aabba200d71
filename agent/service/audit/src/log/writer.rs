//! Writes groups of events. Blocking: runs where waiting for a disk is allowed.
//!
//! A group is whole or not at all: when writing or syncing fails, the file is cut back to where the
//! group began, the callers get the error, and the next group starts with the file opened anew. A
//! line that a killed process left unfinished stays as it is and gets its line break, so that it
//! never runs into the next.

use std::collections::HashSet;
use std::io;
use std::sync::Arc;

use port::clock::Clock;
use serde::Deserialize;
use uuid::Uuid;

use super::Request;
use super::folder::{DiskFolder, Folder, LogFile};
use super::recent::Recent;
use crate::metrics::LogMetrics;

/// How much of a file is read at start to learn which events are in it.
const TAIL: u64 = 16 * 1024 * 1024;

/// How many days are looked at for that: yesterday matters just after midnight.
const TAIL_DAYS: usize = 2;

/// A group that could not be written. None of its events is in the log, as far as is known.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WriteError {
    #[error("cannot open the file of {day}")]
    Open { day: String, source: io::Error },
    #[error("cannot lock the file of {day}")]
    Lock { day: String, source: io::Error },
    #[error("cannot append to the file of {day}, which resumes by itself when the disk takes bytes again")]
    Append { day: String, source: io::Error },
    #[error("cannot sync the file of {day} to disk, which resumes by itself when the disk works again")]
    Sync { day: String, source: io::Error },
    #[error("the disk takes no bytes yet")]
    Probe(#[source] io::Error),
}

/// Owns the files.
pub(crate) struct Writer {
    folder: Box<dyn Folder>,
    clock: Arc<dyn Clock>,
    metrics: LogMetrics,
    recent: Recent,
    /// The day and its file.
    open: Option<(String, Box<dyn LogFile>)>,
}

#[derive(Deserialize)]
struct OnlyUid {
    uid: Option<Uuid>,
}

impl Writer {
    /// A writer that remembers the latest events of the folder.
    pub(crate) fn open(
        folder: DiskFolder,
        remembered: usize,
        clock: Arc<dyn Clock>,
        metrics: LogMetrics,
    ) -> io::Result<Self> {
        let mut recent = Recent::new(remembered);
        // What is remembered is never written again, so it has to be on disk: the tails are synced.
        // The newest are remembered last, so that they are forgotten last.
        for text in folder.newest_tails(TAIL_DAYS, TAIL)?.iter().rev() {
            let lines = text.split(|byte| *byte == b'\n');
            let uids = lines.filter_map(|line| serde_json::from_slice::<OnlyUid>(line).ok()?.uid);
            uids.for_each(|uid| recent.remember(uid));
        }
        let mut writer = Self { folder: Box::new(folder), clock, metrics, recent, open: None };
        let day = writer.day();
        writer.open = Some((day.clone(), writer.folder.open(&day)?));
        Ok(writer)
    }

    #[cfg(test)]
    pub(crate) fn with_folder(mut self, wrap: impl FnOnce(Box<dyn Folder>) -> Box<dyn Folder>) -> Self {
        self.open = None;
        self.folder = wrap(self.folder);
        self
    }

    /// Writes the events of all requests that were not written before, and returns when they are on
    /// disk. Without any, tries whether the disk takes bytes.
    pub(crate) fn write(&mut self, group: &[Request]) -> Result<(), WriteError> {
        if group.is_empty() {
            return self.folder.probe().map_err(WriteError::Probe);
        }
        let (bytes, uids, count) = self.fresh(group);
        if bytes.is_empty() {
            return Ok(());
        }
        self.append(&bytes)?;
        uids.into_iter().for_each(|uid| self.recent.remember(uid));
        self.metrics.groups.inc();
        self.metrics.events.inc_by(count);
        Ok(())
    }

    /// The lines that were not written before, with their identifiers and number.
    fn fresh(&self, group: &[Request]) -> (Vec<u8>, Vec<Uuid>, u64) {
        let lines = || group.iter().flat_map(|request| &request.lines);
        let mut bytes = Vec::with_capacity(lines().map(|line| line.bytes.len()).sum::<usize>() + 1);
        let (mut seen, mut uids, mut count) = (HashSet::new(), Vec::new(), 0);
        for line in lines() {
            if let Some(uid) = line.uid {
                if self.recent.contains(&uid) || !seen.insert(uid) {
                    self.metrics.duplicates.inc();
                    continue;
                }
                uids.push(uid);
            }
            bytes.extend_from_slice(&line.bytes);
            count += 1;
        }
        (bytes, uids, count)
    }

    fn append(&mut self, bytes: &[u8]) -> Result<(), WriteError> {
        let day = self.day();
        let (mut file, start) = self.lock(&day)?;
        // Whatever fails below drops the file, which also unlocks it; the next group opens it anew.
        let torn = start > 0 && file.byte_before(start).is_ok_and(|byte| byte != b'\n');
        let line_break: &[u8] = if torn { b"\n" } else { b"" };
        if let Err(source) = file.append(&[line_break, bytes].concat()) {
            take_back(file.as_mut(), start);
            return Err(WriteError::Append { day, source });
        }
        if let Err(source) = file.sync() {
            take_back(file.as_mut(), start);
            return Err(WriteError::Sync { day, source });
        }
        if file.unlock().is_ok() {
            self.open = Some((day, file));
        }
        Ok(())
    }

    /// The locked file of a day and its length. A file that someone removed is made again.
    fn lock(&mut self, day: &str) -> Result<(Box<dyn LogFile>, u64), WriteError> {
        let lock = |source| WriteError::Lock { day: day.to_owned(), source };
        let held = self.open.take().filter(|(of, _)| of == day);
        if let Some((_, mut file)) = held
            && let Some(length) = file.lock().map_err(lock)?
        {
            return Ok((file, length));
        }
        let mut file =
            self.folder.open(day).map_err(|source| WriteError::Open { day: day.to_owned(), source })?;
        match file.lock().map_err(lock)? {
            Some(length) => Ok((file, length)),
            None => Err(lock(io::Error::other("it was removed while it was opened"))),
        }
    }

    /// The day it is, in UTC.
    fn day(&self) -> String {
        self.clock.now().strftime("%Y-%m-%d").to_string()
    }
}

/// Cuts off what a failed group left behind. When even that fails, what is left gets its line break
/// before the next group, and is not known to be on disk.
fn take_back(file: &mut dyn LogFile, start: u64) {
    if let Err(error) = file.truncate(start) {
        tracing::warn!(component = "audit", %error, "cannot take back what was written of a failed group");
    }
}
