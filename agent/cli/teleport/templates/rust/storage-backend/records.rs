//! What a store promises, without a place and without a clock: conditions and operations in, revisions and
//! changes out. Tested by `cargo test`, as it knows nothing of the host.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;

use serde::{Deserialize, Serialize};
use teleport_plugin_sdk::storage_backend::{
    Batch, Change, Condition, Event, Failure, Item, Microseconds, Operation, Page, Revision,
};

/// The most changes that are remembered for whoever watches, and the most bytes of theirs.
const CHANGES_MAX: usize = 10_000;
const CHANGED_BYTES_MAX: usize = 4 << 20;

/// The most bytes of values in one answer.
const ANSWER_MAX: usize = 4 << 20;

/// All records, and the changes that made the last of them.
#[derive(Default, Serialize, Deserialize)]
pub struct Records {
    revision: Revision,
    /// Changes up to this revision are no longer known.
    forgotten: Revision,
    items: BTreeMap<String, Kept>,
    changes: VecDeque<Changed>,
}

#[derive(Clone, Serialize, Deserialize)]
struct Kept {
    value: Vec<u8>,
    revision: Revision,
    expires: Option<Microseconds>,
}

/// A key that was set, or removed.
#[derive(Serialize, Deserialize)]
struct Changed {
    revision: Revision,
    key: String,
    kept: Option<Kept>,
}

impl Kept {
    fn is_there(&self, now: Microseconds) -> bool {
        self.expires.is_none_or(|end| now < end)
    }

    fn item(&self, key: &str) -> Item {
        let Self { value, revision, expires } = self.clone();
        Item { key: key.to_owned(), value, revision, expires }
    }
}

impl Changed {
    fn bytes(&self) -> usize {
        self.key.len() + self.kept.as_ref().map_or(0, |kept| kept.value.len())
    }
}

impl Records {
    /// The last write's.
    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// One item.
    pub fn get(&self, key: &str, now: Microseconds) -> Option<Item> {
        self.there(key, now).map(|kept| kept.item(key))
    }

    /// Items below a prefix, in the order of their keys.
    pub fn range(&self, prefix: &str, start: Option<&str>, limit: u32, now: Microseconds) -> Page {
        let start = start.filter(|start| *start > prefix).unwrap_or(prefix);
        let below = self.items.range::<str, _>((Bound::Included(start), Bound::Unbounded));
        let below = below.take_while(|(key, _)| key.starts_with(prefix));
        let (mut items, mut bytes, mut more) = (Vec::new(), 0, false);
        for (key, kept) in below.filter(|(_, kept)| kept.is_there(now)) {
            // One item is given, however large: a page without items ends a list.
            more = items.len() >= limit as usize || (bytes + kept.value.len() > ANSWER_MAX && !items.is_empty());
            if more {
                break;
            }
            bytes += kept.value.len();
            items.push(kept.item(key));
        }
        Page { items, more, revision: self.revision }
    }

    /// Does all operations if all conditions hold.
    pub fn write(
        &mut self,
        conditions: &[Condition],
        operations: &[Operation],
        now: Microseconds,
    ) -> Result<Revision, Failure> {
        self.sweep(now);
        let broken = conditions.iter().position(|condition| match condition {
            Condition::Absent(key) => self.items.contains_key(key),
            Condition::Present(key) => !self.items.contains_key(key),
            Condition::Unchanged(key, revision) => {
                self.items.get(key).is_none_or(|kept| kept.revision != *revision)
            }
        });
        if let Some(broken) = broken {
            return Err(Failure::Conflict(broken as u32));
        }
        // Also when nothing changes: a revision is never given twice.
        self.revision += 1;
        for operation in operations {
            match operation {
                Operation::Put { key, value, expires } => {
                    let kept = Kept { value: value.clone(), revision: self.revision, expires: *expires };
                    self.set(key, Some(kept));
                }
                Operation::Delete(key) => self.set(key, None),
                Operation::DeleteRange(prefix) => {
                    let below = self.items.keys().filter(|key| key.starts_with(prefix));
                    let below: Vec<_> = below.cloned().collect();
                    below.iter().for_each(|key| self.set(key, None));
                }
            }
        }
        self.forget();
        Ok(self.revision)
    }

    /// Whether anything is past its end and not yet removed.
    pub fn has_expired(&self, now: Microseconds) -> bool {
        self.items.values().any(|kept| !kept.is_there(now))
    }

    /// Removes what is past its end, in a revision of its own.
    pub fn sweep(&mut self, now: Microseconds) {
        let gone = self.items.iter().filter(|(_, kept)| !kept.is_there(now));
        let gone: Vec<_> = gone.map(|(key, _)| key.clone()).collect();
        if !gone.is_empty() {
            self.revision += 1;
            gone.iter().for_each(|key| self.set(key, None));
        }
    }

