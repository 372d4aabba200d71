//! The one thread that writes, and that tells the watchers.
//!
//! It alone knows what the watchers have heard ([`Writer::seen`]), so the order of changes is kept
//! without any lock: whatever reaches them, from this process or another, passes here in the order
//! of revisions.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use port::clock::Clock;
use port::store::{Prefix, Revision, StoreError, Transaction, Watch};
use rusqlite::{Connection, TransactionBehavior};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use crate::expiry::to_micros;
use crate::fanout::Fanout;
use crate::history::{Due, Limits};
use crate::sqlite::batch::{Batch, Care};
use crate::sqlite::herald::{Answers, Herald};
use crate::sqlite::pace::Pace;
use crate::sqlite::position::{self, Position};
use crate::sqlite::{failure, journal, past};
use crate::{OpenError, Settings};

/// How many transactions share a commit at most: a bound on how long the first of them waits.
const BATCH: usize = 256;

/// How many expired items one sweep removes at most; the rest follows at the next.
const SWEEP: usize = 2048;

/// Where the answer to a call goes.
type Answer<T> = oneshot::Sender<Result<T, StoreError>>;

/// A transaction that waits, and where its answer goes.
type Waiting = (Transaction, Answer<Revision>);

/// What the writer is asked to do.
pub(super) enum Command {
    /// A transaction of the port.
    Write(Transaction, Answer<Revision>),
    /// A new watcher.
    Watch {
        /// What it watches.
        prefix: Prefix,
        /// From when on.
        from: Option<Revision>,
        /// Its watch.
        answer: Answer<Watch>,
    },
    /// Look for changes of other processes.
    Poll,
    /// Look for expired items and old changes.
    Sweep,
    /// Close the database, then say so.
    Stop(oneshot::Sender<()>),
}

/// Where a commit failed.
enum Failure {
    /// At what was to be done in it.
    Within(rusqlite::Error),
    /// Before or after.
    Around(rusqlite::Error),
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Self::Around(error)
    }
}

impl Failure {
    fn explain(&self, path: &Path) -> StoreError {
        let (Self::Within(error) | Self::Around(error)) = self;
        failure::explain(path, error)
    }
}

/// The writer's state, moved into its thread.
pub(super) struct Writer {
    connection: Connection,
    path: PathBuf,
    clock: Arc<dyn Clock>,
    limits: Limits,
    due: Due,
    fanout: Fanout,
    herald: Herald,
    /// The last revision the watchers have heard of. Means nothing while there are none.
    seen: Revision,
    /// Whether the last look around failed, so that a lasting fault is logged once.
    failing: bool,
}

impl Writer {
    /// A writer on this connection.
    ///
    /// # Panics
    /// When called outside tokio: the herald is a task.
    pub(super) fn new(
        connection: Connection,
        path: PathBuf,
        clock: Arc<dyn Clock>,
        settings: Settings,
    ) -> Self {
        let (limits, due, fanout) = (Limits::new(&settings), Due::default(), Fanout::default());
        let (herald, seen) = (Herald::start(), Revision(0));
        Self { connection, path, clock, limits, due, fanout, herald, seen, failing: false }
    }

    /// Starts the thread. It ends when all senders of `queue` are gone or it is told to stop.
    /// `watched` says whether there are watchers.
    pub(super) fn start(
        self,
        queue: mpsc::Receiver<Command>,
        watched: Arc<AtomicBool>,
    ) -> Result<(), OpenError> {
        let path = self.path.clone();
        let thread = std::thread::Builder::new().name("store-writer".to_owned());
        let started = thread.spawn(move || {
            if let Some(done) = self.run(queue, &watched) {
                // Whoever asked may have given up waiting.
                let _ = done.send(());
            }
        });
        started.map(|_| ()).map_err(|source| OpenError::Thread { path, source })
    }

    /// Works until the end; gives back whom to tell once the database is closed.
    fn run(
        mut self,
        mut queue: mpsc::Receiver<Command>,
        watched: &AtomicBool,
    ) -> Option<oneshot::Sender<()>> {
        let (mut commands, mut pace) = (Vec::with_capacity(BATCH), Pace::default());
        while queue.blocking_recv_many(&mut commands, BATCH) > 0 {
            pace.gather(&mut queue, &mut commands, BATCH);
            let (mut writes, mut others) = (Vec::new(), Vec::new());
            for command in commands.drain(..) {
                match command {
                    // Whoever has given up waiting needs no disk.
                    Command::Write(_, answer) if answer.is_closed() => {}
                    Command::Write(transaction, answer) => writes.push((transaction, answer)),
                    other => others.push(other),
                }
            }
            self.serve(writes, &mut pace, &queue);
            for command in others {
                if let Command::Stop(done) = command {
                    return Some(done);
                }
                self.obey(command);
            }
            watched.store(!self.fanout.is_empty(), Ordering::Relaxed);
        }
        None
    }

