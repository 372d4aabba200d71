//! Transactions of the port inside one transaction of SQLite.
//!
//! Whatever goes wrong with one of them, it alone is undone, and the others go on. A condition that
//! does not hold undoes nothing: all are looked at before anything is changed. That leaves errors of
//! SQLite itself, which are rare and cannot be foreseen. So a batch is first tried without
//! precautions ([`Care::Together`]), and when anything in it fails the whole of it is rolled back and
//! done again with a savepoint around each transaction ([`Care::Apart`]): nobody has been answered
//! yet, so nobody can tell. A savepoint copies every page that is changed inside it, which for a
//! hundred small writes was a quarter of the work.
//!
//! Only an error that makes SQLite give up the whole transaction (disk full, I/O) ends the batch for
//! everyone.

use std::path::Path;

use bytes::Bytes;
use domain::Timestamp;
use port::store::{
    Change, Condition, Item, Key, Operation, Prefix, Revision, StoreError, Transaction, WatchEvent,
};
use rusqlite::{CachedStatement, Connection, OptionalExtension, params};

use crate::expiry::{Micros, rounded};
use crate::sqlite::journal::Journal;
use crate::sqlite::{column, failure};

const PUT: &str = "INSERT INTO items (key, value, revision, expires) VALUES (?1, ?2, ?3, ?4)
     ON CONFLICT (key) DO UPDATE SET
         value = excluded.value, revision = excluded.revision, expires = excluded.expires";

/// What becomes of a batch when one of its transactions fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Care {
    /// All of it is lost.
    Together,
    /// That one is undone, unless SQLite gives up the batch.
    Apart,
}

/// A transaction of SQLite being filled.
pub(super) struct Batch<'a> {
    connection: &'a Connection,
    path: &'a Path,
    now: Micros,
    revision: Revision,
    journal: Journal<'a>,
    /// What to tell the watchers; none when nobody watches.
    events: Option<Vec<WatchEvent>>,
    /// The statement nearly every write needs, looked up once a batch.
    put: Option<CachedStatement<'a>>,
}

/// What a batch has done.
pub(super) struct Done {
    /// Where it has brought the store.
    pub(super) revision: Revision,
    /// What to tell the watchers.
    pub(super) events: Vec<WatchEvent>,
    /// How many changes it made, and the bytes of their values.
    pub(super) written: (usize, usize),
}

impl<'a> Batch<'a> {
    /// An empty batch after `revision`. `connection` is inside a transaction. `is_heard` says whether
    /// there are watchers to be told.
    pub(super) fn new(
        connection: &'a Connection,
        path: &'a Path,
        revision: Revision,
        now: Micros,
        is_heard: bool,
    ) -> Self {
        let (journal, events) = (Journal::new(connection, now), is_heard.then(Vec::new));
        Self { connection, path, now, revision, journal, events, put: None }
    }

    /// Applies one transaction and returns its revision, or why it was not applied.
    ///
    /// # Errors
    /// The whole batch is lost.
    pub(super) fn apply(
        &mut self,
        transaction: &Transaction,
        care: Care,
    ) -> rusqlite::Result<Result<Revision, StoreError>> {
        match care {
            Care::Together => self.attempt(transaction),
            Care::Apart => self.apply_apart(transaction),
        }
    }

    fn apply_apart(&mut self, transaction: &Transaction) -> rusqlite::Result<Result<Revision, StoreError>> {
        // The journal's row holds changes of this transaction only, so that both are undone together.
        self.journal.close()?;
        let (revision, told) = (self.revision, self.events.as_ref().map_or(0, Vec::len));
        self.run("SAVEPOINT one")?;
        let attempted = self.attempt(transaction).and_then(|done| self.journal.close().map(|()| done));
        match attempted {
            Ok(done) => self.run("RELEASE one").map(|()| done),
            Err(error) if self.connection.is_autocommit() => Err(error),
            Err(error) => {
                self.revision = revision;
                self.journal.drop_row();
                self.events.iter_mut().for_each(|events| events.truncate(told));
                self.run("ROLLBACK TO one")?;
                self.run("RELEASE one")?;
                Ok(Err(failure::explain(self.path, &error)))
            }
        }
    }

