//! Reading, beside the writer, on a few connections of its own.
//!
//! A point read of what the caches hold takes two to four microseconds; handing it to a blocking
//! thread and waking up again costs eight times that (50,000 gets a second on two cores where there
//! are 400,000 now). So [`Readers::get`] looks on the caller's own
//! thread, and only what might keep that thread goes to a blocking one:
//!
//! - opening a connection, which reads the schema;
//! - pages: of any number, with whatever lies in between;
//! - a value above [`GLANCE_MAX`]: its pages are not touched by the look that finds it;
//! - a lock: the look waits for none. Readers of a log meet one only while another process recovers
//!   or removes it; SQLite then says busy and the read moves over;
//! - waiting for a connection when all are in use;
//! - a cold disk. Nothing tells beforehand whether the system holds a page, so the first look that
//!   takes longer than [`SLOW`] is the last for a while: the next [`REST`] reads go to blocking
//!   threads, by which time the pages of a store of records are in memory. A look touches four or five
//!   pages of the tree and at most four of a value: that one waits for as long as the disk takes for
//!   those;
//! - whatever comes while looks stand: when some are under way and none has ended for [`STILL`], reads
//!   go to blocking threads until one does. So a disk that does not answer does not take one thread
//!   after the other. It may take more than the first: looks that begin within [`STILL`] of another's
//!   end may meet it too, as long as there are connections.
//!
//! One wait is SQLite's own and cannot be turned off: when the log's index changes while a look begins,
//! it tries again, five times at once and then after pauses that grow from a microsecond. The index is
//! changed within nanoseconds, so a few tries do. But if it stays so, as when whoever changes it is
//! stopped half-way, the pauses add up to almost ten seconds before the read moves over. Such a look
//! stands like one that waits for the disk.
//!
//! A snapshot is held for one look or page and no longer, so that the log can be folded. Every look
//! uses up some of its task's turn: a caller that reads in a loop lets others run.
//!
//! A connection is opened when it is first needed and thrown away when a read on it failed, so the
//! next one starts clean.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use port::store::{Item, Key, Page, Prefix, StoreError};
use rusqlite::{Connection, ErrorCode, OptionalExtension, Row, params};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::expiry::Micros;
use crate::sqlite::open::{self, Patience};
use crate::sqlite::{column, failure, position};

/// How many reads happen at once; more wait. Each connection has its own page cache, and a look is
/// over before the next task of its thread begins: few are ever in use.
const CONNECTIONS: u32 = 4;

/// The largest value that is read on the caller's thread, in bytes: four pages beside the tree.
const GLANCE_MAX: usize = 16 * 1024;

/// A look that takes longer has met the disk.
const SLOW: Duration = Duration::from_millis(2);

/// How many reads go to blocking threads after that.
const REST: u32 = 128;

/// Looks of which none has ended for longer stand: many times what one takes.
const STILL: Duration = Duration::from_micros(100);

/// The connections for reading.
#[derive(Clone)]
pub(super) struct Readers(Arc<Shared>);

struct Shared {
    path: PathBuf,
    idle: Mutex<Vec<Connection>>,
    permits: Arc<Semaphore>,
    /// How many reads are still to go to blocking threads.
    rest: AtomicU32,
    /// How many looks are under way.
    looks: AtomicU32,
    /// When one last ended, or began while there was no other: nanoseconds since `origin`.
    moved: AtomicU64,
    origin: Instant,
}

/// A look under way. It is over when this is dropped.
struct Look<'a> {
    shared: &'a Shared,
    began: Instant,
}

/// What a look on the caller's thread found.
#[derive(Debug, PartialEq, Eq)]
enum Glance {
    /// The item, or that there is none.
    Seen(Option<Item>),
    /// Nothing: it would have taken too long.
    Missed,
}

impl Readers {
    /// Connections to this file; none is opened yet.
    pub(super) fn new(path: PathBuf) -> Self {
        let permits = Arc::new(Semaphore::new(CONNECTIONS as usize));
        Self(Arc::new(Shared {
            path,
            idle: Mutex::default(),
            permits,
            rest: AtomicU32::new(0),
            looks: AtomicU32::new(0),
            moved: AtomicU64::new(0),
            origin: Instant::now(),
        }))
    }

