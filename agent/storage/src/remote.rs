//! A store that somebody else keeps: every promise of the port, over any [`Backend`].
//!
//! ```text
//!   get, range, write ──▶ checked, bounded in time ──▶ backend
//!
//!   one tail, made anew when it fails ◀──────────────── backend
//!      └──▶ ring of recent changes ──▶ fan-out ──▶ watchers
//!                                         ▲
//!   watchers from before the ring ── tails of their own, a few at a time
//! ```
//!
//! A backend is a plugin: it may be slow, may fail, and may be wrong. Its answers are looked at as far
//! as one can tell from them, and what cannot be right is [`StoreError::Corrupt`]. What this room
//! refuses: to cache reads, to repeat a write whose fate is unknown, and to believe that a revision will
//! be reached: on a shared etcd it is moved by other people's keys as well.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use port::backend::{About, Backend};
use port::random::Random;
use port::store::{
    Item, KEY_MAX, Key, Page, Prefix, Revision, Store, StoreError, Transaction, VALUE_MAX, Watch,
};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::expiry::Micros;
use crate::remote::caller::Caller;
use crate::remote::state::State;
use crate::{OpenError, Settings};

pub use health::RemoteHealth;
pub use settings::RemoteSettings;

mod caller;
mod catch_up;
mod check;
mod fit;
mod follow;
mod health;
mod seen;
mod settings;
mod state;

/// The most items one question asks for.
const RANGE_MAX: u32 = 10_000;

/// A store over a backend. Dropping it ends its tails and its watches.
pub struct RemoteStore {
    shared: Arc<Shared>,
    about: About,
}

struct Shared {
    caller: Caller,
    settings: RemoteSettings,
    state: Mutex<State>,
    /// Places for watchers that have a tail of their own.
    catch_ups: Arc<Semaphore>,
    /// The ring's ages are counted from here.
    opened: Instant,
    /// None once the store is closed.
    tasks: Mutex<Option<JoinSet<()>>>,
}

impl Shared {
    fn now(&self) -> Micros {
        Micros::try_from(self.opened.elapsed().as_micros()).unwrap_or(Micros::MAX)
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        if let Some(tasks) = &mut *self.tasks.lock() {
            while tasks.try_join_next().is_some() {}
            tasks.spawn(task);
        }
    }

    fn close(&self) -> JoinSet<()> {
        self.tasks.lock().take().unwrap_or_default()
    }
}

impl RemoteStore {
    /// Opens the backend and begins to follow its changes: when this returns, it has agreed to tell them.
    /// Must be called inside tokio.
    ///
    /// # Errors
    /// [`OpenError::Backend`]: its source is [`StoreError::Refused`] when only a change of the
    /// configuration can help, and [`StoreError::Unavailable`] when trying again may.
    pub async fn open(
        backend: Arc<dyn Backend>,
        random: Arc<dyn Random>,
        settings: RemoteSettings,
    ) -> Result<Self, OpenError> {
        let caller = Caller::new(backend, settings);
        let failed = |step| move |source| OpenError::Backend { step, source };
        let about = caller.open().await.map_err(failed("open"))?;
        let told = caller.current().await.map_err(failed("read the revision of"))?;
        // Whoever could only read and write would be found out by stale caches: so watching is tried too.
        let mut tail = caller.tail(told).await.map_err(failed("follow the changes of"))?;
        let first = tail.next(Duration::ZERO).await.map_err(failed("follow the changes of"))?;
        tracing::info!(backend = %about.description, "the store is open");
        if about.value_max < VALUE_MAX {
            let largest = about.value_max;
            tracing::warn!(largest, "the store's backend takes no record of more bytes than this");
        }
        let past =
            Settings { history: settings.history, history_age: settings.history_age, ..Settings::default() };
        let shared = Arc::new(Shared {
            caller,
            settings,
            state: Mutex::new(State::new(&past, told)),
            catch_ups: Arc::new(Semaphore::new(settings.catch_ups)),
            opened: Instant::now(),
            tasks: Mutex::new(Some(JoinSet::new())),
        });
        shared.state.lock().tell(first, tail.after, shared.now());
        shared.spawn(follow::follow(Arc::clone(&shared), random, tail));
        Ok(Self { shared, about })
    }

    /// What the backend says it is.
    pub fn about(&self) -> &About {
        &self.about
    }

    /// Whether the backend does what it should, as it changes.
    pub fn health(&self) -> watch::Receiver<RemoteHealth> {
        self.shared.caller.pulse.subscribe()
    }

    /// How far watchers have been told. It may lie behind the backend's revision for as long as nothing
    /// of ours changes there.
    pub fn told(&self) -> Revision {
        self.shared.state.lock().told()
    }

    /// Ends the tails and the watches, and waits until nobody asks the backend on this store's own account
    /// any more. Questions of others end as they would.
    pub async fn close(&self) {
        let mut tasks = self.shared.close();
        self.shared.state.lock().close();
        tasks.shutdown().await;
    }

    async fn nothing(&self) -> Result<Page, StoreError> {
        Ok(Page { items: Vec::new(), next: None, revision: self.shared.caller.current().await? })
    }
}

impl Drop for RemoteStore {
    fn drop(&mut self) {
        // The tasks hold the state as well, so neither ends by itself.
        drop(self.shared.close());
        self.shared.state.lock().close();
    }
}

#[async_trait]
impl Store for RemoteStore {
    async fn get(&self, key: &Key) -> Result<Option<Item>, StoreError> {
        if fit::is_too_long(key) {
            return Ok(None);
        }
        self.shared.caller.get(key).await
    }

    async fn range(&self, prefix: &Prefix, from: Option<&Key>, limit: usize) -> Result<Page, StoreError> {
        let start = from.filter(|from| from.as_str() > prefix.as_str());
        if prefix.as_str().len() > KEY_MAX || start.is_some_and(|start| !prefix.contains(start)) {
            return self.nothing().await;
        }
        // A page's `next` may be one byte longer than any key.
        if start.is_some_and(|start| start.as_str().len() > KEY_MAX + 1) {
            return Err(StoreError::TooLarge { what: "a key", max: KEY_MAX });
        }
        let asked = u32::try_from(limit).unwrap_or(RANGE_MAX).clamp(1, RANGE_MAX);
        let page = self.shared.caller.range(prefix, start, asked).await?;
        let (mut items, revision) = (page.items, page.revision);
        let next = if limit == 0 {
            items.drain(..).next().map(|item| item.key)
        } else {
            items.last().filter(|_| page.more).map(|last| successor(&last.key))
        };
        Ok(Page { items, next, revision })
    }

    async fn write(&self, transaction: Transaction) -> Result<Revision, StoreError> {
        let transaction = fit::fit(transaction, self.about.value_max)?;
        self.shared.caller.write(&transaction).await
    }

    async fn watch(&self, prefix: Prefix, from: Option<Revision>) -> Result<Watch, StoreError> {
        let shared = &self.shared;
        let Some(from) = from else {
            let current = shared.caller.current().await?;
            return Ok(shared.state.lock().watch_from_now(&prefix, current));
        };
        // What this store has seen has been; of what lies beyond only the backend knows.
        if from > shared.caller.seen.revision() && from > shared.caller.current().await? {
            return Err(StoreError::Compacted(from));
        }
        let watch = shared.state.lock().watch_from(&prefix, from)?;
        match watch {
            Some(watch) => Ok(watch),
            None => catch_up::begin(shared, prefix, from).await,
        }
    }
}

/// The first key after this one.
fn successor(key: &Key) -> Key {
    Key::from_stored(&format!("{}\0", key.as_str()))
}
