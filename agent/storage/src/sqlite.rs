//! A store in one SQLite file below the data directory.
//!
//! ```text
//!   write, watch ──▶ bounded queue ──▶ writer thread ──▶ one connection, one commit for many
//!                                           │
//!   watchers ◀────────── fan-out ◀──────────┘ changes of this process at once,
//!                                             of others within Settings::poll
//!   get ──▶ the caller's own thread ──▶ a few read-only connections
//!   range, a get that might wait ──▶ blocking threads ──▶ the same
//! ```
//!
//! A disk gives a few hundred commits a second, however small. So the writer takes all transactions
//! that are waiting or just coming, applies them, and commits once; every caller is answered after
//! that commit. One that fails is undone alone. Several processes may have the file open: SQLite's
//! own lock orders their commits, and the journal of changes tells each what the others did.
//!
//! # What it costs
//!
//! `cargo xtask bench sqlite` prints it beside SQLite itself. A hundred callers put values of 200
//! bytes; the yardstick is a bare table without a journal, in WAL mode, with a hundred rows a commit
//! and its keys in order. Counted with strace over 320 times a hundred puts (two cores, November
//! 2026), the first column with a savepoint and a row of the journal for every put and every get on a
//! blocking thread:
//!
//! | per 100 puts | before | now | bare table |
//! |---|---|---|---|
//! | flushes of the log | 2.0 | 1.1 to 1.3 | 1.0 |
//! | pages written to the log | 55 | 32 to 34 | 14 |
//! | pages read again, for folding and else | 62 | 15 | 6 |
//! | futex calls, to wake and to sleep | 7 | 4 | 0 |
//! | **puts a second**, a flush being 0.2 ms | 64,000 (0.25) | 195,000 (0.76) | 258,000 |
//! | **gets a second**, four callers | 50,000 | 400,000 | |
//!
//! The rates of puts are of a busy machine: the second best of twelve runs in turn, on a memory disk
//! with a pause of about that length for each flush. With a slow disk flushes are all that counts;
//! without any flush the writer does half of what the bare table does.
//!
//! What is left of a put is its share of the flush, a statement, its pages (its row, its key's index
//! entry, its share of a journal row) with two system calls and a checksum each, and one way through
//! the runtime. The journal is a fifth of the pages, and is what watchers resume from. A get is two
//! locks on SQLite's shared memory, which are system calls, and a walk of two small trees.
//!
//! The writer is a thread and not a task, so a test on a paused tokio clock should use
//! [`crate::MemoryStore`]: while the thread works, a paused clock jumps ahead.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use port::clock::Clock;
use port::store::{Item, Key, Page, Prefix, Revision, Store, StoreError, Transaction, Watch, check_limits};
use tokio::sync::{mpsc, oneshot};
use tokio::task::AbortHandle;
use tokio::time::{Instant, MissedTickBehavior};

use crate::expiry::{Micros, to_micros};
use crate::sqlite::reader::Readers;
use crate::sqlite::writer::{Command, Writer};
use crate::{OpenError, Settings};

mod batch;
mod column;
mod failure;
mod folder;
mod herald;
mod journal;
mod open;
mod pace;
mod past;
mod position;
mod reader;
mod schema;
mod step;
mod writer;

/// How many calls may wait for the writer; later ones wait for a place.
const QUEUE: usize = 1024;

/// A store in an SQLite file. Dropping it finishes the writes under way and ends its watches.
pub struct SqliteStore {
    clock: Arc<dyn Clock>,
    commands: mpsc::Sender<Command>,
    readers: Readers,
    ticker: AbortHandle,
}

impl SqliteStore {
    /// Opens `<data_dir>/backend/sqlite.db`, making what is missing, with the default settings.
    ///
    /// Must be called inside tokio. Takes ten seconds and more when another process has the file locked.
    ///
    /// # Errors
    /// [`OpenError`] names the path, the reason and what to do.
    pub async fn open(data_dir: &Path, clock: Arc<dyn Clock>) -> Result<Self, OpenError> {
        Self::open_with(data_dir, clock, Settings::default()).await
    }