    /// One item, unless it has expired.
    pub(super) async fn get(&self, key: &Key, now: Micros) -> Result<Option<Item>, StoreError> {
        tokio::task::consume_budget().await;
        if let Glance::Seen(item) = self.0.glance(key, now)? {
            return Ok(item);
        }
        let key = key.clone();
        self.read(move |connection| whole(connection, &key, now)).await
    }

    /// Reads on one of the connections, on a blocking thread.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let permit = Arc::clone(&self.0.permits).acquire_owned().await.map_err(|_| failure::stopped())?;
        let shared = Arc::clone(&self.0);
        let reading = tokio::task::spawn_blocking(move || {
            // Held until the connection is back, so there are never more than permits.
            let _permit = permit;
            shared.read(work)
        });
        // Cancelled with the runtime: nobody reads any more.
        reading.await.map_err(|_| failure::stopped())?
    }

    /// Closes the connections, once the reads under way have ended. Later reads fail.
    pub(super) async fn close(&self) {
        // All permits together mean that no read is under way.
        let all = self.0.permits.acquire_many(CONNECTIONS).await;
        self.0.permits.close();
        self.0.idle.lock().clear();
        drop(all);
    }
}

impl Shared {
    fn read<T>(&self, work: impl FnOnce(&mut Connection) -> rusqlite::Result<T>) -> Result<T, StoreError> {
        let idle = self.idle.lock().pop();
        let explain = |error| failure::explain(&self.path, &error);
        let mut connection = idle.map_or_else(|| open::open_reader(&self.path), Ok).map_err(explain)?;
        open::wait_as_reader(&connection, Patience::Some).map_err(explain)?;
        let result = work(&mut connection).map_err(explain)?;
        self.idle.lock().push(connection);
        Ok(result)
    }

    /// Looks on this thread, if that can be expected to be quick: for no lock of the database and for no
    /// connection does it wait.
    fn glance(&self, key: &Key, now: Micros) -> Result<Glance, StoreError> {
        let began = Instant::now();
        if self.stands(began) || self.rests() {
            return Ok(Glance::Missed);
        }
        // Held until the connection is back. None when closed, too: the longer way says so.
        let Ok(_permit) = self.permits.try_acquire() else { return Ok(Glance::Missed) };
        let Some(connection) = self.idle.lock().pop() else { return Ok(Glance::Missed) };
        let look = self.look(began);
        let looked =
            open::wait_as_reader(&connection, Patience::None).and_then(|()| glance(&connection, key, now));
        drop(look);
        let seen = match looked {
            Err(error) if is_busy(&error) => Glance::Missed,
            looked => looked.map_err(|error| failure::explain(&self.path, &error))?,
        };
        self.idle.lock().push(connection);
        Ok(seen)
    }

    /// Whether looks are under way and none has got on for a while.
    fn stands(&self, now: Instant) -> bool {
        // Pairs with the addition in `look`: whoever sees the only look sees when it began, too.
        self.looks.load(Ordering::Acquire) > 0
            && self.moment(now).saturating_sub(self.moved.load(Ordering::Relaxed)) > nanoseconds(STILL)
    }

    /// Counts a look until it is over.
    fn look(&self, began: Instant) -> Look<'_> {
        if self.looks.load(Ordering::Relaxed) == 0 {
            self.moved.store(self.moment(began), Ordering::Relaxed);
        }
        self.looks.fetch_add(1, Ordering::Release);
        Look { shared: self, began }
    }

    fn moment(&self, at: Instant) -> u64 {
        nanoseconds(at.saturating_duration_since(self.origin))
    }

    /// Notes how long a look took.
    fn note(&self, took: Duration) {
        if took > SLOW {
            self.rest.store(REST, Ordering::Relaxed);
        }
    }

    /// Whether this read is one of those that go to a blocking thread; counts it.
    fn rests(&self) -> bool {
        let fewer = |rest: u32| rest.checked_sub(1);
        self.rest.load(Ordering::Relaxed) > 0
            && self.rest.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fewer).is_ok()
    }
}

