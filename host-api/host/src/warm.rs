//! Instances of storage backends that are kept from call to call: making one anew for each read would
//! cost more than the read.
//!
//! An instance serves one call at a time. One that failed, whatever the reason, is never used again; nor
//! is one that has served very many calls, or that nobody has needed for a while.
//!
//! When another version takes a plugin's place, what it kept goes at once, those that follow changes with
//! it: there is room for one version's instances and not for two.
//!
//! One that crashes at every call is begun anew ever more slowly, up to a second apart ([`setbacks`]).

use std::pin::pin;
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use port::backend::{About, BackendPage, Batch};
use port::store::{Change, Item, Revision, StoreError};
use tokio::sync::{SemaphorePermit, watch};
use tokio::time::Instant;
use wasmtime::Store;

use crate::call::{CallError, CallState, Callable, FUEL, settled, too_long};
use crate::contract::Linked;
use crate::contract::storage_backend::v1::{self, Instance};
use crate::engine::Engine;
use crate::limit::{Meter, within};
use crate::line::{Line, NoTurn};
use crate::storage::Taken;

mod setbacks;
mod shelf;

pub(crate) use setbacks::Rest;
use setbacks::Setbacks;
use shelf::{Keep, Shelf};

/// Instances that answer at one time; more calls wait.
pub(crate) const INSTANCES: u32 = 8;

/// What a backend is asked: a call of one of its functions. A trait and no boxed closure, for a short answer takes
/// hardly longer than making a box.
pub(crate) trait Ask: Send + 'static {
    /// The function, as metrics call it.
    const FUNCTION: &'static str;

    /// What it answers with.
    type Answer: Answer + Send + 'static;

    /// Calls it.
    fn call(
        self,
        instance: &Instance,
        store: &mut Store<CallState>,
    ) -> impl Future<Output = v1::Answer<Self::Answer>> + Send;
}

/// What a backend answers with, to be held against its limit.
pub(crate) trait Answer {
    /// The bytes the plugin has chosen.
    fn bytes(&self) -> usize;
}

impl Answer for About {
    fn bytes(&self) -> usize {
        self.description.len()
    }
}

impl Answer for Revision {
    fn bytes(&self) -> usize {
        size_of::<Self>()
    }
}

impl Answer for Item {
    fn bytes(&self) -> usize {
        self.key.as_str().len() + self.value.len()
    }
}

impl<T: Answer> Answer for Option<T> {
    fn bytes(&self) -> usize {
        self.as_ref().map_or(0, Answer::bytes)
    }
}

impl<T: Answer> Answer for Vec<T> {
    fn bytes(&self) -> usize {
        self.iter().map(Answer::bytes).sum()
    }
}

impl Answer for BackendPage {
    fn bytes(&self) -> usize {
        self.items.iter().map(Answer::bytes).sum()
    }
}

impl Answer for Batch {
    fn bytes(&self) -> usize {
        let of = |change: &Change| match change {
            Change::Put(item) => item.bytes(),
            Change::Delete(key) => key.as_str().len(),
        };
        self.events.iter().map(|event| of(&event.change)).sum()
    }
}

/// An instance that is kept. It goes from hand to hand in each call and is large, so it is boxed wherever it is.
pub(crate) struct Warm {
    store: Store<CallState>,
    instance: Instance,
    meter: Arc<Meter>,
    calls: u32,
    /// When the last call began.
    used: Instant,
}

/// Where an instance that follows the changes is between two questions; empty once it has ended.
pub(crate) type Tailing = Mutex<Option<Box<Warm>>>;

/// The instances of one plugin that have nothing to do.
pub(crate) struct Pool {
    /// None is kept any more once there is no list.
    idle: Mutex<Option<Shelf<Box<Warm>>>>,
    tails: Mutex<Vec<Weak<Tailing>>>,
    line: Line,
    setbacks: Setbacks,
    /// Set once, when nothing is kept any more.
    retired: watch::Sender<bool>,
}

impl Pool {
    /// A pool before which so many calls may wait, of the version after the one whose pool that is.
    pub(crate) fn after(before: Option<&Self>, waiting: u64) -> Self {
        let line = match before {
            Some(before) => before.line.successor(waiting),
            None => Line::new(INSTANCES, waiting),
        };
        let idle = Mutex::new(Some(Shelf::new()));
        let (tails, setbacks) = (Mutex::default(), Setbacks::default());
        Self { idle, tails, line, setbacks, retired: watch::Sender::new(false) }
    }

    /// Ends what is kept, and those that follow the changes. Calls that are under way end as they would.
    pub(crate) fn retire(&self) {
        self.retired.send_replace(true);
        drop(self.idle.lock().take());
        let tails = std::mem::take(&mut *self.tails.lock());
        for tail in tails.iter().filter_map(Weak::upgrade) {
            tail.lock().take();
        }
    }

    /// Returns when nothing is kept any more.
    pub(crate) async fn retired(&self) {
        // The sender is here.
        let _ = self.retired.subscribe().wait_for(|retired| *retired).await;
    }

    /// Whether one more may follow the changes, of so many.
    pub(crate) fn has_room(&self, most: u32) -> bool {
        let mut tails = self.tails.lock();
        tails.retain(|tail| tail.strong_count() > 0);
        tails.len() < usize::try_from(most).unwrap_or(usize::MAX)
    }

