//! Reading, beside the writer: a few connections, used from blocking threads.
//!
//! A connection is opened when it is first needed and thrown away when a read on it failed, so the
//! next one starts clean.

use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::Mutex;
use port::store::{Item, Key, Page, Prefix, StoreError};
use rusqlite::{Connection, OptionalExtension, params};
use tokio::sync::Semaphore;

use crate::expiry::Micros;
use crate::sqlite::{column, event, failure, open};

/// How many reads happen at once; more wait. Two cores gain nothing from more, and each
/// connection has its own page cache.
const CONNECTIONS: u32 = 3;

/// The connections for reading.
#[derive(Clone)]
pub(super) struct Readers(Arc<Shared>);

struct Shared {
    path: PathBuf,
    idle: Mutex<Vec<Connection>>,
    permits: Arc<Semaphore>,
}

impl Readers {
    /// Connections to this file; none is opened yet.
    pub(super) fn new(path: PathBuf) -> Self {
        let permits = Arc::new(Semaphore::new(CONNECTIONS as usize));
        Self(Arc::new(Shared { path, idle: Mutex::default(), permits }))
    }

    /// Reads on one of the connections.
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
        let result = work(&mut connection).map_err(explain)?;
        self.idle.lock().push(connection);
        Ok(result)
    }
}

/// One item, unless it has expired.
pub(super) fn get(connection: &mut Connection, key: &Key, now: Micros) -> rusqlite::Result<Option<Item>> {
    let mut statement = connection.prepare_cached(
        "SELECT key, value, revision, expires FROM items
         WHERE key = ?1 AND (expires IS NULL OR expires > ?2)",
    )?;
    statement.query_row(params![key.as_str(), now], column::item).optional()
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
    let revision = event::position(&snapshot)?.revision;
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
