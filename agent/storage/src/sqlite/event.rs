//! The table of changes: what watchers that come back, and other processes, read.

use bytes::Bytes;
use port::store::{Change, Item, Prefix, Revision, WATCH_QUEUE, WatchEvent};
use rusqlite::{Connection, Row, params};

use crate::expiry::Micros;
use crate::history::{Kept, Limits};
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
pub(super) fn position(connection: &Connection) -> rusqlite::Result<Position> {
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

/// Writes a change down.
pub(super) fn insert(connection: &Connection, event: &WatchEvent, now: Micros) -> rusqlite::Result<()> {
    let (key, value, expires) = match &event.change {
        Change::Put(item) => (&item.key, Some(item.value.as_ref()), column::of_expiry(item.expires)),
        Change::Delete(key) => (key, None, None),
    };
    let mut statement = connection.prepare_cached(
        "INSERT INTO events (revision, key, value, expires, time) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?;
    let revision = column::of_revision(event.revision);
    statement.execute(params![revision, key.as_str(), value, expires, now]).map(|_| ())
}

/// The changes below `prefix` after one revision and up to another, in order. One more than a
/// watcher's queue holds at most: then there are too many.
pub(super) fn between(
    connection: &Connection,
    after: Revision,
    upto: Revision,
    prefix: &Prefix,
) -> rusqlite::Result<Vec<WatchEvent>> {
    let mut statement = connection.prepare_cached(
        "SELECT key, value, revision, expires FROM events
         WHERE revision > ?1 AND revision <= ?2 AND key >= ?3 AND key < ?4
         ORDER BY revision, id LIMIT ?5",
    )?;
    let (after, upto) = (column::of_revision(after), column::of_revision(upto));
    let limit = i64::try_from(WATCH_QUEUE + 1).unwrap_or(i64::MAX);
    let rows = statement.query_map(params![after, upto, prefix.as_str(), prefix.end(), limit], event)?;
    rows.collect()
}

fn event(row: &Row<'_>) -> rusqlite::Result<WatchEvent> {
    let (key, revision) = (column::key(row, 0)?, column::revision(row, 2)?);
    let change = match row.get::<_, Option<Vec<u8>>>(1)? {
        None => Change::Delete(key),
        Some(value) => {
            let expires = column::expiry(row, 3)?;
            Change::Put(Item { key, value: Bytes::from(value), revision, expires })
        }
    };
    Ok(WatchEvent { revision, change })
}

/// Forgets what is beyond the limits. To be called inside a transaction.
pub(super) fn compact(connection: &Connection, limits: &Limits, now: Micros) -> rusqlite::Result<()> {
    // Of a value only its length is read, which SQLite knows without fetching it.
    let mut statement = connection
        .prepare_cached("SELECT revision, ifnull(length(value), 0), time FROM events ORDER BY id DESC")?;
    let rows = statement.query_map([], |row| {
        let bytes = usize::try_from(row.get::<_, i64>(1)?).unwrap_or(usize::MAX);
        Ok(Kept { revision: column::revision(row, 0)?, bytes, time: row.get(2)? })
    })?;
    let kept = rows.collect::<rusqlite::Result<Vec<_>>>()?;
    let Some(cutoff) = limits.cutoff(kept.into_iter(), now) else { return Ok(()) };
    let cutoff = column::of_revision(cutoff);
    connection.prepare_cached("DELETE FROM events WHERE revision <= ?1")?.execute([cutoff])?;
    let mut statement = connection.prepare_cached("UPDATE position SET compacted = max(compacted, ?1)")?;
    statement.execute([cutoff]).map(|_| ())
}

/// When the oldest change that is kept happened.
pub(super) fn oldest(connection: &Connection) -> rusqlite::Result<Option<Micros>> {
    let mut statement = connection.prepare_cached("SELECT time FROM events ORDER BY id LIMIT 1")?;
    let mut rows = statement.query([])?;
    rows.next()?.map(|row| row.get(0)).transpose()
}