    /// The changes after a revision, in their order; no revision is told half.
    pub fn after(&self, after: Revision, limit: u32) -> Result<Batch, Failure> {
        if after < self.forgotten || after > self.revision {
            return Err(Failure::Compacted(self.forgotten));
        }
        let (mut events, mut bytes, mut up_to) = (Vec::<Event>::new(), 0, self.revision);
        for changed in self.changes.iter().filter(|changed| changed.revision > after) {
            let last = events.last().map_or(changed.revision, |event| event.revision);
            if changed.revision != last && (events.len() >= limit as usize || bytes > ANSWER_MAX) {
                up_to = last;
                break;
            }
            bytes += changed.bytes();
            let change = match &changed.kept {
                Some(kept) => Change::Put(kept.item(&changed.key)),
                None => Change::Delete(changed.key.clone()),
            };
            events.push(Event { revision: changed.revision, change });
        }
        Ok(Batch { events, up_to })
    }

    fn there(&self, key: &str, now: Microseconds) -> Option<&Kept> {
        self.items.get(key).filter(|kept| kept.is_there(now))
    }

    fn set(&mut self, key: &str, kept: Option<Kept>) {
        let before = match &kept {
            Some(kept) => self.items.insert(key.to_owned(), kept.clone()),
            None => self.items.remove(key),
        };
        // What was not there is not removed, and nobody is told.
        if kept.is_some() || before.is_some() {
            self.changes.push_back(Changed { revision: self.revision, key: key.to_owned(), kept });
        }
    }

    /// Lets go of the oldest revisions, whole.
    fn forget(&mut self) {
        let mut bytes: usize = self.changes.iter().map(Changed::bytes).sum();
        while self.changes.len() > CHANGES_MAX || bytes > CHANGED_BYTES_MAX {
            let Some(oldest) = self.changes.front().map(|changed| changed.revision) else { return };
            while let Some(changed) = self.changes.pop_front_if(|changed| changed.revision == oldest) {
                bytes -= changed.bytes();
            }
            self.forgotten = oldest;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(key: &str, value: &str, expires: Option<Microseconds>) -> Operation {
        Operation::Put { key: key.to_owned(), value: value.as_bytes().to_vec(), expires }
    }

    fn told(records: &Records, after: Revision) -> Vec<String> {
        let events = records.after(after, 100).unwrap().events;
        let short = |event: Event| match event.change {
            Change::Put(item) => format!("{} +{}", event.revision, item.key),
            Change::Delete(key) => format!("{} -{key}", event.revision),
        };
        events.into_iter().map(short).collect()
    }

    #[test]
    fn a_broken_condition_changes_nothing() {
        let mut records = Records::default();
        records.write(&[], &[put("/a", "1", None)], 0).unwrap();
        let conditions = [Condition::Present("/a".to_owned()), Condition::Absent("/a".to_owned())];
        assert_eq!(records.write(&conditions, &[put("/b", "1", None)], 0), Err(Failure::Conflict(1)));
        assert_eq!((records.get("/b", 0), records.revision()), (None, 1));
    }

    #[test]
    fn what_expires_is_gone_at_once_and_told() {
        let mut records = Records::default();
        records.write(&[], &[put("/a", "1", Some(5)), put("/b", "1", None)], 0).unwrap();
        assert!(records.get("/a", 4).is_some());
        assert_eq!((records.get("/a", 5), records.range("/", None, 9, 5).items.len()), (None, 1));
        records.write(&[Condition::Absent("/a".to_owned())], &[put("/a", "2", None)], 5).unwrap();
        assert_eq!(told(&records, 1), ["2 -/a", "3 +/a"]);
    }

    #[test]
    fn every_step_is_told_and_nothing_that_did_not_happen() {
        let mut records = Records::default();
        let operations = [
            put("/t/a", "1", None),
            Operation::Delete("/never".to_owned()),
            Operation::DeleteRange("/t/".to_owned()),
            put("/t/a", "2", None),
        ];
        records.write(&[], &operations, 0).unwrap();
        assert_eq!(told(&records, 0), ["1 +/t/a", "1 -/t/a", "1 +/t/a"]);
        assert_eq!(records.after(2, 100), Err(Failure::Compacted(0)), "a revision to come");
    }

    #[test]
    fn the_oldest_changes_are_forgotten() {
        let mut records = Records::default();
        for number in 0..=CHANGES_MAX {
            records.write(&[], &[put(&format!("/{number}"), "", None)], 0).unwrap();
        }
        assert_eq!(records.after(0, 1), Err(Failure::Compacted(1)));
        let batch = records.after(1, 2).unwrap();
        assert_eq!((batch.events.len(), batch.up_to), (2, 3));
    }
}
