//! The table of changes: what watchers that come back, and other processes, read.
//!
//! The changes of one commit are gathered in memory and written as one row of bytes ([`step`]): for
//! a hundred callers that is seven pages, written in order, instead of a row and an index entry each.
//! A row that grows large is closed and another begun, also in the middle of a write, so that
//! neither a row nor the memory for it has to hold all of a transaction.

use port::store::{Key, Prefix, Revision, WATCH_QUEUE, WatchEvent};
use rusqlite::types::Type;
use rusqlite::{Connection, Error, params};

use crate::expiry::Micros;
use crate::history::{Kept, Limits};
use crate::sqlite::step::{self, Malformed, Steps};
use crate::sqlite::{column, position};

/// A row is closed when it holds so many bytes.
const ROW_BYTES: usize = 64 * 1024;

/// Or so many changes: forgetting is by rows, and should not take much more than it must.
const ROW_CHANGES: usize = 128;

/// How many rows one write may fill. The last of them grows as long as it must.
const PARTS: i64 = 1 << 16;

/// The row being filled.
pub(super) struct Journal<'a> {
    connection: &'a Connection,
    now: Micros,
    steps: Vec<u8>,
    changes: usize,
    bytes: usize,
    /// The revision of the last change in the row being filled.
    last: Revision,
    /// The revision and part that the row before was written as.
    before: (Revision, i64),
    /// Changes in rows already written, and the bytes of their values.
    written: (usize, usize),
}

impl<'a> Journal<'a> {
    /// An empty one. `connection` is inside a transaction.
    pub(super) fn new(connection: &'a Connection, now: Micros) -> Self {
        let (steps, before) = (Vec::new(), (Revision(0), 0));
        Self { connection, now, steps, changes: 0, bytes: 0, last: Revision(0), before, written: (0, 0) }
    }

    /// Notes that an item was made or replaced.
    pub(super) fn put(
        &mut self,
        revision: Revision,
        key: &Key,
        value: &[u8],
        expires: Option<Micros>,
    ) -> rusqlite::Result<()> {
        step::put(&mut self.steps, revision, key, value, expires);
        self.note(revision, value.len())
    }

    /// Notes that an item was removed.
    pub(super) fn delete(&mut self, revision: Revision, key: &Key) -> rusqlite::Result<()> {
        step::delete(&mut self.steps, revision, key);
        self.note(revision, 0)
    }

    fn note(&mut self, revision: Revision, bytes: usize) -> rusqlite::Result<()> {
        self.last = revision;
        self.changes += 1;
        self.bytes += bytes;
        let is_full = self.steps.len() >= ROW_BYTES || self.changes >= ROW_CHANGES;
        if is_full && self.part() < PARTS - 1 { self.close() } else { Ok(()) }
    }

    /// Writes the row, if there is anything in it.
    pub(super) fn close(&mut self) -> rusqlite::Result<()> {
        if self.changes == 0 {
            return Ok(());
        }
        let part = self.part();
        let mut statement = self.connection.prepare_cached(
            "INSERT INTO journal (id, changes, bytes, time, steps) VALUES (?1, ?2, ?3, ?4, ?5)",
        )?;
        let (id, changes, bytes) =
            (first_id(self.last).saturating_add(part), count(self.changes), count(self.bytes));
        statement.execute(params![id, changes, bytes, self.now, self.steps])?;
        self.before = (self.last, part);
        self.written = (self.written.0 + self.changes, self.written.1 + self.bytes);
        self.drop_row();
        Ok(())
    }

    /// Forgets what is not written yet.
    pub(super) fn drop_row(&mut self) {
        self.steps.clear();
        (self.changes, self.bytes) = (0, 0);
    }

    /// How many changes were written, and the bytes of their values.
    pub(super) fn written(&self) -> (usize, usize) {
        self.written
    }

    /// The part that the row being filled is of its revision.
    fn part(&self) -> i64 {
        let (revision, part) = self.before;
        if revision == self.last { part + 1 } else { 0 }
    }
}

/// The number of the first row that ends with a change of this revision.
fn first_id(revision: Revision) -> i64 {
    column::of_revision(revision).saturating_mul(PARTS)
}

