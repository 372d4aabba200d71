//! A store in memory: every promise of the port but durability.
//!
//! For tests and small tools. It answers at once and uses no thread, so it works on a paused clock;
//! expired items are swept by a task on tokio's time and by the clock it was given.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, Weak};

use async_trait::async_trait;
use domain::Timestamp;
use parking_lot::Mutex;
use port::clock::Clock;
use port::store::{
    Change, Condition, Item, Key, Operation, Page, Prefix, Revision, Store, StoreError, Transaction, Watch,
    WatchEvent, check_limits,
};
use tokio::task::AbortHandle;
use tokio::time::MissedTickBehavior;

use crate::Settings;
use crate::expiry::{Micros, is_past, rounded, to_micros};
use crate::fanout::Fanout;
use crate::ring::Ring;

/// A store in memory. Dropping it ends its watches.
pub struct MemoryStore {
    shared: Arc<Shared>,
    sweeper: AbortHandle,
}

struct Shared {
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

struct State {
    items: BTreeMap<Key, Item>,
    revision: u64,
    ring: Ring,
    fanout: Fanout,
}

impl MemoryStore {
    /// An empty store with the default settings.
    ///
    /// # Panics
    /// When called outside tokio: the sweeper is a task.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self::with(clock, Settings::default())
    }

    /// An empty store with these settings.
    ///
    /// # Panics
    /// When called outside tokio: the sweeper is a task.
    pub fn with(clock: Arc<dyn Clock>, settings: Settings) -> Self {
        let settings = settings.checked();
        let state = Mutex::new(State::new(&settings));
        let shared = Arc::new(Shared { clock, state });
        let sweeper = tokio::spawn(sweep_now_and_then(Arc::downgrade(&shared), settings)).abort_handle();
        Self { shared, sweeper }
    }

    fn now(&self) -> Micros {
        to_micros(self.shared.clock.now())
    }
}

impl Drop for MemoryStore {
    fn drop(&mut self) {
        self.sweeper.abort();
    }
}

async fn sweep_now_and_then(shared: Weak<Shared>, settings: Settings) {
    let mut ticks = tokio::time::interval(settings.sweep);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let Some(shared) = shared.upgrade() else { return };
        let now = to_micros(shared.clock.now());
        shared.state.lock().sweep(now);
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn get(&self, key: &Key) -> Result<Option<Item>, StoreError> {
        let now = self.now();
        Ok(self.shared.state.lock().live(key, now).cloned())
    }

    async fn range(&self, prefix: &Prefix, from: Option<&Key>, limit: usize) -> Result<Page, StoreError> {
        let now = self.now();
        Ok(self.shared.state.lock().range(prefix, from, limit, now))
    }

    async fn write(&self, transaction: Transaction) -> Result<Revision, StoreError> {
        check_limits(&transaction)?;
        let now = self.now();
        self.shared.state.lock().write(transaction, now)
    }

    async fn watch(&self, prefix: Prefix, from: Option<Revision>) -> Result<Watch, StoreError> {
        self.shared.state.lock().watch(&prefix, from)
    }
}

impl State {
    fn new(settings: &Settings) -> Self {
        Self {
            items: BTreeMap::new(),
            revision: 0,
            ring: Ring::new(settings, Revision(0)),
            fanout: Fanout::default(),
        }
    }

    fn live(&self, key: &Key, now: Micros) -> Option<&Item> {
        self.items.get(key).filter(|item| !is_past(item.expires, now))
    }

    fn range(&self, prefix: &Prefix, from: Option<&Key>, limit: usize, now: Micros) -> Page {
        let start = Key::from_stored(prefix.as_str());
        let start = from.filter(|from| **from > start).cloned().unwrap_or(start);
        let end = Key::from_stored(&prefix.end());
        let revision = Revision(self.revision);
        if start >= end {
            return Page { items: Vec::new(), next: None, revision };
        }
        let bounds = (Bound::Included(start), Bound::Excluded(end));
        let mut live =
            self.items.range(bounds).map(|(_, item)| item).filter(|item| !is_past(item.expires, now));
        let items = live.by_ref().take(limit).cloned().collect();
        Page { items, next: live.next().map(|item| item.key.clone()), revision }
    }

    fn write(&mut self, transaction: Transaction, now: Micros) -> Result<Revision, StoreError> {
        for condition in &transaction.conditions {
            if !self.holds(condition, now) {
                return Err(StoreError::Conflict(condition.key().clone()));
            }
        }
        self.revision += 1;
        let revision = Revision(self.revision);
        let mut events = Vec::new();
        for operation in transaction.operations {
            self.apply(operation, revision, &mut events);
        }
        self.tell(events, now);
        Ok(revision)
    }

    fn holds(&self, condition: &Condition, now: Micros) -> bool {
        match condition {
            Condition::Absent(key) => self.live(key, now).is_none(),
            Condition::Present(key) => self.live(key, now).is_some(),
            Condition::Unchanged(key, revision) => {
                self.live(key, now).is_some_and(|item| item.revision == *revision)
            }
        }
    }

    fn apply(&mut self, operation: Operation, revision: Revision, events: &mut Vec<WatchEvent>) {
        let mut tell = |change| events.push(WatchEvent { revision, change });
        match operation {
            Operation::Put { key, value, expires } => {
                let item = Item { key: key.clone(), value, revision, expires: expires.map(rounded) };
                self.items.insert(key, item.clone());
                tell(Change::Put(item));
            }
            Operation::Delete(key) => {
                if self.items.remove(&key).is_some() {
                    tell(Change::Delete(key));
                }
            }
            Operation::DeleteRange(prefix) => {
                let bounds = Key::from_stored(prefix.as_str())..Key::from_stored(&prefix.end());
                let keys: Vec<_> = self.items.range(bounds).map(|(key, _)| key.clone()).collect();
                for key in keys {
                    self.items.remove(&key);
                    tell(Change::Delete(key));
                }
            }
        }
    }

    /// Remembers the changes and tells the watchers.
    fn tell(&mut self, events: Vec<WatchEvent>, now: Micros) {
        for event in &events {
            self.fanout.publish(event);
        }
        self.ring.push(events, now);
    }

    fn watch(&mut self, prefix: &Prefix, from: Option<Revision>) -> Result<Watch, StoreError> {
        self.fanout.prune();
        let Some(from) = from else { return self.fanout.subscribe(prefix, Vec::new()) };
        // A revision still to come is one of another history: before this store was made anew.
        if from < self.ring.floor() || from.0 > self.revision {
            return Err(StoreError::Compacted(from));
        }
        let missed = self.ring.after(from, prefix);
        self.fanout.subscribe(prefix, missed)
    }

    /// Removes what has expired, as one write.
    fn sweep(&mut self, now: Micros) {
        let expired = |expires: Option<Timestamp>| is_past(expires, now);
        let keys: Vec<_> =
            self.items.values().filter(|item| expired(item.expires)).map(|item| item.key.clone()).collect();
        if !keys.is_empty() {
            let operations = keys.into_iter().map(Operation::Delete).collect();
            // Without conditions there is nothing that could fail.
            let _ = self.write(Transaction { conditions: Vec::new(), operations }, now);
        }
        self.ring.forget_stale(now);
    }
}
