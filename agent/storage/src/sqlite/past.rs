//! What watchers have not heard yet: what a new one missed, and what other processes did.
//!
//! Read from the table of changes, inside a transaction of the writer's, so that it ends exactly
//! where the changes told next begin.

use port::store::{Prefix, Revision, StoreError, WATCH_QUEUE, WatchEvent};
use rusqlite::Connection;

use crate::fanout::Fanout;
use crate::sqlite::journal;
use crate::sqlite::position::Position;

/// Changes made by other processes since the watchers heard last.
pub(super) enum Foreign {
    /// These.
    Changes(Vec<WatchEvent>),
    /// More than is kept, or than is read at once.
    TooMany,
}

impl Foreign {
    /// Tells the watchers. `upto` is the last revision these changes are of.
    pub(super) fn tell(self, fanout: &mut Fanout, upto: Revision) {
        match self {
            Self::Changes(events) => events.iter().for_each(|event| fanout.publish(event)),
            Self::TooMany => fanout.restart(upto),
        }
    }
}

/// What a new watcher has missed since `from`; or that it must list again.
pub(super) fn missed(
    snapshot: &Connection,
    position: Position,
    prefix: &Prefix,
    from: Option<Revision>,
) -> rusqlite::Result<Result<Vec<WatchEvent>, StoreError>> {
    let Some(from) = from else { return Ok(Ok(Vec::new())) };
    // A revision still to come is one of another history: before a restored backup, say.
    if from < position.compacted || from > position.revision {
        return Ok(Err(StoreError::Compacted(from)));
    }
    journal::since(snapshot, from, prefix).map(Ok)
}

/// What other processes wrote after `seen`, when anybody here wants to know.
pub(super) fn foreign(
    connection: &Connection,
    fanout: &Fanout,
    seen: Revision,
    position: Position,
) -> rusqlite::Result<Foreign> {
    if fanout.is_empty() || seen >= position.revision {
        return Ok(Foreign::Changes(Vec::new()));
    }
    if seen < position.compacted {
        return Ok(Foreign::TooMany);
    }
    let changes = journal::since(connection, seen, &Prefix::all())?;
    Ok(if changes.len() > WATCH_QUEUE { Foreign::TooMany } else { Foreign::Changes(changes) })
}
