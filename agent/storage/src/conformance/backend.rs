//! The suite on somebody else's backend: for authors of plugins, and for whoever has no better way to open one.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use port::backend::Backend;
use port::clock::Clock;
use port::random::SystemRandom;
use port::store::{Item, Key, Page, Prefix, Revision, Store, StoreError, Transaction, WATCH_QUEUE, Watch};
use tokio::time::{Instant, timeout};

use super::{CASES, PATIENCE, Subject, bytes};
use crate::{OpenError, RemoteSettings, RemoteStore};

/// Changes the store itself remembers: few, so that the backend is asked for the rest.
const HISTORY: usize = 1024;

/// Writers of this many operations wait for the tail: what is forgotten must have been told first.
const MANY: usize = 64;

/// How long the tail may make no way before nobody waits for it any more.
const NO_WAY: Duration = Duration::from_secs(2);

/// The one case that is a backend's alone: where it fails a store begins to follow anew, and hides it.
pub const WAITS: &str = "a_tail_waits_as_long_as_the_daemon_asks_it_to";

/// Changes that a backend has behind it when it waits: one that looks through them again and again is to be found out.
const BEHIND: usize = 2000;

/// Changes that are asked for at a time, as the store does.
const LIMIT: u32 = 1024;

/// Has a fresh backend wait for changes as long as a daemon has it, with many behind it; none come.
///
/// # Errors
/// What is wrong with it, in words: an error, most likely that it has used up its processor time, or changes that
/// nobody has made.
pub async fn waits(backend: &dyn Backend) -> Result<(), String> {
    timeout(PATIENCE, waits_in_time(backend)).await.map_err(|_| "it does not come to an end".to_owned())?
}

async fn waits_in_time(backend: &dyn Backend) -> Result<(), String> {
    let failed = |error: StoreError| error.to_string();
    backend.open().await.map_err(failed)?;
    let mut last = backend.current().await.map_err(failed)?;
    for part in 0..BEHIND.div_ceil(MANY) {
        let put = |all: Transaction, at| all.put(Key::of(&["t", &format!("{part}-{at}")]), bytes("x"), None);
        last = backend.write(&(0..MANY).fold(Transaction::default(), put)).await.map_err(failed)?;
    }
    let mut tail = backend.tail(last).await.map_err(failed)?;
    let (mut wait, mut until) = (Duration::ZERO, None);
    loop {
        let batch = tail.next(LIMIT, wait).await.map_err(failed)?;
        if !batch.events.is_empty() {
            return Err(format!("it tells {} changes that nobody has made", batch.events.len()));
        }
        // It may answer sooner; it is asked again then, as the store does.
        tokio::time::sleep(Duration::from_millis(20)).await;
        let until = *until.get_or_insert_with(|| Instant::now() + RemoteSettings::default().wait);
        wait = until.saturating_duration_since(Instant::now());
        if wait.is_zero() {
            return Ok(());
        }
    }
}

impl Subject {
    /// A store over a backend that is fresh and empty.
    ///
    /// `clock` is the one its expiry goes by, and `advance` moves it, or waits where it cannot be moved.
    ///
    /// # Errors
    /// [`OpenError::Backend`] when it does not open, or tells no changes.
    pub async fn over(
        backend: Arc<dyn Backend>,
        clock: Arc<dyn Clock>,
        advance: Box<dyn Fn(Duration) + Send + Sync>,
    ) -> Result<Self, OpenError> {
        // A case ends when its last question does.
        let wait = Duration::from_millis(500);
        let settings = RemoteSettings { history: HISTORY, wait, ..RemoteSettings::default() };
        let store = RemoteStore::open(backend, Arc::new(SystemRandom), settings).await?;
        Ok(Self {
            store: Arc::new(Paced(store)),
            clock,
            advance,
            // Out of the ring, and more than a watcher is read, should the backend remember it all.
            forgets_after: WATCH_QUEUE + 2 * HISTORY,
            keep: Box::new(()),
        })
    }
}

/// Runs one case in a task of its own, and says what is wrong with the store, if anything is. A case that finds
/// something panics: whoever calls this keeps the panic's own message off the screen.
///
/// # Errors
/// What was expected and what was found.
pub async fn verdict(case: &'static str, subject: Subject) -> Result<(), String> {
    let Err(ended) = tokio::spawn(super::run(case, subject)).await else { return Ok(()) };
    let Ok(said) = ended.try_into_panic() else { return Err("the case was ended from outside".to_owned()) };
    let text = said.downcast_ref::<String>().map(String::as_str);
    Err(text.or_else(|| said.downcast_ref::<&str>().copied()).unwrap_or("it failed").to_owned())
}

/// Whether there is a case of this name.
pub fn is_case(name: &str) -> bool {
    name == WAITS || CASES.iter().any(|(case, _)| *case == name)
}

/// A store whose writers do not outrun its tail.
struct Paced(RemoteStore);

impl Paced {
    async fn told(&self, revision: Revision) {
        let (mut told, mut since) = (self.0.told(), Instant::now());
        while told < revision && since.elapsed() < NO_WAY {
            tokio::time::sleep(Duration::from_millis(5)).await;
            let now = self.0.told();
            if now > told {
                (told, since) = (now, Instant::now());
            }
        }
    }
}

#[async_trait]
impl Store for Paced {
    async fn get(&self, key: &Key) -> Result<Option<Item>, StoreError> {
        self.0.get(key).await
    }

    async fn range(&self, prefix: &Prefix, from: Option<&Key>, limit: usize) -> Result<Page, StoreError> {
        self.0.range(prefix, from, limit).await
    }

    async fn write(&self, transaction: Transaction) -> Result<Revision, StoreError> {
        let many = transaction.operations.len() >= MANY;
        let revision = self.0.write(transaction).await?;
        if many {
            self.told(revision).await;
        }
        Ok(revision)
    }

    async fn watch(&self, prefix: Prefix, from: Option<Revision>) -> Result<Watch, StoreError> {
        self.0.watch(prefix, from).await
    }
}
