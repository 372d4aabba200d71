//! The tables, and how an older database becomes a newer one.
//!
//! A database carries our mark (`application_id`) and the number of steps it has been through
//! (`user_version`). Each step runs once, in a transaction of its own, so a process killed between
//! two of them leaves a database the next one goes on with.

use std::path::Path;

use rusqlite::{Connection, TransactionBehavior};

use crate::OpenError;

/// The mark of our databases: "tpls" in ASCII.
const MARK: i64 = 0x7470_6c73;

/// The steps so far. A released step is never changed; a change is a further step.
const STEPS: &[&str] = &[include_str!("schema/1.sql"), include_str!("schema/2.sql")];

/// Whose database it is and how old.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Identity {
    mark: i64,
    version: i64,
    tables: i64,
}

/// Reads who made the database, as it was at one moment: a process that makes the tables between
/// two of the readings would have it taken for somebody else's. Changes nothing.
pub(super) fn identify_at_rest(connection: &mut Connection) -> rusqlite::Result<Identity> {
    let transaction = connection.transaction()?;
    identify(&transaction)
}

/// The same, for those who are in a transaction.
fn identify(connection: &Connection) -> rusqlite::Result<Identity> {
    let pragma = |name| connection.pragma_query_value(None, name, |row| row.get(0));
    let tables = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    Ok(Identity { mark: pragma("application_id")?, version: pragma("user_version")?, tables })
}

impl Identity {
    /// Whether it is ours, or nobody's yet, and no newer than this program.
    pub(super) fn check(self, path: &Path) -> Result<(), OpenError> {
        let path = path.to_owned();
        if self.is_foreign() {
            return Err(OpenError::Foreign { path });
        }
        let known = known(STEPS);
        if self.version > known {
            return Err(OpenError::Newer { path, found: self.version, known });
        }
        Ok(())
    }

    fn is_foreign(self) -> bool {
        let is_new = self.mark == 0 && self.version == 0 && self.tables == 0;
        !is_new && self.mark != MARK
    }

    /// What is to be done next, if it is ours to do.
    fn next<'a>(self, steps: &[&'a str]) -> Option<&'a str> {
        if self.is_foreign() {
            return None;
        }
        usize::try_from(self.version).ok().and_then(|done| steps.get(done)).copied()
    }
}

/// Brings the database up to date. Returns what it is then: another program, or a newer one of ours, may have come
/// first.
pub(super) fn migrate(connection: &mut Connection) -> rusqlite::Result<Identity> {
    migrate_through(connection, STEPS)
}

fn migrate_through(connection: &mut Connection, steps: &[&str]) -> rusqlite::Result<Identity> {
    loop {
        // The version is read under the lock, so a step another process took is not taken again.
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let identity = identify(&transaction)?;
        let Some(step) = identity.next(steps) else { return Ok(identity) };
        transaction.execute_batch(step)?;
        transaction.pragma_update(None, "application_id", MARK)?;
        transaction.pragma_update(None, "user_version", identity.version + 1)?;
        transaction.commit()?;
    }
}

fn known(steps: &[&str]) -> i64 {
    i64::try_from(steps.len()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FURTHER: &str = "ALTER TABLE items ADD COLUMN note TEXT; INSERT INTO items (key, value, revision) VALUES ('/n', x'', 1);";

    fn steps() -> Vec<&'static str> {
        STEPS.iter().copied().chain([FURTHER]).collect()
    }

    fn notes(connection: &Connection) -> i64 {
        connection.query_row("SELECT count(*) FROM items", [], |row| row.get(0)).unwrap()
    }

    #[test]
    fn each_step_is_taken_once() {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection).unwrap();
        assert_eq!(identify(&connection).unwrap().version, known(STEPS));
        migrate_through(&mut connection, &steps()).unwrap();
        migrate_through(&mut connection, &steps()).unwrap();
        assert_eq!((identify(&connection).unwrap().version, notes(&connection)), (known(STEPS) + 1, 1));
    }

    #[test]
    fn the_second_step_keeps_items_and_revision_and_forgets_the_past() {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate_through(&mut connection, &STEPS[..1]).unwrap();
        let old = "INSERT INTO items (key, value, revision, expires) VALUES ('/a', x'01', 6, NULL), ('/b', x'02', 7, 9);
             INSERT INTO events (revision, key, value, expires, time) VALUES (6, '/a', x'01', NULL, 1);
             UPDATE position SET revision = 7, compacted = 5;";
        connection.execute_batch(old).unwrap();
        migrate(&mut connection).unwrap();
        let items =
            "SELECT group_concat(key || revision || hex(value) || ifnull(expires, ''), ' ') FROM items";
        let items: String = connection.query_row(items, [], |row| row.get(0)).unwrap();
        assert_eq!(items, "/a601 /b7029");
        let position = crate::sqlite::position::read(&connection).unwrap();
        assert_eq!((position.revision.0, position.compacted.0), (7, 7));
        assert!(connection.prepare("SELECT * FROM events").is_err());
    }

    #[test]
    fn a_step_that_fails_leaves_the_version_before_it() {
        let mut connection = Connection::open_in_memory().unwrap();
        let broken: Vec<_> = steps().into_iter().chain(["CREATE TABLE half (x); NONSENSE"]).collect();
        assert!(migrate_through(&mut connection, &broken).is_err());
        let identity = identify(&connection).unwrap();
        assert_eq!((identity.version, identity.mark), (known(STEPS) + 1, MARK));
        assert!(connection.prepare("SELECT * FROM half").is_err(), "the failed step left nothing");
    }

    #[test]
    fn what_another_program_or_a_newer_one_made_meanwhile_is_left_as_it_is() {
        let path = Path::new("x");
        let mut newer = Connection::open_in_memory().unwrap();
        migrate_through(&mut newer, &steps()).unwrap();
        assert!(matches!(migrate(&mut newer).unwrap().check(path), Err(OpenError::Newer { .. })));
        let mut foreign = Connection::open_in_memory().unwrap();
        foreign.execute_batch("CREATE TABLE theirs (x)").unwrap();
        assert!(matches!(migrate(&mut foreign).unwrap().check(path), Err(OpenError::Foreign { .. })));
        assert_eq!(identify(&foreign).unwrap().tables, 1);
    }

    #[test]
    fn only_our_own_databases_up_to_our_version_are_accepted() {
        let check = |mark, version, tables| Identity { mark, version, tables }.check(Path::new("x"));
        assert!(check(0, 0, 0).is_ok());
        assert!(check(MARK, 1, 3).is_ok());
        assert!(matches!(check(0, 0, 1), Err(OpenError::Foreign { .. })));
        assert!(matches!(check(7, 1, 3), Err(OpenError::Foreign { .. })));
        let newer = known(STEPS) + 1;
        assert!(matches!(check(MARK, newer, 3), Err(OpenError::Newer { found, .. }) if found == newer));
    }
}