    /// Removes up to `limit` items that have expired, as one write.
    ///
    /// # Errors
    /// The whole batch is lost.
    pub(super) fn sweep(&mut self, limit: usize) -> rusqlite::Result<()> {
        let mut statement = self
            .connection
            .prepare_cached("SELECT key FROM items WHERE expires <= ?1 ORDER BY expires, key LIMIT ?2")?;
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let rows = statement.query_map(params![self.now, limit], |row| column::key(row, 0))?;
        let keys = rows.collect::<rusqlite::Result<Vec<_>>>()?;
        if keys.is_empty() {
            return Ok(());
        }
        for key in keys {
            self.delete(&key)?;
        }
        self.revision = self.next();
        Ok(())
    }

    /// Writes down what is left to write.
    ///
    /// # Errors
    /// The whole batch is lost.
    pub(super) fn finish(mut self) -> rusqlite::Result<Done> {
        self.journal.close()?;
        let (revision, written) = (self.revision, self.journal.written());
        Ok(Done { revision, events: self.events.unwrap_or_default(), written })
    }

    /// Does the transaction, unless one of its conditions does not hold: then nothing is changed. An
    /// error may leave it half done.
    fn attempt(&mut self, transaction: &Transaction) -> rusqlite::Result<Result<Revision, StoreError>> {
        for condition in &transaction.conditions {
            if !self.holds(condition)? {
                return Ok(Err(StoreError::Conflict(condition.key().clone())));
            }
        }
        for operation in &transaction.operations {
            match operation {
                Operation::Put { key, value, expires } => self.put(key, value, *expires)?,
                Operation::Delete(key) => self.delete(key)?,
                Operation::DeleteRange(prefix) => self.delete_range(prefix)?,
            }
        }
        self.revision = self.next();
        Ok(Ok(self.revision))
    }

    fn holds(&self, condition: &Condition) -> rusqlite::Result<bool> {
        let mut statement = self.connection.prepare_cached(
            "SELECT revision FROM items WHERE key = ?1 AND (expires IS NULL OR expires > ?2)",
        )?;
        let row = params![condition.key().as_str(), self.now];
        let found = statement.query_row(row, |row| column::revision(row, 0)).optional()?;
        Ok(match condition {
            Condition::Absent(_) => found.is_none(),
            Condition::Present(_) => found.is_some(),
            Condition::Unchanged(_, revision) => found == Some(*revision),
        })
    }

    fn put(&mut self, key: &Key, value: &Bytes, expires: Option<Timestamp>) -> rusqlite::Result<()> {
        let revision = self.next();
        let micros = column::of_expiry(expires);
        let row = params![key.as_str(), value.as_ref(), column::of_revision(revision), micros];
        match &mut self.put {
            Some(statement) => statement.execute(row)?,
            none => none.insert(self.connection.prepare_cached(PUT)?).execute(row)?,
        };
        self.journal.put(revision, key, value, micros)?;
        self.tell(|| {
            let (key, value, expires) = (key.clone(), value.clone(), expires.map(rounded));
            Change::Put(Item { key, value, expires, revision })
        });
        Ok(())
    }

    fn delete(&mut self, key: &Key) -> rusqlite::Result<()> {
        let mut statement = self.connection.prepare_cached("DELETE FROM items WHERE key = ?1")?;
        if statement.execute([key.as_str()])? == 0 {
            return Ok(());
        }
        self.journal.delete(self.next(), key)?;
        self.tell(|| Change::Delete(key.clone()));
        Ok(())
    }

    fn delete_range(&mut self, prefix: &Prefix) -> rusqlite::Result<()> {
        let mut statement =
            self.connection.prepare_cached("DELETE FROM items WHERE key >= ?1 AND key < ?2 RETURNING key")?;
        let rows = statement.query_map([prefix.as_str(), &prefix.end()], |row| column::key(row, 0))?;
        let mut keys = rows.collect::<rusqlite::Result<Vec<_>>>()?;
        // The order in which rows come back is SQLite's own; ours is that of keys.
        keys.sort_unstable();
        for key in keys {
            self.journal.delete(self.next(), &key)?;
            self.tell(|| Change::Delete(key));
        }
        Ok(())
    }

    fn tell(&mut self, change: impl FnOnce() -> Change) {
        let revision = self.next();
        if let Some(events) = &mut self.events {
            events.push(WatchEvent { revision, change: change() });
        }
    }

