//! Where the store stands: the one row all processes agree on.

use port::store::Revision;
use rusqlite::Connection;

use crate::sqlite::column;

/// Where the store stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Position {
    /// The last write.
    pub(super) revision: Revision,
    /// Changes up to this write are forgotten.
    pub(super) compacted: Revision,
}

/// Reads where the store stands.
pub(super) fn read(connection: &Connection) -> rusqlite::Result<Position> {
    let mut statement = connection.prepare_cached("SELECT revision, compacted FROM position")?;
    statement.query_row([], |row| {
        Ok(Position { revision: column::revision(row, 0)?, compacted: column::revision(row, 1)? })
    })
}

/// Sets the revision of the last write.
pub(super) fn advance(connection: &Connection, revision: Revision) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached("UPDATE position SET revision = ?1")?;
    statement.execute([column::of_revision(revision)]).map(|_| ())
}

/// Notes that changes up to this write are forgotten.
pub(super) fn forget(connection: &Connection, upto: Revision) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached("UPDATE position SET compacted = max(compacted, ?1)")?;
    statement.execute([column::of_revision(upto)]).map(|_| ())
}
