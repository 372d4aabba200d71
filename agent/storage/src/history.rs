//! How much of the past a store keeps, and when it is time to forget.
//!
//! Three bounds: a number of changes, their bytes, their age. The last is not about space: a secret
//! that was removed should not linger among old changes. A store asks [`Limits::cutoff`] now and
//! then, not at every write; [`Due`] says when.

use port::store::{Change, Revision, WatchEvent};

use crate::Settings;
use crate::expiry::Micros;

/// The most bytes of values that are kept.
const BYTES_MAX: usize = 32 * 1024 * 1024;

/// The part of each bound by which it may be passed before somebody looks.
const SLACK: usize = 8;

/// The bounds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    changes: usize,
    bytes: usize,
    age: Micros,
}

/// A kept change, or several that are kept and forgotten together, as the bounds see it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Kept {
    /// Its write; of several, the last.
    pub(crate) revision: Revision,
    /// How many changes it is.
    pub(crate) changes: usize,
    /// The size of the values.
    pub(crate) bytes: usize,
    /// When it was written.
    pub(crate) time: Micros,
}

impl Limits {
    /// The bounds of these settings.
    pub(crate) fn new(settings: &Settings) -> Self {
        let age = Micros::try_from(settings.history_age.as_micros()).unwrap_or(Micros::MAX);
        Self { changes: settings.history, bytes: BYTES_MAX, age }
    }

    /// The newest revision to forget: it and everything older goes, so that what stays is whole.
    pub(crate) fn cutoff(&self, newest_first: impl Iterator<Item = Kept>, now: Micros) -> Option<Revision> {
        let (mut changes, mut bytes) = (0usize, 0usize);
        for kept in newest_first {
            bytes = bytes.saturating_add(kept.bytes);
            let too_old = now.saturating_sub(kept.time) > self.age;
            if changes >= self.changes || bytes > self.bytes || too_old {
                return Some(kept.revision);
            }
            changes = changes.saturating_add(kept.changes);
        }
        None
    }

    /// Whether the oldest change has become so old that looking is worth a write.
    pub(crate) fn is_stale(&self, oldest: Micros, now: Micros) -> bool {
        now.saturating_sub(oldest) > self.age.saturating_add(self.age / SLACK as Micros)
    }
}

/// Counts what was written since somebody last looked.
#[derive(Debug, Default)]
pub(crate) struct Due {
    changes: usize,
    bytes: usize,
    at_once: bool,
}

impl Due {
    /// Counts these changes.
    pub(crate) fn count(&mut self, events: &[WatchEvent]) {
        self.add(events.len(), events.iter().map(size).sum());
    }

    /// Counts so many changes with so many bytes of values.
    pub(crate) fn add(&mut self, changes: usize, bytes: usize) {
        self.changes += changes;
        self.bytes += bytes;
    }

    /// Makes it time to look, because something has become too old.
    pub(crate) fn set(&mut self) {
        self.at_once = true;
    }

    /// Whether it is time to look. Starts over when it is.
    pub(crate) fn take(&mut self, limits: &Limits) -> bool {
        let due = self.changes > limits.changes / SLACK || self.bytes > limits.bytes / SLACK || self.at_once;
        if due {
            *self = Self::default();
        }
        due
    }
}

/// The size of a change's value.
pub(crate) fn size(event: &WatchEvent) -> usize {
    match &event.change {
        Change::Put(item) => item.value.len(),
        Change::Delete(_) => 0,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const MINUTE: Micros = 60_000_000;

    fn keeping(history: usize) -> Limits {
        let history_age = Duration::from_secs(60);
        Limits::new(&Settings { history, history_age, ..Settings::default() })
    }

    fn limits() -> Limits {
        keeping(4)
    }

    fn kept(revision: u64, bytes: usize, time: Micros) -> Kept {
        Kept { revision: Revision(revision), changes: 1, bytes, time }
    }

    #[test]
    fn of_changes_kept_together_none_is_forgotten_too_early() {
        let together = (1..=4).rev().map(|number| Kept { changes: 3, ..kept(number * 3, 0, 0) });
        assert_eq!(limits().cutoff(together, 0), Some(Revision(6)), "six are kept where four must be");
    }

    #[test]
    fn keeps_all_within_the_bounds() {
        let newest_first = (1..=4).rev().map(|revision| kept(revision, 100, 0));
        assert_eq!(limits().cutoff(newest_first, MINUTE), None);
    }

    #[test]
    fn forgets_by_number_size_and_age() {
        let many = (1..=6).rev().map(|revision| kept(revision, 0, 0));
        assert_eq!(limits().cutoff(many, 0), Some(Revision(2)));
        let large = [kept(3, 1, 0), kept(2, BYTES_MAX, 0), kept(1, 1, 0)];
        assert_eq!(limits().cutoff(large.into_iter(), 0), Some(Revision(2)));
        let old = [kept(3, 0, MINUTE), kept(2, 0, MINUTE - 1), kept(1, 0, 0)];
        assert_eq!(limits().cutoff(old.into_iter(), 2 * MINUTE), Some(Revision(2)));
    }

    #[test]
    fn looks_for_old_changes_with_some_slack() {
        assert!(!limits().is_stale(0, MINUTE + 1));
        assert!(limits().is_stale(0, MINUTE + MINUTE / 8 + 1));
    }

    #[test]
    fn is_due_after_an_eighth() {
        let limits = keeping(16);
        let mut due = Due::default();
        let key = port::store::Key::of(&["a"]);
        let event = WatchEvent { revision: Revision(1), change: Change::Delete(key) };
        due.count(&[event.clone(), event.clone()]);
        assert!(!due.take(&limits));
        due.count(&[event]);
        assert!(due.take(&limits));
        assert!(!due.take(&limits), "starts over");
        due.set();
        assert!(due.take(&limits));
    }
}
