//! What a watch of etcd tells, gathered to whole revisions of etcd's and told as the contract wants it.

use std::collections::VecDeque;

use teleport_plugin_sdk::storage_backend::{Batch, Change, Event, Failure, Revision};

use crate::journal::{self, Raw};
use crate::key::Keyspace;
use crate::refusal::{Problem, said};
use crate::revision;
use crate::wire::{self, Frame, Happening, Told};

/// The largest revision that is put together here, in bytes. Who meets a larger one lists again.
const REVISION_MAX: usize = 24 * 1024 * 1024;

/// The most that is told at once, in bytes, but for a single revision.
const BATCH_MAX: usize = 8 * 1024 * 1024;

/// What it costs to hold a change, beside its key and value.
const EVENT: usize = 128;

/// What a line says beside changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    /// The watch has begun, or goes on.
    On,
    /// The watch is over, with the reason; a new one goes on from where this one was.
    Over(String),
}

/// A revision of etcd's in the making.
#[derive(Debug)]
struct Open {
    at: u64,
    raw: Vec<Raw>,
    journal: Option<Vec<u8>>,
    bytes: usize,
}

/// A whole revision of etcd's.
#[derive(Debug)]
struct Whole {
    at: u64,
    events: Vec<Event>,
    bytes: usize,
}

/// Changes on their way.
#[derive(Debug)]
pub struct Gather {
    /// What is wanted comes after this.
    after: Revision,
    /// Everything up to this revision of etcd's has come.
    came: u64,
    /// Everything up to here has been told.
    told: Revision,
    open: Option<Open>,
    whole: VecDeque<Whole>,
}

impl Gather {
    /// Begins after this revision; what is told of it or of earlier ones is left out.
    pub fn after(revision: Revision) -> Self {
        let came = revision::seen_whole(revision);
        Self { after: revision, came, told: revision, open: None, whole: VecDeque::new() }
    }

    /// Everything up to here has been told.
    pub fn told(&self) -> Revision {
        self.told
    }

    /// Takes a line.
    ///
    /// # Errors
    /// [`Problem::Compacted`] when changes are missing, [`Failure::Corrupt`] when it makes no sense.
    pub fn line(&mut self, line: &[u8], space: &Keyspace) -> Result<Line, Problem> {
        let frame: Frame<'_> = wire::read(line)?;
        if let Some(error) = frame.error {
            return Ok(Line::Over(said(200, &error.message)));
        }
        let Some(told) = frame.result else {
            return Err(wire::corrupt("a line of a watch that says nothing").into());
        };
        if told.compact_revision.0 > 0 {
            return Err(Problem::Compacted);
        }
        if told.canceled {
            return Ok(Line::Over(said(200, &told.cancel_reason)));
        }
        self.take(&told, space)?;
        Ok(Line::On)
    }

    fn take(&mut self, told: &Told<'_>, space: &Keyspace) -> Result<(), Problem> {
        for happening in &told.events {
            let at = happening.kv.mod_revision.0;
            if at <= self.came {
                continue;
            }
            match &self.open {
                Some(open) if open.at == at => {}
                Some(open) if open.at > at => {
                    return Err(wire::corrupt("changes in another order than they happened").into());
                }
                _ => self.close()?,
            }
            let open = self.open.get_or_insert_with(|| Open { at, raw: Vec::new(), journal: None, bytes: 0 });
            open.add(happening, space)?;
            if open.bytes > REVISION_MAX {
                return Err(Problem::Compacted);
            }
        }
        // A line without changes says that there are none up to its revision, but for the first one,
        // which says only that the watch has begun.
        let (at, is_news) = (told.header.revision.0, told.events.is_empty() && !told.created);
        if !told.fragment {
            self.close()?;
        }
        if is_news && !told.fragment {
            self.came = self.came.max(at);
        }
        Ok(())
    }

    /// The open revision is whole.
    fn close(&mut self) -> Result<(), Failure> {
        let Some(Open { at, raw, journal, bytes }) = self.open.take() else { return Ok(()) };
        let steps = journal.as_deref().map(journal::decode).transpose()?.flatten();
        let mut events = match steps {
            Some(steps) => journal::replay(at, steps, raw)?,
            None => journal::plain(at, raw),
        };
        events.retain(|event| event.revision > self.after);
        self.whole.push_back(Whole { at, events, bytes });
        self.came = at;
        Ok(())
    }

    /// Whether there is something to tell.
    pub fn is_ready(&self) -> bool {
        self.whole.iter().any(|whole| !whole.events.is_empty())
    }

    /// What there is to tell: about `limit` changes, whole revisions.
    pub fn tell(&mut self, limit: usize) -> Batch {
        let (mut events, mut bytes) = (Vec::new(), 0);
        while let Some(next) = self.whole.pop_front() {
            let is_first = events.is_empty();
            if !is_first && (events.len() + next.events.len() > limit || bytes + next.bytes > BATCH_MAX) {
                self.whole.push_front(next);
                break;
            }
            bytes += next.bytes;
            self.told = revision::last_of(next.at);
            events.extend(next.events);
        }
        if self.whole.is_empty() {
            self.told = self.told.max(revision::last_of(self.came));
        }
        Batch { events, up_to: self.told }
    }
}

impl Open {
    fn add(&mut self, happening: &Happening<'_>, space: &Keyspace) -> Result<(), Failure> {
        let full = happening.kv.key()?;
        let removed = match happening.kind.as_ref() {
            "" | "PUT" => false,
            "DELETE" => true,
            _ => return Err(wire::corrupt("a change that is neither a put nor a delete")),
        };
        if full == space.own() {
            self.journal = if removed { None } else { Some(happening.kv.value()?) };
            self.bytes += self.journal.as_ref().map_or(0, Vec::len);
            return Ok(());
        }
        self.bytes += EVENT + full.len();
        let raw = if removed {
            Raw::Delete(space.ours(&full).ok_or_else(|| wire::corrupt("a change of a key that is not ours"))?)
        } else {
            let item = happening.kv.item(space)?;
            self.bytes += item.value.len();
            Raw::Put { item, replaced: happening.kv.version.0 > 1 }
        };
        self.raw.push(raw);
        Ok(())
    }
}

/// A change in short, for tests: `+key=value` or `-key`.
pub fn short(event: &Event) -> String {
    match &event.change {
        Change::Put(item) => format!("+{}={}", item.key, String::from_utf8_lossy(&item.value)),
        Change::Delete(key) => format!("-{key}"),
    }
}

#[cfg(test)]
mod tests;
