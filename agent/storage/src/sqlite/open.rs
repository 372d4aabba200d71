//! Opening the database: the folder, the file, its settings, its schema.
//!
//! Everything here blocks and is called from blocking threads only. Several processes may do it at
//! the same moment: each step is either harmless when done twice or done under SQLite's own lock.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode, MAIN_DB, OpenFlags};

use crate::OpenError;
use crate::sqlite::{folder, schema};

/// How long a call waits while another process keeps the file locked.
const LOCK_WAIT: Duration = Duration::from_secs(10);

/// Between two tries of the writer at a lock another process holds. SQLite's own steps grow to
/// 100 ms, and a process that commits without pause would always have the lock by then.
const LOCK_STEP: Duration = Duration::from_millis(1);

/// Page cache of a reading connection, in KiB. What it does not hold the system's cache does.
const READER_CACHE_KIB: i64 = 256;

/// Page cache of the writer, in KiB: SQLite's own default. Keys of many callers fall on pages far
/// apart, and with a quarter of it the writer read half of what it wrote again.
const WRITER_CACHE_KIB: i64 = 2000;

/// The log is folded into the database when it has so many pages of 4 KiB: 8 MiB. Each time costs
/// two flushes and every page that changed since once, so twice SQLite's default halves that; more
/// would lengthen the wait of whoever's commit it falls into.
const LOG_PAGES: i64 = 2000;

/// The log is cut back to this many bytes afterwards: what it fills anyway is not given back.
const LOG_MAX: i64 = 9 * 1024 * 1024;

/// More than the statements there are, so that each is prepared once.
const STATEMENTS: usize = 32;

/// Opens the database in this folder for writing.
pub(super) fn open(folder: &Path) -> Result<(PathBuf, Connection), OpenError> {
    folder::make(folder)?;
    let path = folder.join("sqlite.db");
    #[allow(
        clippy::disallowed_methods,
        reason = "a blocked thread: the clock of tests stands still meanwhile"
    )]
    let began = Instant::now();
    loop {
        match prepare(&path) {
            // SQLite says "busy" at once, without the wait it was told of, where two that hold a
            // shared lock would wait for each other: at a new file's change to the write-ahead log.
            Err(OpenError::Locked { .. }) if began.elapsed() < LOCK_WAIT => {
                std::thread::park_timeout(LOCK_STEP)
            }
            outcome => return outcome.map(|connection| (path, connection)),
        }
    }
}

fn prepare(path: &Path) -> Result<Connection, OpenError> {
    // The folder is closed to others by now, so it does not matter with what mode SQLite makes the file.
    let mut connection =
        connect(path, OpenFlags::SQLITE_OPEN_CREATE).map_err(|error| explain(path, "open", error))?;
    folder::restrict(path, 0o600)?;
    wait_for_locks(&mut connection).map_err(|error| explain(path, "set up", error))?;
    schema::identify_at_rest(&mut connection).map_err(|error| explain(path, "read", error))?.check(path)?;
    set_up(&mut connection, path)?;
    schema::migrate(&mut connection)
        .map_err(|error| explain(path, "bring up to date", error))?
        .check(path)?;
    Ok(connection)
}

/// Opens a further connection, for reading only.
pub(super) fn open_reader(path: &Path) -> rusqlite::Result<Connection> {
    let connection = connect(path, OpenFlags::empty())?;
    wait_as_reader(&connection, Patience::Some)?;
    small(&connection, READER_CACHE_KIB)?;
    connection.pragma_update(None, "query_only", true)?;
    Ok(connection)
}

/// Whether a reader may wait for a lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Patience {
    /// As long as a writer: on blocking threads.
    Some,
    /// Not at all: it fails at once, with `SQLITE_BUSY`.
    None,
}

/// Sets how long a reader waits for a lock.
pub(super) fn wait_as_reader(connection: &Connection, patience: Patience) -> rusqlite::Result<()> {
    connection.busy_timeout(if patience == Patience::Some { LOCK_WAIT } else { Duration::ZERO })
}

/// Without SQLITE_OPEN_URI: a path is a path.
fn connect(path: &Path, more: OpenFlags) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX | more;
    Connection::open_with_flags(path, flags)
}

fn wait_for_locks(connection: &mut Connection) -> rusqlite::Result<()> {
    let tries = i32::try_from(LOCK_WAIT.as_millis() / LOCK_STEP.as_millis()).unwrap_or(i32::MAX);
    connection.busy_handler(Some(move |tried: i32| {
        // The writer's own thread, or a blocking one: never one of the executor's.
        std::thread::park_timeout(LOCK_STEP);
        tried < tries
    }))
}

fn set_up(connection: &mut Connection, path: &Path) -> Result<(), OpenError> {
    let failed = |error| explain(path, "set up", error);
    if connection.is_readonly(MAIN_DB).map_err(failed)? {
        return Err(OpenError::ReadOnly { path: path.to_owned() });
    }
    let mode: String =
        connection.pragma_update_and_check(None, "journal_mode", "wal", |row| row.get(0)).map_err(failed)?;
    if mode != "wal" {
        return Err(OpenError::FileSystem { path: path.to_owned(), mode });
    }
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    durable(connection).and_then(|()| small(connection, WRITER_CACHE_KIB)).map_err(failed)
}

/// Every commit is on disk before it returns.
fn durable(connection: &Connection) -> rusqlite::Result<()> {
    connection.pragma_update(None, "synchronous", "full")?;
    // Where fsync alone leaves data in the drive's own cache (macOS); elsewhere without effect.
    connection.pragma_update(None, "fullfsync", true)?;
    connection.pragma_update(None, "wal_autocheckpoint", LOG_PAGES)?;
    connection.pragma_update(None, "journal_size_limit", LOG_MAX)
}

fn small(connection: &Connection, cache: i64) -> rusqlite::Result<()> {
    connection.pragma_update(None, "cache_size", -cache)?;
    connection.pragma_update(None, "mmap_size", 0)?;
    connection.pragma_update(None, "temp_store", "memory")?;
    connection.pragma_update(None, "trusted_schema", false)
}

/// What an error of SQLite means to whoever starts the program.
fn explain(path: &Path, step: &'static str, source: rusqlite::Error) -> OpenError {
    let path = path.to_owned();
    match source.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => OpenError::NotSqlite { path },
        Some(ErrorCode::DatabaseCorrupt) => OpenError::Damaged { path, source },
        Some(ErrorCode::ReadOnly) => OpenError::ReadOnly { path },
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            OpenError::Locked { path, seconds: LOCK_WAIT.as_secs() }
        }
        _ => OpenError::Database { step, path, source },
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;

    use super::*;

    const CALLERS: usize = 8;

    /// Each round is one chance only that they meet at the moment that matters.
    const ROUNDS: usize = 100;

    #[test]
    fn a_new_file_is_opened_by_many_at_the_same_moment() {
        for round in 0..ROUNDS {
            let folder = tempfile::tempdir().unwrap();
            let ready = Barrier::new(CALLERS);
            std::thread::scope(|scope| {
                for _ in 0..CALLERS {
                    scope.spawn(|| {
                        ready.wait();
                        open(folder.path()).unwrap_or_else(|error| panic!("round {round}: {error}"));
                    });
                }
            });
        }
    }
}