    /// Writes, and has everyone answered.
    fn serve(&mut self, writes: Vec<Waiting>, pace: &mut Pace, queue: &mpsc::Receiver<Command>) {
        if writes.is_empty() {
            return;
        }
        let began = Instant::now();
        let results = self.write(&writes);
        pace.note(writes.len(), queue.len(), began.elapsed());
        let told = writes.into_iter().map(|(_, answer)| answer).zip(results).collect();
        self.herald.tell(Answers::new(told));
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Watch { prefix, from, answer } => {
                let watch = self.watch(&prefix, from);
                // Whoever has given up waiting is forgotten with the next change.
                let _ = answer.send(watch);
            }
            Command::Poll => {
                let polled =
                    self.catch_up(|_, _| Ok(())).map_err(|error| failure::explain(&self.path, &error));
                self.note("look for changes of other processes", polled);
            }
            Command::Sweep => {
                let swept = self.sweep();
                self.note("sweep expired items", swept);
            }
            // Taken by the loop, before this.
            Command::Write(..) | Command::Stop(_) => {}
        }
    }

    /// Applies the transactions and commits once: a result for each.
    fn write(&mut self, writes: &[Waiting]) -> Vec<Result<Revision, StoreError>> {
        let apply = |care| {
            move |batch: &mut Batch<'_>| {
                writes.iter().map(|(transaction, _)| batch.apply(transaction, care)).collect()
            }
        };
        let mut outcome = self.try_commit(apply(Care::Together));
        if let Err(Failure::Within(_)) = outcome {
            outcome = self.try_commit(apply(Care::Apart));
        }
        // Even a conflict may have been with a neighbour in a batch that then failed.
        outcome.unwrap_or_else(|failure| vec![Err(failure.explain(&self.path)); writes.len()])
    }

    fn sweep(&mut self) -> Result<(), StoreError> {
        let now = to_micros(self.clock.now());
        let explain = |error| failure::explain(&self.path, &error);
        // Asked outside a transaction first, so that a store at rest writes nothing.
        let mut expired = self
            .connection
            .prepare_cached("SELECT 1 FROM items WHERE expires <= ?1 LIMIT 1")
            .map_err(explain)?;
        let is_stale = journal::oldest(&self.connection)
            .map_err(explain)?
            .is_some_and(|oldest| self.limits.is_stale(oldest, now));
        let has_expired = expired.exists([now]).map_err(explain)?;
        drop(expired);
        if is_stale {
            self.due.set();
        }
        if is_stale || has_expired { self.commit(|batch| batch.sweep(SWEEP)) } else { Ok(()) }
    }

    /// Runs `work` in one transaction of SQLite, commits it, and tells the watchers.
    fn commit<T>(
        &mut self,
        work: impl FnOnce(&mut Batch<'_>) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        self.try_commit(work).map_err(|failure| failure.explain(&self.path))
    }

    fn try_commit<T>(
        &mut self,
        work: impl FnOnce(&mut Batch<'_>) -> rusqlite::Result<T>,
    ) -> Result<T, Failure> {
        let now = to_micros(self.clock.now());
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let before = position::read(&transaction)?;
        let foreign = past::foreign(&transaction, &self.fanout, self.seen, before)?;
        let is_heard = !self.fanout.is_empty();
        let mut batch = Batch::new(&transaction, &self.path, before.revision, now, is_heard);
        let result = work(&mut batch).map_err(Failure::Within)?;
        let done = batch.finish().map_err(Failure::Within)?;
        self.due.add(done.written.0, done.written.1);
        if self.due.take(&self.limits) {
            journal::compact(&transaction, &self.limits, now)?;
        }
        if done.revision != before.revision {
            position::advance(&transaction, done.revision)?;
        }
        // With nothing changed this costs no fsync: SQLite writes no frame.
        transaction.commit()?;
        foreign.tell(&mut self.fanout, before.revision);
        done.events.iter().for_each(|event| self.fanout.publish(event));
        self.seen = done.revision;
        Ok(result)
    }

    /// Starts a watch: what it missed first, from the table, then what comes.
    fn watch(&mut self, prefix: &Prefix, from: Option<Revision>) -> Result<Watch, StoreError> {
        self.fanout.prune();
        let missed = self
            .catch_up(|snapshot, position| past::missed(snapshot, position, prefix, from))
            .map_err(|error| failure::explain(&self.path, &error))??;
        self.fanout.subscribe(prefix, missed)
    }

    /// Tells the watchers what other processes did meanwhile. What `look` sees is the store as they
    /// know it then.
    fn catch_up<T>(
        &mut self,
        look: impl FnOnce(&Connection, Position) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<T> {
        let snapshot = self.connection.transaction()?;
        let position = position::read(&snapshot)?;
        let foreign = past::foreign(&snapshot, &self.fanout, self.seen, position)?;
        let seen = look(&snapshot, position)?;
        drop(snapshot);
        foreign.tell(&mut self.fanout, position.revision);
        self.seen = position.revision;
        Ok(seen)
    }

    /// Logs when looking around begins to fail and when it works again.
    fn note(&mut self, step: &str, outcome: Result<(), StoreError>) {
        match outcome {
            Ok(()) => self.failing = false,
            Err(_) if self.failing => {}
            Err(error) => {
                self.failing = true;
                tracing::warn!(%error, "the store cannot {step}; it keeps trying");
            }
        }
    }
}
