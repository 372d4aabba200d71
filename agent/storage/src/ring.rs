//! The recent changes a store keeps for watchers that come back.
//!
//! Whole revisions, oldest first, within the bounds of [`Limits`]. It knows from which revision on it
//! is complete, so that nobody is handed a past with a hole. Used by the stores that keep their past
//! in memory; SQLite keeps its own in a table.

use std::collections::VecDeque;

use port::store::{Prefix, Revision, WATCH_QUEUE, WatchEvent};

use crate::Settings;
use crate::expiry::Micros;
use crate::history::{Due, Kept, Limits, size};

/// Changes after [`Ring::floor`].
#[derive(Debug)]
pub(crate) struct Ring {
    past: VecDeque<(Micros, WatchEvent)>,
    /// Changes up to this revision are forgotten, or were before this ring.
    floor: Revision,
    due: Due,
    limits: Limits,
}

impl Ring {
    /// An empty ring of what follows `floor`.
    pub(crate) fn new(settings: &Settings, floor: Revision) -> Self {
        Self { past: VecDeque::new(), floor, due: Due::default(), limits: Limits::new(settings) }
    }

    /// The revision after which every change is here.
    pub(crate) fn floor(&self) -> Revision {
        self.floor
    }

    /// Takes whole revisions, in order, and forgets old ones when it is time.
    pub(crate) fn push(&mut self, events: Vec<WatchEvent>, now: Micros) {
        self.due.count(&events);
        self.past.extend(events.into_iter().map(|event| (now, event)));
        if self.due.take(&self.limits) {
            self.forget(now);
        }
    }

    /// Forgets changes that have become too old, if there are any.
    pub(crate) fn forget_stale(&mut self, now: Micros) {
        if self.past.front().is_some_and(|(time, _)| self.limits.is_stale(*time, now)) {
            self.forget(now);
        }
    }

    /// Forgets everything: what follows `floor` comes next.
    pub(crate) fn restart(&mut self, floor: Revision) {
        self.past.clear();
        self.floor = floor;
    }

    /// The changes below a prefix after a revision that is not before the floor: one more than a
    /// watcher's queue holds, at most.
    pub(crate) fn after(&self, from: Revision, prefix: &Prefix) -> Vec<WatchEvent> {
        let missed = self.past.iter().map(|(_, event)| event);
        let missed = missed.filter(|event| event.revision > from && prefix.contains(event.change.key()));
        missed.take(WATCH_QUEUE + 1).cloned().collect()
    }

    fn forget(&mut self, now: Micros) {
        let newest_first = self.past.iter().rev().map(|(time, event)| Kept {
            revision: event.revision,
            changes: 1,
            bytes: size(event),
            time: *time,
        });
        let Some(cutoff) = self.limits.cutoff(newest_first, now) else { return };
        while self.past.pop_front_if(|(_, event)| event.revision <= cutoff).is_some() {}
        self.floor = self.floor.max(cutoff);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use port::store::{Change, Key};

    use super::*;

    fn ring(history: usize) -> Ring {
        let history_age = Duration::from_secs(60);
        Ring::new(&Settings { history, history_age, ..Settings::default() }, Revision(5))
    }

    fn event(revision: u64, folder: &str) -> WatchEvent {
        let change = Change::Delete(Key::of(&[folder, "x"]));
        WatchEvent { revision: Revision(revision), change }
    }

    fn revisions(ring: &Ring, from: u64) -> Vec<u64> {
        ring.after(Revision(from), &Prefix::of(&["a"])).iter().map(|event| event.revision.0).collect()
    }

    #[test]
    fn gives_what_follows_below_the_prefix() {
        let mut ring = ring(100);
        assert_eq!(ring.floor(), Revision(5));
        ring.push(vec![event(6, "a"), event(6, "b"), event(8, "a")], 0);
        assert_eq!(revisions(&ring, 5), [6, 8]);
        assert_eq!(revisions(&ring, 6), [8]);
        assert_eq!(revisions(&ring, 8), [0; 0]);
    }

    #[test]
    fn forgets_whole_revisions_and_says_so() {
        let mut ring = ring(8);
        for revision in 6..=20 {
            ring.push(vec![event(revision, "a"), event(revision, "a")], 0);
        }
        let floor = ring.floor();
        assert!(floor > Revision(6));
        let kept = revisions(&ring, floor.0);
        assert_eq!(kept.first(), Some(&(floor.0 + 1)));
        assert_eq!(kept.iter().filter(|revision| **revision == floor.0 + 1).count(), 2);
    }

    #[test]
    fn forgets_the_old_without_being_written_to() {
        let mut ring = ring(8);
        ring.push(vec![event(6, "a")], 0);
        ring.forget_stale(60_000_000);
        assert_eq!(ring.floor(), Revision(5));
        ring.forget_stale(120_000_000);
        assert_eq!(ring.floor(), Revision(6));
    }

    #[test]
    fn starts_over_empty() {
        let mut ring = ring(8);
        ring.push(vec![event(6, "a")], 0);
        ring.restart(Revision(3));
        assert_eq!((ring.floor(), revisions(&ring, 3)), (Revision(3), vec![]));
    }
}