    /// The same with these settings.
    ///
    /// # Errors
    /// As [`SqliteStore::open`].
    pub async fn open_with(
        data_dir: &Path,
        clock: Arc<dyn Clock>,
        settings: Settings,
    ) -> Result<Self, OpenError> {
        Self::open_folder(&data_dir.join("backend"), clock, settings).await
    }

    /// The same in a folder of the operator's choice (`storage.path`), which holds `sqlite.db`.
    ///
    /// # Errors
    /// As [`SqliteStore::open`].
    pub async fn open_folder(
        folder: &Path,
        clock: Arc<dyn Clock>,
        settings: Settings,
    ) -> Result<Self, OpenError> {
        let settings = settings.checked();
        let wanted = folder.to_owned();
        let opened = tokio::task::spawn_blocking(move || open::open(&wanted)).await;
        let (path, connection) = opened.map_err(|_| OpenError::Interrupted { path: folder.to_owned() })??;
        let (commands, queue) = mpsc::channel(QUEUE);
        let watched = Arc::new(AtomicBool::new(false));
        let readers = Readers::new(path.clone());
        Writer::new(connection, path, Arc::clone(&clock), settings).start(queue, Arc::clone(&watched))?;
        let ticker = tokio::spawn(tick(commands.downgrade(), watched, settings)).abort_handle();
        Ok(Self { clock, commands, readers, ticker })
    }

    /// Finishes the writes under way, ends the watches and closes the file. Calls after it fail.
    pub async fn shutdown(&self) {
        self.ticker.abort();
        self.readers.close().await;
        let (done, stopped) = oneshot::channel();
        // A writer that has stopped already has nothing left to finish.
        if self.commands.send(Command::Stop(done)).await.is_ok() {
            let _ = stopped.await;
        }
    }

    fn now(&self) -> Micros {
        to_micros(self.clock.now())
    }

    /// Asks the writer and waits for its answer.
    async fn ask<T>(
        &self,
        command: impl FnOnce(oneshot::Sender<Result<T, StoreError>>) -> Command,
    ) -> Result<T, StoreError> {
        let (answer, answered) = oneshot::channel();
        self.commands.send(command(answer)).await.map_err(|_| failure::stopped())?;
        answered.await.map_err(|_| failure::stopped())?
    }
}

impl Drop for SqliteStore {
    fn drop(&mut self) {
        // The writer's thread ends when the last sender, in this store, is gone.
        self.ticker.abort();
    }
}

/// Reminds the writer to look around: for expired items, and for changes of other processes when
/// somebody here watches.
async fn tick(commands: mpsc::WeakSender<Command>, watched: Arc<AtomicBool>, settings: Settings) {
    let mut sweeps = tokio::time::interval_at(Instant::now() + settings.sweep, settings.sweep);
    let mut polls = tokio::time::interval_at(Instant::now() + settings.poll, settings.poll);
    sweeps.set_missed_tick_behavior(MissedTickBehavior::Delay);
    polls.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let command = tokio::select! {
            _ = sweeps.tick() => Command::Sweep,
            _ = polls.tick() => {
                if !watched.load(Ordering::Relaxed) {
                    continue;
                }
                Command::Poll
            }
        };
        let Some(commands) = commands.upgrade() else { return };
        // A full queue means the writer is at work, and it looks for foreign changes at each commit.
        let _ = commands.try_send(command);
    }
}

#[async_trait]
impl Store for SqliteStore {
    async fn get(&self, key: &Key) -> Result<Option<Item>, StoreError> {
        self.readers.get(key, self.now()).await
    }

    async fn range(&self, prefix: &Prefix, from: Option<&Key>, limit: usize) -> Result<Page, StoreError> {
        let (prefix, from, now) = (prefix.clone(), from.cloned(), self.now());
        self.readers
            .read(move |connection| reader::range(connection, &prefix, from.as_ref(), limit, now))
            .await
    }

    async fn write(&self, transaction: Transaction) -> Result<Revision, StoreError> {
        check_limits(&transaction)?;
        self.ask(|answer| Command::Write(transaction, answer)).await
    }

    async fn watch(&self, prefix: Prefix, from: Option<Revision>) -> Result<Watch, StoreError> {
        self.ask(|answer| Command::Watch { prefix, from, answer }).await
    }
}