fn count(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// The changes below `prefix` after one revision and up to the last, in order. One more than a
/// watcher's queue holds at most: then there are too many.
pub(super) fn since(
    connection: &Connection,
    after: Revision,
    prefix: &Prefix,
) -> rusqlite::Result<Vec<WatchEvent>> {
    let mut statement = connection.prepare_cached("SELECT steps FROM journal WHERE id >= ?1 ORDER BY id")?;
    let mut rows = statement.query([first_id(Revision(after.0.saturating_add(1)))])?;
    let mut events = Vec::new();
    while let Some(row) = rows.next()? {
        let steps = row.get_ref(0)?.as_blob().map_err(damaged)?;
        for step in Steps::new(steps) {
            let step = step.map_err(damaged)?;
            // The first row may begin with changes from before.
            if step.revision() > after && step.is_below(prefix) {
                events.push(step.to_event().map_err(damaged)?);
            }
            if events.len() > WATCH_QUEUE {
                return Ok(events);
            }
        }
    }
    Ok(events)
}

fn damaged(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::FromSqlConversionFailure(0, Type::Blob, Box::new(error))
}

/// Forgets what is beyond the limits, by whole rows. To be called inside a transaction.
pub(super) fn compact(connection: &Connection, limits: &Limits, now: Micros) -> rusqlite::Result<()> {
    let mut statement =
        connection.prepare_cached("SELECT id, changes, bytes, time FROM journal ORDER BY id DESC")?;
    let mut fault = None;
    let rows = statement.query_map([], |row| {
        let size = |at| row.get(at).map(|size: i64| usize::try_from(size).unwrap_or(usize::MAX));
        let revision = u64::try_from(row.get::<_, i64>(0)? / PARTS).map_err(|_| damaged(Malformed))?;
        Ok(Kept { revision: Revision(revision), changes: size(1)?, bytes: size(2)?, time: row.get(3)? })
    })?;
    let kept = rows.map_while(|row| row.map_err(|error| fault = Some(error)).ok());
    let cutoff = limits.cutoff(kept, now);
    if let Some(fault) = fault {
        return Err(fault);
    }
    let Some(cutoff) = cutoff else { return Ok(()) };
    let stays = first_id(Revision(cutoff.0.saturating_add(1)));
    connection.prepare_cached("DELETE FROM journal WHERE id < ?1")?.execute([stays])?;
    position::forget(connection, cutoff)
}

/// When the oldest change that is kept happened.
pub(super) fn oldest(connection: &Connection) -> rusqlite::Result<Option<Micros>> {
    let mut statement = connection.prepare_cached("SELECT time FROM journal ORDER BY id LIMIT 1")?;
    let mut rows = statement.query([])?;
    rows.next()?.map(|row| row.get(0)).transpose()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use port::store::Change;

    use super::*;
    use crate::Settings;
    use crate::sqlite::schema;

    fn database() -> Connection {
        let mut connection = Connection::open_in_memory().unwrap();
        schema::migrate(&mut connection).unwrap();
        connection
    }

    fn key(name: u64) -> Key {
        Key::of(&["a", &format!("{name:04}")])
    }

    /// One change a revision, in one commit.
    fn commit(connection: &Connection, revisions: std::ops::RangeInclusive<u64>, now: Micros) {
        let mut journal = Journal::new(connection, now);
        for revision in revisions {
            journal.put(Revision(revision), &key(revision), b"1", None).unwrap();
        }
        journal.close().unwrap();
    }

    fn rows(connection: &Connection) -> i64 {
        connection.query_row("SELECT count(*) FROM journal", [], |row| row.get(0)).unwrap()
    }

    fn revisions(connection: &Connection, after: u64) -> Vec<u64> {
        let events = since(connection, Revision(after), &Prefix::all()).unwrap();
        events.iter().map(|event| event.revision.0).collect()
    }

    #[test]
    fn a_commit_is_one_row_and_is_read_from_its_middle() {
        let connection = database();
        commit(&connection, 1..=10, 0);
        commit(&connection, 11..=12, 0);
        assert_eq!(rows(&connection), 2);
        assert_eq!(revisions(&connection, 0), (1..=12).collect::<Vec<_>>());
        assert_eq!(revisions(&connection, 7), (8..=12).collect::<Vec<_>>());
        assert_eq!(revisions(&connection, 12), [0; 0]);
    }

    #[test]
    fn a_large_write_fills_several_rows_and_is_forgotten_whole() {
        let connection = database();
        let mut journal = Journal::new(&connection, 0);
        for number in 0..300 {
            journal.put(Revision(7), &key(number), &[b'v'; 3000], None).unwrap();
        }
        journal.delete(Revision(8), &key(0)).unwrap();
        journal.close().unwrap();
        assert_eq!(journal.written(), (301, 900_000));
        assert!(rows(&connection) > 10);
        let events = since(&connection, Revision(6), &Prefix::all()).unwrap();
        let (last, puts) = events.split_last().unwrap();
        assert_eq!(*last, WatchEvent { revision: Revision(8), change: Change::Delete(key(0)) });
        assert!(puts.iter().zip(0..300).all(|(event, number)| *event.change.key() == key(number)));
        let limits = Limits::new(&Settings { history: 50, ..Settings::default() });
        compact(&connection, &limits, 0).unwrap();
        assert_eq!(position::read(&connection).unwrap().compacted, Revision(7));
        assert_eq!(revisions(&connection, 7), [8], "what shares the last row with it stays");
    }

    #[test]
    fn forgets_by_rows_as_many_as_it_must() {
        let connection = database();
        (0..20).for_each(|commits| commit(&connection, commits * 10 + 1..=commits * 10 + 10, 0));
        let limits = Limits::new(&Settings { history: 95, ..Settings::default() });
        compact(&connection, &limits, 0).unwrap();
        assert_eq!(position::read(&connection).unwrap().compacted, Revision(100));
        assert_eq!(revisions(&connection, 100), (101..=200).collect::<Vec<_>>());
    }

    #[test]
    fn knows_its_oldest_and_forgets_by_age() {
        let connection = database();
        assert_eq!(oldest(&connection), Ok(None));
        commit(&connection, 1..=1, 5);
        commit(&connection, 2..=2, 60_000_000);
        assert_eq!(oldest(&connection), Ok(Some(5)));
        let limits = Limits::new(&Settings { history_age: Duration::from_secs(60), ..Settings::default() });
        compact(&connection, &limits, 60_000_006).unwrap();
        assert_eq!(revisions(&connection, 0), [2]);
    }

    #[test]
    fn bytes_nobody_wrote_are_an_error() {
        let connection = database();
        commit(&connection, 1..=2, 0);
        connection.execute("UPDATE journal SET steps = substr(steps, 1, length(steps) - 1)", []).unwrap();
        assert!(since(&connection, Revision(0), &Prefix::all()).is_err());
    }
}
