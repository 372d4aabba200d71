//! Questions that gather while others are under way, and are then asked together.
//!
//! As long as a place is free a question is asked at once, by whoever has it: nobody waits for others to come.
//! Whoever leaves a place hands it to all that have gathered meanwhile. They are asked by a task of its own, so
//! that a question somebody gives up takes no other with it; when all have given up, so does the task.

use std::sync::Arc;

use futures::StreamExt as _;
use parking_lot::Mutex;
use port::store::{Key, StoreError};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use queue::{Asked, Queue};

mod queue;

/// How many calls of one kind are under way before questions gather. With two, one is on its way while the other is
/// worked on; more of them only make smaller groups, which cost etcd and this host more and were slower under any load.
const AT_ONCE: usize = 2;
/// The most keys of one call, as the contract has it.
const GROUP_MAX: usize = 64;
/// How many of a group that must be asked one by one are asked at a time.
const EACH_AT_ONCE: usize = 4;

/// Why several were not answered together.
pub(super) enum Apart {
    /// All of them have failed.
    Failed(StoreError),
    /// One of them may be to blame: each is to be asked by itself.
    AskEach,
}

/// How keys are asked about. Asking twice must be as good as asking once.
pub(super) trait Asking: Send + Sync + 'static {
    /// What there is to a key.
    type Answer: Clone + Send + 'static;

    /// Whether questions may gather at all.
    fn gathers(&self) -> bool;

    /// Asks about one.
    fn alone(&self, key: Key) -> impl Future<Output = Result<Self::Answer, StoreError>> + Send;

    /// Asks about several, none twice. Answers the first of them, one at least.
    fn together(&self, keys: Vec<Key>) -> impl Future<Output = Result<Vec<Self::Answer>, Apart>> + Send;
}

/// The questions of one backend.
pub(super) struct Gathering<A: Asking> {
    asking: A,
    state: Mutex<State<A>>,
}

type Outcome<A> = Result<<A as Asking>::Answer, StoreError>;

struct State<A: Asking> {
    under_way: usize,
    waiting: Queue<A>,
}

/// A place among those under way.
struct Place<A: Asking> {
    of: Arc<Gathering<A>>,
    /// Where those that gather are asked.
    runtime: Handle,
    /// Not yet, when it was handed to a task that has not begun.
    is_taken: bool,
}

enum Entered<A: Asking> {
    Now(Place<A>, Key),
    Later(oneshot::Receiver<Outcome<A>>),
}

impl<A: Asking> Gathering<A> {
    pub(super) fn new(asking: A) -> Arc<Self> {
        let state = State { under_way: 0, waiting: Queue::default() };
        Arc::new(Self { asking, state: Mutex::new(state) })
    }

    /// Asks, alone or with others. Must be called inside tokio.
    ///
    /// # Errors
    /// Those of asking; [`StoreError::Unavailable`] when too many wait already.
    pub(super) async fn ask(self: &Arc<Self>, key: Key) -> Outcome<A> {
        if !self.asking.gathers() {
            return self.asking.alone(key).await;
        }
        match self.enter(key)? {
            Entered::Now(_place, key) => self.asking.alone(key).await,
            Entered::Later(answer) => answer.await.unwrap_or_else(|_| Err(broken_off())),
        }
    }

    fn enter(self: &Arc<Self>, key: Key) -> Result<Entered<A>, StoreError> {
        let mut state = self.state.lock();
        if state.under_way < AT_ONCE {
            state.under_way += 1;
            let place = Place { of: Arc::clone(self), runtime: Handle::current(), is_taken: true };
            return Ok(Entered::Now(place, key));
        }
        state.waiting.push(key).map(Entered::Later)
    }

    async fn answer(&self, mut group: Vec<Asked<A>>) {
        if group.len() == 1 {
            return self.ask_each(group).await;
        }
        let keys = group.iter().map(|asked| asked.key.clone()).collect();
        let outcome = tokio::select! {
            outcome = self.asking.together(keys) => outcome,
            () = all_left(&mut group) => return,
        };
        match outcome {
            Ok(answers) if !answers.is_empty() => {
                let mut group = group.into_iter();
                for (answer, asked) in answers.into_iter().zip(group.by_ref()) {
                    asked.tell(&Ok(answer));
                }
                // Those that had no room in the answer are the next.
                self.state.lock().waiting.put_back(group);
            }
            Ok(_) | Err(Apart::AskEach) => self.ask_each(group).await,
            Err(Apart::Failed(error)) => group.into_iter().for_each(|asked| asked.tell(&Err(error.clone()))),
        }
    }

    async fn ask_each(&self, group: Vec<Asked<A>>) {
        let ask = |mut asked: Asked<A>| async move {
            let key = asked.key.clone();
            let answer = tokio::select! {
                biased;
                () = asked.left() => return,
                answer = self.asking.alone(key) => answer,
            };
            asked.tell(&answer);
        };
        futures::stream::iter(group).for_each_concurrent(EACH_AT_ONCE, ask).await;
    }
}

async fn all_left<A: Asking>(group: &mut [Asked<A>]) {
    for asked in group {
        asked.left().await;
    }
}

impl<A: Asking> Drop for Place<A> {
    fn drop(&mut self) {
        let mut state = self.of.state.lock();
        if !self.is_taken || state.waiting.is_empty() {
            state.under_way -= 1;
            // Where a task never began its runtime has ended: nobody is there to ask for those who wait.
            state.waiting.clear();
            return;
        }
        // A runtime that ends drops what it is given at once, and with it the place.
        drop(state);
        let mut place = Self { of: Arc::clone(&self.of), runtime: self.runtime.clone(), is_taken: false };
        self.runtime.spawn(async move {
            place.is_taken = true;
            let group = place.of.state.lock().waiting.group();
            if !group.is_empty() {
                place.of.answer(group).await;
            }
        });
    }
}

fn broken_off() -> StoreError {
    let text = "the storage backend was not asked, for the task that was to ask has ended; try again, and see the log";
    StoreError::Unavailable(text.to_owned())
}

#[cfg(test)]
mod tests;
