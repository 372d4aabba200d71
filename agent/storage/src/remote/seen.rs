//! The highest revision a backend is known to have reached.
//!
//! Revisions rise, so whatever is asked after an answer was seen must not fall behind it: this is how
//! a replica that lags, or a write that was acknowledged and lost, is noticed. A call takes a
//! [`Mark`] before it asks and holds the answer against it, so answers may overtake each other.

use parking_lot::Mutex;
use port::store::{Revision, StoreError};

/// What was known when a call began.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mark {
    /// Which history of the backend: a restored backup begins another.
    history: u64,
    revision: Revision,
}

/// The highest revision so far.
#[derive(Debug)]
pub(super) struct Seen(Mutex<Mark>);

impl Seen {
    /// Nothing is known yet.
    pub(super) fn new() -> Self {
        Self(Mutex::new(Mark { history: 0, revision: Revision(0) }))
    }

    /// What is known now.
    pub(super) fn mark(&self) -> Mark {
        *self.0.lock()
    }

    /// The highest revision.
    pub(super) fn revision(&self) -> Revision {
        self.mark().revision
    }

    /// Takes the revision a read was made at, which must not lie before what was known.
    pub(super) fn read(&self, mark: Mark, revision: Revision) -> Result<(), StoreError> {
        self.take(mark, revision, revision >= mark.revision)
    }

    /// Takes the revision of a write, which must be higher than what was known.
    pub(super) fn written(&self, mark: Mark, revision: Revision) -> Result<(), StoreError> {
        self.take(mark, revision, revision > mark.revision)
    }

    /// Takes the revision a tail has told up to, which may lie behind what others know.
    pub(super) fn told(&self, mark: Mark, revision: Revision) {
        // What is higher than before is not refused.
        let _ = self.take(mark, revision, true);
    }

    /// Begins another history at this revision.
    pub(super) fn restart(&self, revision: Revision) {
        let mut seen = self.0.lock();
        *seen = Mark { history: seen.history + 1, revision };
    }

    fn take(&self, mark: Mark, revision: Revision, rises: bool) -> Result<(), StoreError> {
        let mut seen = self.0.lock();
        if seen.history != mark.history {
            // The answer is about a history that is over.
            return Ok(());
        }
        if !rises {
            let before = mark.revision;
            return Err(StoreError::Corrupt(format!(
                "the storage backend answers with revision {revision} after it had reached {before}; \
                 look for a member that lags, or for a backup restored under the running cluster"
            )));
        }
        seen.revision = seen.revision.max(revision);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_may_stand_still_and_writes_must_rise() {
        let seen = Seen::new();
        seen.written(seen.mark(), Revision(5)).unwrap();
        seen.read(seen.mark(), Revision(5)).unwrap();
        assert!(seen.written(seen.mark(), Revision(5)).is_err());
        assert!(seen.read(seen.mark(), Revision(4)).is_err());
        assert_eq!(seen.revision(), Revision(5), "a false answer moves nothing");
    }

    #[test]
    fn answers_may_overtake_each_other() {
        let seen = Seen::new();
        let (first, second) = (seen.mark(), seen.mark());
        seen.written(second, Revision(6)).unwrap();
        seen.written(first, Revision(5)).unwrap();
        assert_eq!(seen.revision(), Revision(6));
    }

    #[test]
    fn another_history_may_begin_lower() {
        let seen = Seen::new();
        let old = seen.mark();
        seen.written(old, Revision(5)).unwrap();
        seen.restart(Revision(2));
        seen.written(old, Revision(6)).unwrap();
        assert_eq!(seen.revision(), Revision(2), "late answers of the old one do not count");
        seen.written(seen.mark(), Revision(3)).unwrap();
    }
}
