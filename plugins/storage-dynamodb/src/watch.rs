//! Following the changes: the log is read on, again and again.
//!
//! DynamoDB pushes nothing to whoever waits, and its own streams are another service with another
//! policy. So the log is asked for what is new every quarter of a second, which bounds how late a change
//! is heard: a quarter of a second and the time of one read. An idle table costs four reads a second
//! and auth server that way.

use std::time::Duration;

use teleport_plugin_sdk::storage_backend::{Batch, Change, Event, Failure, Revision};

use crate::backend::Backend;
use crate::entry::{Step, Stored};
use crate::log::{Entry, Read};
use crate::outside::Outside;

/// How often the log is asked.
const POLL: Duration = Duration::from_millis(250);

/// How often it is made sure that the log has not gone back: a table that was restored knows less.
const RELOOK: Duration = Duration::from_secs(15);

/// Bytes of one batch.
const BATCH: usize = 4 * 1024 * 1024;

/// Requests left for telling what has been found.
const SPARE: u32 = 12;

impl<O: Outside> Backend<O> {
    /// The changes after `after`; waits for at most `wait` until there is one.
    pub(crate) fn next_now(&mut self, after: Revision, limit: u32, wait: Duration) -> Result<Batch, Failure> {
        let end = self.outside.monotonic().saturating_add(wait);
        let outcome = self.follow(after, limit.clamp(1, 1000), end);
        self.told = match &outcome {
            Ok(batch) => Some((batch.up_to, self.told.map_or(Duration::ZERO, |(_, looked)| looked))),
            Err(_) => None,
        };
        outcome
    }

    fn follow(&mut self, after: Revision, limit: u32, end: Duration) -> Result<Batch, Failure> {
        loop {
            match self.entries(after, limit)? {
                Read::Gone => return Err(Failure::Compacted(self.last()?)),
                Read::Entries(entries, _) if entries.is_empty() => self.agree(after)?,
                Read::Entries(entries, _) => {
                    let batch = self.tell(after, entries, limit)?;
                    // Not held up by what is done for others.
                    self.keep_up_if(end)?;
                    return Ok(batch);
                }
            }
            self.keep_up()?;
            let left = end.saturating_sub(self.outside.monotonic());
            if left.is_zero() || self.budget.requests < SPARE {
                return Ok(Batch { events: Vec::new(), up_to: after });
            }
            self.outside.sleep(POLL.min(left));
        }
    }

    /// Makes sure that a revision after which there is nothing is the last.
    fn agree(&mut self, after: Revision) -> Result<(), Failure> {
        let now = self.outside.monotonic();
        if self.told.is_some_and(|(told, looked)| told == after && now.saturating_sub(looked) < RELOOK) {
            return Ok(());
        }
        match self.last()? {
            // One that came in between is told the next time.
            last if last >= after && last <= after.saturating_add(1000) => {
                self.told = Some((after, now));
                Ok(())
            }
            last => Err(Failure::Compacted(last)),
        }
    }

    fn tell(&mut self, after: Revision, entries: Vec<Entry>, limit: u32) -> Result<Batch, Failure> {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let (mut events, mut up_to, mut bytes) = (Vec::new(), after, 0);
        for entry in entries {
            if up_to > after && (events.len() >= limit || bytes >= BATCH || self.budget.requests < SPARE) {
                break;
            }
            for step in entry.steps {
                let change = match step {
                    Step::Delete { key } => Change::Delete(key),
                    Step::Put { key, expires, content } => {
                        let stored = Stored { revision: entry.revision, expires, content };
                        match self.item(&key, stored)? {
                            Some(item) => {
                                bytes += item.value.len();
                                Change::Put(item)
                            }
                            // A large value goes some time after it was replaced.
                            None if up_to > after => {
                                return Ok(Batch { events: whole(events, up_to), up_to });
                            }
                            None => return Err(Failure::Compacted(self.last()?)),
                        }
                    }
                };
                events.push(Event { revision: entry.revision, change });
            }
            up_to = entry.revision;
        }
        Ok(Batch { events, up_to })
    }
}

/// The events of revisions that are told whole.
fn whole(mut events: Vec<Event>, up_to: Revision) -> Vec<Event> {
    events.retain(|event| event.revision <= up_to);
    events
}