    /// A place for an instance that follows the changes.
    pub(crate) fn tail(&self, warm: Box<Warm>) -> Arc<Tailing> {
        let tail = Arc::new(Tailing::default());
        {
            let mut tails = self.tails.lock();
            tails.retain(|tail| tail.strong_count() > 0);
            tails.push(Arc::downgrade(&tail));
        }
        self.put_tail(&tail, warm);
        tail
    }

    /// Takes back an instance that follows the changes.
    pub(crate) fn put_tail(&self, tail: &Tailing, warm: Box<Warm>) {
        let mut tail = tail.lock();
        // Looked at under the lock: whoever retires it waits for that.
        if !*self.retired.borrow() {
            *tail = Some(warm);
        }
    }

    /// A turn, when there is one in time.
    ///
    /// # Errors
    /// [`NoTurn`].
    pub(crate) async fn turn(&self, wait: Duration) -> Result<SemaphorePermit<'_>, NoTurn> {
        self.line.turn(wait).await
    }

    /// The rest after which one may be begun anew, where there is one.
    pub(crate) fn rest(&self) -> Option<Rest> {
        self.setbacks.rest(Instant::now())
    }

    /// What a call came to.
    pub(crate) fn note(&self, error: Option<&CallError>) {
        match error {
            None => self.setbacks.end(),
            // Who did not answer in time has rested long enough.
            Some(error @ (CallError::Trap { .. } | CallError::Memory { .. } | CallError::Cpu { .. })) => {
                self.setbacks.add(Instant::now(), &error.to_string());
            }
            Some(_) => {}
        }
    }

    /// The instance that was used last, if any is fit for another call.
    pub(crate) fn take(&self, now: Instant) -> Option<Box<Warm>> {
        let mut warm = self.idle.lock().as_mut()?.take(now)?;
        warm.used = now;
        Some(warm)
    }

    /// What the instance that was used last has taken.
    pub(crate) fn taken(&self) -> Option<Taken> {
        let idle = self.idle.lock();
        let Warm { store, meter, .. } = &**idle.as_ref()?.last()?;
        let fuel = store.get_fuel().ok().map(|left| FUEL - left);
        Some(Taken { cpu: meter.spent(), memory: store.data().holdings.memory(), fuel })
    }

    /// Takes back an instance that has answered.
    pub(crate) fn put(&self, warm: Box<Warm>) {
        if let Some(idle) = self.idle.lock().as_mut() {
            idle.put(warm);
        }
    }
}

impl Keep for Box<Warm> {
    fn used(&self) -> Instant {
        self.used
    }

    fn calls(&self) -> u32 {
        self.calls
    }
}

impl Warm {
    /// A new instance of a storage backend.
    ///
    /// # Errors
    /// [`CallError`] when it does not start, or is a plugin of another kind.
    pub(crate) async fn start(callable: &Callable, engine: &Engine) -> Result<Box<Self>, CallError> {
        let provisions = &callable.provisions;
        let Linked::StorageBackendV1(linked) = &*callable.linked else {
            return Err(CallError::OtherKind {
                plugin: provisions.identity.name.clone(),
                wanted: domain::plugin::ContractKind::StorageBackend.package(),
            });
        };
        let _clock = engine.running();
        let meter = Arc::new(Meter::default());
        let mut store = provisions.store(engine, Vec::new(), &meter);
        let starting = meter.count(linked.instantiate(&mut store));
        let ended = within(provisions.limits.wall(), starting).await;
        let instance = settled(store.data(), ended)?;
        Ok(Box::new(Self { store, instance, meter, calls: 0, used: Instant::now() }))
    }

    /// Asks the instance something. `wait` is how long it was asked to wait, beside its limit.
    ///
    /// Dropped when it does not answer: what is given back may be used again.
    ///
    /// # Errors
    /// [`CallError`] when it trapped, was stopped, or answered with more than it may.
    pub(crate) async fn ask<A: Ask>(
        mut self: Box<Self>,
        engine: &Engine,
        wait: Duration,
        ask: A,
    ) -> Result<(Box<Self>, Result<A::Answer, StoreError>), CallError> {
        let _clock = engine.running();
        self.calls += 1;
        // Where a plugin is tried out, what all of its calls took is told.
        if !engine.counts() {
            self.meter.restart();
        }
        self.store.data_mut().renew();
        self.store.set_epoch_deadline(1);
        let wall = self.store.data().provisions.limits.wall() + wait;
        let Self { store, instance, meter, .. } = &mut *self;
        let ended = {
            // Pinned where it is made: it is large, and would be moved once for each that wraps it.
            let asking = pin!(ask.call(instance, store));
            within(wall, meter.count(asking)).await
        };
        self.store.data().log.finish();
        let answer = settled(self.store.data(), ended)?;
        if let Ok(answer) = &answer {
            too_long(&self.store.data().provisions, answer.bytes())?;
        }
        // Where the host refused something, the operator is told of that.
        let answer = match (answer, self.store.data().denied()) {
            (Err(StoreError::Unavailable(_) | StoreError::Refused(_)), Some(denied)) => {
                Err(StoreError::Refused(denied.to_owned()))
            }
            (answer, _) => answer,
        };
        Ok((self, answer))
    }
}
