//! Questions that gather while others are under way, and are then asked together.
//!
//! As long as a place is free a question is asked at once, by whoever has it: nobody waits for others to come.
//! Whoever leaves a place hands it to all that have gathered meanwhile. They are asked by a task of its own, so
//! that a question somebody gives up takes no other with it; when all have given up, so does the task.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::StreamExt as _;
use parking_lot::Mutex;
use port::store::{Key, StoreError};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use queue::{Asked, Queue};

mod queue;

/// How many calls of one kind are under way before questions gather. With two, one is on its way while the other is
/// worked on; more of them only make smaller groups, which cost etcd and this host more and were slower under any load.
pub(super) const AT_ONCE: usize = 2;
/// The most questions of one call, and the most bytes they hold together, as the contract has it.
pub(super) const GROUP_MAX: usize = 64;
pub(super) const BYTES_MAX: usize = 256 * 1024;
/// How many of a group that must be asked one by one are asked at a time.
const EACH_AT_ONCE: usize = 4;

/// One thing to be asked.
pub(super) trait Question: Clone + Send + 'static {
    /// Whether several about the same key may have one answer; otherwise no group has two.
    const SHARED: bool;

    /// What it is about.
    fn key(&self) -> &Key;

    /// What it adds to its group, in bytes.
    fn bytes(&self) -> usize;
}

/// Why several were not answered together.
pub(super) enum Apart {
    /// All of them have failed.
    Failed(StoreError),
    /// Nothing has happened, or nothing that may not happen again: each is to be asked by itself.
    AskEach,
}

/// How one kind of question is asked.
pub(super) trait Kind: Send + Sync + 'static {
    /// The question.
    type Question: Question;
    /// Its answer.
    type Answer: Clone + Send + 'static;

    /// Whether questions may gather at all.
    fn gathers(&self) -> bool;

    /// The most questions that wait.
    fn waiting_max(&self) -> usize;

    /// Asks one.
    fn alone(
        &self,
        question: Self::Question,
    ) -> impl Future<Output = Result<Self::Answer, StoreError>> + Send;

    /// Asks several. Answers the first of them, one at least.
    fn together(
        &self,
        questions: Vec<Self::Question>,
    ) -> impl Future<Output = Result<Vec<Self::Answer>, Apart>> + Send;
}

/// The questions of one kind.
pub(super) struct Gathering<K: Kind> {
    kind: K,
    state: Mutex<State<K>>,
    bytes_max: AtomicUsize,
}

type Outcome<K> = Result<<K as Kind>::Answer, StoreError>;

struct State<K: Kind> {
    under_way: usize,
    waiting: Queue<K>,
}

/// A place among those under way.
struct Place<K: Kind> {
    of: Arc<Gathering<K>>,
    /// Where those that gather are asked.
    runtime: Handle,
    /// Not yet, when it was handed to a task that has not begun.
    is_taken: bool,
}

enum Entered<K: Kind> {
    Now(Place<K>, K::Question),
    Later(oneshot::Receiver<Outcome<K>>),
}

impl<K: Kind> Gathering<K> {
    pub(super) fn new(kind: K) -> Arc<Self> {
        let state = State { under_way: 0, waiting: Queue::default() };
        Arc::new(Self { kind, state: Mutex::new(state), bytes_max: AtomicUsize::new(BYTES_MAX) })
    }

    /// A group holds no more bytes than this from now on, and never more than [`BYTES_MAX`].
    pub(super) fn bound(&self, bytes: usize) {
        self.bytes_max.store(bytes.min(BYTES_MAX), Ordering::Relaxed);
    }

    /// Asks, alone or with others. Must be called inside tokio.
    ///
    /// # Errors
    /// Those of the kind; [`StoreError::Unavailable`] when too many wait already.
    pub(super) async fn ask(self: &Arc<Self>, question: K::Question) -> Outcome<K> {
        if !self.kind.gathers() {
            return self.kind.alone(question).await;
        }
        match self.enter(question)? {
            Entered::Now(_place, question) => self.kind.alone(question).await,
            Entered::Later(answer) => answer.await.unwrap_or_else(|_| Err(broken_off())),
        }
    }

    fn enter(self: &Arc<Self>, question: K::Question) -> Result<Entered<K>, StoreError> {
        let mut state = self.state.lock();
        if state.under_way < AT_ONCE {
            state.under_way += 1;
            let place = Place { of: Arc::clone(self), runtime: Handle::current(), is_taken: true };
            return Ok(Entered::Now(place, question));
        }
        state.waiting.push(question, || self.kind.waiting_max()).map(Entered::Later)
    }

    async fn answer(&self, mut group: Vec<Asked<K>>) {
        if group.len() == 1 {
            return self.ask_each(group).await;
        }
        let questions = group.iter().map(|asked| asked.question.clone()).collect();
        let outcome = tokio::select! {
            outcome = self.kind.together(questions) => outcome,
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

    async fn ask_each(&self, group: Vec<Asked<K>>) {
        let asking = |mut asked: Asked<K>| async move {
            let question = asked.question.clone();
            let answer = tokio::select! {
                biased;
                () = asked.left() => return,
                answer = self.kind.alone(question) => answer,
            };
            asked.tell(&answer);
        };
        futures::stream::iter(group).for_each_concurrent(EACH_AT_ONCE, asking).await;
    }
}

async fn all_left<K: Kind>(group: &mut [Asked<K>]) {
    for asked in group {
        asked.left().await;
    }
}

impl<K: Kind> Drop for Place<K> {
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
            let bytes_max = place.of.bytes_max.load(Ordering::Relaxed);
            let group = place.of.state.lock().waiting.group(bytes_max);
            if !group.is_empty() {
                place.of.answer(group).await;
            }
        });
    }
}

fn broken_off() -> StoreError {
    let text =
        "the task that asks the storage backend has ended; it is not known whether it did, see the log";
    StoreError::Unavailable(text.to_owned())
}

#[cfg(test)]
mod tests;