impl Drop for Look<'_> {
    fn drop(&mut self) {
        let (shared, now) = (self.shared, Instant::now());
        shared.note(now.saturating_duration_since(self.began));
        shared.moved.store(shared.moment(now), Ordering::Relaxed);
        shared.looks.fetch_sub(1, Ordering::Release);
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

fn is_busy(error: &rusqlite::Error) -> bool {
    let busy = [ErrorCode::DatabaseBusy, ErrorCode::DatabaseLocked, ErrorCode::FileLockingProtocolFailed];
    error.sqlite_error_code().is_some_and(|code| busy.contains(&code))
}

/// The item, unless its value is large: of that only the length is read.
fn glance(connection: &Connection, key: &Key, now: Micros) -> rusqlite::Result<Glance> {
    let mut statement = connection.prepare_cached(
        "SELECT iif(length(value) <= ?3, value, NULL), revision, expires FROM items
         WHERE key = ?1 AND (expires IS NULL OR expires > ?2)",
    )?;
    let largest = i64::try_from(GLANCE_MAX).unwrap_or(i64::MAX);
    let mut rows = statement.query(params![key.as_str(), now, largest])?;
    let Some(row) = rows.next()? else { return Ok(Glance::Seen(None)) };
    Ok(item(row, key)?.map_or(Glance::Missed, |item| Glance::Seen(Some(item))))
}

fn whole(connection: &mut Connection, key: &Key, now: Micros) -> rusqlite::Result<Option<Item>> {
    let mut statement = connection.prepare_cached(
        "SELECT value, revision, expires FROM items
         WHERE key = ?1 AND (expires IS NULL OR expires > ?2)",
    )?;
    let found = statement.query_row(params![key.as_str(), now], |row| item(row, key)).optional()?;
    Ok(found.flatten())
}

/// The item of a row of value, revision and expiry; none when the value was left out.
fn item(row: &Row<'_>, key: &Key) -> rusqlite::Result<Option<Item>> {
    let Some(value) = row.get::<_, Option<Vec<u8>>>(0)? else { return Ok(None) };
    let (revision, expires) = (column::revision(row, 1)?, column::expiry(row, 2)?);
    Ok(Some(Item { key: key.clone(), value: Bytes::from(value), revision, expires }))
}

/// A page of items and the revision they were read at: one snapshot.
pub(super) fn range(
    connection: &mut Connection,
    prefix: &Prefix,
    from: Option<&Key>,
    limit: usize,
    now: Micros,
) -> rusqlite::Result<Page> {
    let snapshot = connection.transaction()?;
    let revision = position::read(&snapshot)?.revision;
    let mut statement = snapshot.prepare_cached(
        "SELECT key, value, revision, expires FROM items
         WHERE key >= ?1 AND key < ?2 AND (expires IS NULL OR expires > ?3)
         ORDER BY key LIMIT ?4",
    )?;
    let start = from.map_or(prefix.as_str(), |from| from.as_str().max(prefix.as_str()));
    // One more than asked for: it tells whether there is a next page, and where it starts.
    let rows = i64::try_from(limit.saturating_add(1)).unwrap_or(i64::MAX);
    let items = statement.query_map(params![start, prefix.end(), now, rows], column::item)?;
    let mut items = items.collect::<rusqlite::Result<Vec<_>>>()?;
    let next = if items.len() > limit { items.pop().map(|item| item.key) } else { None };
    Ok(Page { items, next, revision })
}

#[cfg(test)]
mod tests {
    // Where a test says what a look finds, the clock is paused: no look is slow because the machine is busy.

    use tokio::time::advance;

    use super::*;
    use crate::sqlite::schema;

    fn key(name: &str) -> Key {
        Key::of(&["a", name])
    }

    /// Readers of a file with `small`, `large`, and nothing else.
    fn readers(folder: &tempfile::TempDir) -> (Connection, Readers) {
        let path = folder.path().join("sqlite.db");
        let mut writer = Connection::open(&path).unwrap();
        writer.pragma_update(None, "journal_mode", "wal").unwrap();
        schema::migrate(&mut writer).unwrap();
        for (name, size) in [("small", GLANCE_MAX), ("large", GLANCE_MAX + 1)] {
            let sql = "INSERT INTO items (key, value, revision) VALUES (?1, ?2, 1)";
            writer.execute(sql, params![key(name).as_str(), vec![7_u8; size]]).unwrap();
        }
        (writer, Readers::new(path))
    }

    fn size(found: Option<Item>) -> usize {
        found.unwrap().value.len()
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_small_is_read_at_once_and_what_is_large_on_another_thread() {
        let folder = tempfile::tempdir().unwrap();
        let (_writer, readers) = readers(&folder);
        let glance = |name| readers.0.glance(&key(name), 0);
        assert_eq!(glance("small"), Ok(Glance::Missed), "no connection is open yet");
        assert_eq!(size(readers.get(&key("small"), 0).await.unwrap()), GLANCE_MAX);
        let Ok(Glance::Seen(found)) = glance("small") else { unreachable!("now there is one") };
        assert_eq!(size(found), GLANCE_MAX);
        assert_eq!(glance("none"), Ok(Glance::Seen(None)));
        assert_eq!(glance("large"), Ok(Glance::Missed));
        assert_eq!(size(readers.get(&key("large"), 0).await.unwrap()), GLANCE_MAX + 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_look_waits_for_no_lock_and_for_no_connection() {
        let folder = tempfile::tempdir().unwrap();
        let (writer, readers) = readers(&folder);
        readers.get(&key("small"), 0).await.unwrap();
        let all = readers.0.permits.try_acquire_many(CONNECTIONS).unwrap();
        assert_eq!(readers.0.glance(&key("small"), 0), Ok(Glance::Missed), "all are in use");
        drop(all);
        // A database without a log, and somebody about to write it: a reader would have to wait.
        drop(readers.0.idle.lock().drain(..).collect::<Vec<_>>());
        writer.pragma_update(None, "journal_mode", "delete").unwrap();
        readers.get(&key("small"), 0).await.unwrap();
        writer.execute_batch("BEGIN EXCLUSIVE").unwrap();
        assert_eq!(readers.0.glance(&key("small"), 0), Ok(Glance::Missed));
        writer.execute_batch("COMMIT").unwrap();
        assert_eq!(size(readers.get(&key("small"), 0).await.unwrap()), GLANCE_MAX);
    }

    #[tokio::test(start_paused = true)]
    async fn after_a_slow_look_reads_keep_to_other_threads_for_a_while() {
        let folder = tempfile::tempdir().unwrap();
        let (_writer, readers) = readers(&folder);
        readers.get(&key("small"), 0).await.unwrap();
        readers.0.note(SLOW);
        assert!(matches!(readers.0.glance(&key("small"), 0), Ok(Glance::Seen(Some(_)))));
        readers.0.note(SLOW * 2);
        for _ in 0..REST {
            assert_eq!(readers.0.glance(&key("small"), 0), Ok(Glance::Missed));
        }
        assert!(matches!(readers.0.glance(&key("small"), 0), Ok(Glance::Seen(Some(_)))));
    }

    #[tokio::test(start_paused = true)]
    async fn while_looks_stand_still_reads_keep_to_other_threads() {
        let folder = tempfile::tempdir().unwrap();
        let (_writer, readers) = readers(&folder);
        readers.get(&key("small"), 0).await.unwrap();
        let glance = || readers.0.glance(&key("none"), 0);
        advance(STILL * 2).await;
        let standing = readers.0.look(Instant::now());
        for _ in 0..3 {
            advance(STILL).await;
            assert_eq!(glance(), Ok(Glance::Seen(None)), "the one before has ended just now");
        }
        advance(STILL + Duration::from_nanos(1)).await;
        assert_eq!(glance(), Ok(Glance::Missed));
        assert_eq!(glance(), Ok(Glance::Missed), "who did not look has not got on");
        assert_eq!(size(readers.get(&key("small"), 0).await.unwrap()), GLANCE_MAX);
        assert_eq!(glance(), Ok(Glance::Missed), "what other threads read tells nothing of the look");
        drop(standing);
        assert_eq!(glance(), Ok(Glance::Seen(None)));
        advance(STILL * 2).await;
        assert_eq!(glance(), Ok(Glance::Seen(None)), "none is under way");
    }

    #[tokio::test]
    async fn nothing_is_read_once_closed() {
        let folder = tempfile::tempdir().unwrap();
        let (_writer, readers) = readers(&folder);
        readers.get(&key("small"), 0).await.unwrap();
        readers.close().await;
        assert_eq!(readers.get(&key("small"), 0).await, Err(failure::stopped()));
        assert!(readers.0.idle.lock().is_empty());
    }
}
