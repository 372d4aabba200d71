//! Transactions of the port inside one transaction of SQLite.
//!
//! Each has its own savepoint: one that fails is undone alone, and the others go on. Only an error
//! that makes SQLite give up the whole transaction (disk full, I/O) ends the batch for everyone.

use std::path::Path;

use port::store::{
    Change, Condition, Item, Key, Operation, Prefix, Revision, StoreError, Transaction, WatchEvent,
};
use rusqlite::{Connection, OptionalExtension, params};

use crate::expiry::{Micros, rounded};
use crate::sqlite::{column, event, failure};

/// A transaction of SQLite being filled.
pub(super) struct Batch<'a> {
    connection: &'a Connection,
    path: &'a Path,
    now: Micros,
    revision: Revision,
    events: Vec<WatchEvent>,
}

impl<'a> Batch<'a> {
    /// An empty batch after `revision`. `connection` is inside a transaction.
    pub(super) fn new(connection: &'a Connection, path: &'a Path, revision: Revision, now: Micros) -> Self {
        Self { connection, path, now, revision, events: Vec::new() }
    }

    /// Applies one transaction and returns its revision, or why it was not applied.
    ///
    /// # Errors
    /// The whole batch is lost.
    pub(super) fn apply(
        &mut self,
        transaction: &Transaction,
    ) -> rusqlite::Result<Result<Revision, StoreError>> {
        let mark = self.events.len();
        self.run("SAVEPOINT one")?;
        match self.attempt(transaction) {
            Ok(None) => {
                self.run("RELEASE one")?;
                self.revision = self.next();
                Ok(Ok(self.revision))
            }
            Ok(Some(broken)) => self.undo(mark).map(|()| Err(StoreError::Conflict(broken))),
            Err(error) if self.connection.is_autocommit() => Err(error),
            Err(error) => self.undo(mark).map(|()| Err(failure::explain(self.path, &error))),
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

    /// Where the batch has brought the store, and what it changed.
    pub(super) fn finish(self) -> (Revision, Vec<WatchEvent>) {
        (self.revision, self.events)
    }

    /// Does the transaction; or names the key of the first condition that does not hold.
    fn attempt(&mut self, transaction: &Transaction) -> rusqlite::Result<Option<Key>> {
        for condition in &transaction.conditions {
            if !self.holds(condition)? {
                return Ok(Some(condition.key().clone()));
            }
        }
        for operation in &transaction.operations {
            match operation {
                Operation::Put { key, value, expires } => {
                    let (key, value, expires) = (key.clone(), value.clone(), expires.map(rounded));
                    self.put(Item { key, value, expires, revision: self.next() })?;
                }
                Operation::Delete(key) => self.delete(key)?,
                Operation::DeleteRange(prefix) => self.delete_range(prefix)?,
            }
        }
        Ok(None)
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

    fn put(&mut self, item: Item) -> rusqlite::Result<()> {
        let mut statement = self.connection.prepare_cached(
            "INSERT INTO items (key, value, revision, expires) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (key) DO UPDATE SET
                 value = excluded.value, revision = excluded.revision, expires = excluded.expires",
        )?;
        let (revision, expires) = (column::of_revision(item.revision), column::of_expiry(item.expires));
        statement.execute(params![item.key.as_str(), item.value.as_ref(), revision, expires])?;
        self.tell(Change::Put(item))
    }

    fn delete(&mut self, key: &Key) -> rusqlite::Result<()> {
        let mut statement = self.connection.prepare_cached("DELETE FROM items WHERE key = ?1")?;
        if statement.execute([key.as_str()])? == 0 {
            return Ok(());
        }
        self.tell(Change::Delete(key.clone()))
    }

    fn delete_range(&mut self, prefix: &Prefix) -> rusqlite::Result<()> {
        let mut statement =
            self.connection.prepare_cached("DELETE FROM items WHERE key >= ?1 AND key < ?2 RETURNING key")?;
        let rows = statement.query_map([prefix.as_str(), &prefix.end()], |row| column::key(row, 0))?;
        let mut keys = rows.collect::<rusqlite::Result<Vec<_>>>()?;
        // The order in which rows come back is SQLite's own; ours is that of keys.
        keys.sort_unstable();
        keys.into_iter().try_for_each(|key| self.tell(Change::Delete(key)))
    }

    fn tell(&mut self, change: Change) -> rusqlite::Result<()> {
        let event = WatchEvent { revision: self.next(), change };
        event::insert(self.connection, &event, self.now)?;
        self.events.push(event);
        Ok(())
    }

    /// The revision of the transaction being applied.
    fn next(&self) -> Revision {
        Revision(self.revision.0 + 1)
    }

    fn undo(&mut self, mark: usize) -> rusqlite::Result<()> {
        self.events.truncate(mark);
        self.run("ROLLBACK TO one")?;
        self.run("RELEASE one")
    }

    fn run(&self, sql: &str) -> rusqlite::Result<()> {
        self.connection.prepare_cached(sql)?.execute([]).map(|_| ())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sqlite::schema;

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
        Batch::new(connection, Path::new("/x/sqlite.db"), Revision(0), 0)
    }

    fn puts(names: &[&str]) -> Transaction {
        let put = |all: Transaction, name: &&str| all.put(Key::of(&["a", name]), "1", None);
        names.iter().fold(Transaction::default(), put)
    }

    fn count(connection: &Connection, table: &str) -> i64 {
        connection.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap()
    }

    #[test]
    fn a_transaction_that_fails_is_undone_alone() {
        let connection = database();
        let mut batch = batch(&connection);
        assert_eq!(batch.apply(&puts(&["one"])).unwrap(), Ok(Revision(1)));
        let failed = batch.apply(&puts(&["two", "poison"])).unwrap();
        assert!(matches!(&failed, Err(StoreError::Unavailable(text)) if text.contains("told to fail")));
        assert_eq!(batch.apply(&puts(&["three"])).unwrap(), Ok(Revision(2)), "no revision is wasted");
        let (revision, events) = batch.finish();
        let told: Vec<_> = events.iter().map(|event| event.change.key().last_segment()).collect();
        assert_eq!((revision, told), (Revision(2), vec!["one", "three"]));
        assert_eq!((count(&connection, "items"), count(&connection, "events")), (2, 2));
    }

    #[test]
    fn an_error_that_ends_the_transaction_ends_the_batch() {
        let connection = database();
        let mut batch = batch(&connection);
        batch.apply(&puts(&["one"])).unwrap().unwrap();
        assert!(batch.apply(&puts(&["fatal"])).is_err());
        assert!(connection.is_autocommit());
        assert_eq!(count(&connection, "items"), 0);
    }
}