    /// The revision of the transaction being applied.
    fn next(&self) -> Revision {
        Revision(self.revision.0 + 1)
    }

    fn run(&self, sql: &str) -> rusqlite::Result<()> {
        self.connection.prepare_cached(sql)?.execute([]).map(|_| ())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sqlite::{journal, schema};

    /// A database in which writing `/a/poison` fails, and `/a/fatal` makes SQLite give up the transaction.
    fn database() -> Connection {
        let mut connection = Connection::open_in_memory().unwrap();
        schema::migrate(&mut connection).unwrap();
        connection
            .execute_batch(
                "CREATE TRIGGER poison BEFORE INSERT ON items WHEN NEW.key = '/a/poison'
                 BEGIN SELECT RAISE(ABORT, 'told to fail'); END;
                 CREATE TRIGGER fatal BEFORE INSERT ON items WHEN NEW.key = '/a/fatal'
                 BEGIN SELECT RAISE(ROLLBACK, 'told to give up'); END;",
            )
            .unwrap();
        connection.execute_batch("BEGIN IMMEDIATE").unwrap();
        connection
    }

    fn batch(connection: &Connection) -> Batch<'_> {
        Batch::new(connection, Path::new("/x/sqlite.db"), Revision(0), 0, true)
    }

    fn puts(names: &[&str]) -> Transaction {
        let put = |all: Transaction, name: &&str| all.put(Key::of(&["a", name]), "1", None);
        names.iter().fold(Transaction::default(), put)
    }

    fn count(connection: &Connection, table: &str) -> i64 {
        connection.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap()
    }

    fn names(events: &[WatchEvent]) -> Vec<&str> {
        events.iter().map(|event| event.change.key().last_segment()).collect()
    }

    #[test]
    fn a_transaction_that_fails_is_undone_alone() {
        let connection = database();
        let mut batch = batch(&connection);
        let mut apply = |names: &[&str]| batch.apply(&puts(names), Care::Apart).unwrap();
        assert_eq!(apply(&["one"]), Ok(Revision(1)));
        let failed = apply(&["two", "poison"]);
        assert!(matches!(&failed, Err(StoreError::Unavailable(text)) if text.contains("told to fail")));
        assert_eq!(apply(&["three"]), Ok(Revision(2)), "no revision is wasted");
        let done = batch.finish().unwrap();
        assert_eq!((done.revision, done.written), (Revision(2), (2, 2)));
        assert_eq!(names(&done.events), ["one", "three"]);
        assert_eq!(count(&connection, "items"), 2);
        let kept = journal::since(&connection, Revision(0), &Prefix::all()).unwrap();
        assert_eq!(kept, done.events, "and the journal says the same");
    }

    #[test]
    fn a_transaction_that_fails_without_care_ends_the_batch() {
        let connection = database();
        let mut batch = batch(&connection);
        batch.apply(&puts(&["one"]), Care::Together).unwrap().unwrap();
        let broken = puts(&["two"]).when(Condition::Absent(Key::of(&["a", "one"])));
        let conflict = StoreError::Conflict(Key::of(&["a", "one"]));
        assert_eq!(batch.apply(&broken, Care::Together).unwrap(), Err(conflict), "which is no failure");
        assert_eq!(count(&connection, "items"), 1);
        assert!(batch.apply(&puts(&["three", "poison"]), Care::Together).is_err());
    }

    #[test]
    fn with_nobody_listening_nothing_is_gathered_to_tell() {
        let connection = database();
        let mut batch = Batch::new(&connection, Path::new("/x/sqlite.db"), Revision(0), 0, false);
        batch.apply(&puts(&["one"]), Care::Together).unwrap().unwrap();
        let done = batch.finish().unwrap();
        assert_eq!((done.events, done.written), (Vec::new(), (1, 1)));
        assert_eq!(journal::since(&connection, Revision(0), &Prefix::all()).unwrap().len(), 1);
    }

    #[test]
    fn an_error_that_ends_the_transaction_ends_the_batch() {
        let connection = database();
        let mut batch = batch(&connection);
        batch.apply(&puts(&["one"]), Care::Apart).unwrap().unwrap();
        assert!(batch.apply(&puts(&["fatal"]), Care::Apart).is_err());
        assert!(connection.is_autocommit());
        assert_eq!(count(&connection, "items"), 0);
    }
}
