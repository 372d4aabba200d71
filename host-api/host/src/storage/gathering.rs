//! Questions that gather while others are under way, and are then asked together.
//!
//! As long as a place is free a question is asked at once, by whoever has it: nobody waits for others to come.
//! Whoever leaves a place hands it to all that have gathered meanwhile. They are asked by a task of its own, so
//! that a question somebody gives up takes no other with it.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use parking_lot::Mutex;
use port::store::{Key, StoreError};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

/// How many calls of one kind are under way before questions gather. With two, one is on its way while the other is
/// worked on; more of them only make smaller groups, which cost etcd and this host more and were slower under any load.
pub(super) const AT_ONCE: usize = 2;
/// The most questions of one call, and the most bytes they hold together, as the contract has it.
pub(super) const GROUP_MAX: usize = 64;
pub(super) const BYTES_MAX: usize = 256 * 1024;
/// The most questions that wait.
const WAITING_MAX: usize = 16_384;

/// One thing to be asked.
pub(super) trait Question: Clone + Send + 'static {
    /// What it is about: no group has two about the same.
    fn key(&self) -> &Key;

    /// What it adds to its group, in bytes.
    fn bytes(&self) -> usize;
}

/// How one kind of question is asked.
pub(super) trait Kind: Send + Sync + 'static {
    /// The question.
    type Question: Question;
    /// Its answer.
    type Answer: Send + 'static;

    /// Whether questions may gather at all.
    fn gathers(&self) -> bool;

    /// Asks one.
    fn alone(
        &self,
        question: Self::Question,
    ) -> impl Future<Output = Result<Self::Answer, StoreError>> + Send;

    /// Asks several. Answers the first of them, one at least. After [`StoreError::TooLarge`] nothing has happened.
    fn together(
        &self,
        questions: Vec<Self::Question>,
    ) -> impl Future<Output = Result<Vec<Self::Answer>, StoreError>> + Send;
}

/// The questions of one kind.
pub(super) struct Gathering<K: Kind> {
    kind: K,
    state: Mutex<State<K>>,
}

struct State<K: Kind> {
    under_way: usize,
    waiting: VecDeque<Waiting<K>>,
}

struct Waiting<K: Kind> {
    question: K::Question,
    answer: oneshot::Sender<Result<K::Answer, StoreError>>,
}

/// A place among those under way.
struct Place<K: Kind> {
    of: Arc<Gathering<K>>,
    /// Not yet, when it was handed to a task that has not begun.
    is_taken: bool,
}

enum Entered<K: Kind> {
    Now(Place<K>, K::Question),
    Later(oneshot::Receiver<Result<K::Answer, StoreError>>),
}

impl<K: Kind> Gathering<K> {
    pub(super) fn new(kind: K) -> Arc<Self> {
        let state = State { under_way: 0, waiting: VecDeque::new() };
        Arc::new(Self { kind, state: Mutex::new(state) })
    }

    /// Asks, alone or with others.
    ///
    /// # Errors
    /// Those of the kind; [`StoreError::Unavailable`] when too many wait already.
    pub(super) async fn ask(self: &Arc<Self>, question: K::Question) -> Result<K::Answer, StoreError> {
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
            return Ok(Entered::Now(Place { of: Arc::clone(self), is_taken: true }, question));
        }
        if state.waiting.len() >= WAITING_MAX {
            state.waiting.retain(|waiting| !waiting.answer.is_closed());
        }
        if state.waiting.len() >= WAITING_MAX {
            let text = format!("{WAITING_MAX} questions wait for the storage backend already; try again");
            return Err(StoreError::Unavailable(text));
        }
        let (answer, receiver) = oneshot::channel();
        state.waiting.push_back(Waiting { question, answer });
        Ok(Entered::Later(receiver))
    }

    /// Those that go together next.
    fn group(&self) -> Vec<Waiting<K>> {
        let mut state = self.state.lock();
        let (mut group, mut left) = (Vec::new(), VecDeque::new());
        let (mut keys, mut bytes) = (HashSet::new(), 0);
        while group.len() < GROUP_MAX
            && let Some(waiting) = state.waiting.pop_front()
        {
            // Whoever asked has left.
            if waiting.answer.is_closed() {
                continue;
            }
            let size = waiting.question.bytes();
            let fits = group.is_empty() || bytes + size <= BYTES_MAX;
            if fits && keys.insert(waiting.question.key().clone()) {
                bytes += size;
                group.push(waiting);
            } else {
                left.push_back(waiting);
            }
        }
        left.append(&mut state.waiting);
        state.waiting = left;
        group
    }

    async fn answer(&self, group: Vec<Waiting<K>>) {
        if group.len() == 1 {
            return self.each_alone(group).await;
        }
        let questions = group.iter().map(|waiting| waiting.question.clone()).collect();
        match self.kind.together(questions).await {
            Ok(answers) => {
                let mut group = group.into_iter();
                for answer in answers {
                    tell(group.next(), Ok(answer));
                }
                self.ask_again(group);
            }
            Err(StoreError::TooLarge { .. }) => self.each_alone(group).await,
            Err(error) => group.into_iter().for_each(|waiting| tell(Some(waiting), Err(error.clone()))),
        }
    }

    async fn each_alone(&self, group: Vec<Waiting<K>>) {
        for waiting in group {
            let answer = self.kind.alone(waiting.question.clone()).await;
            tell(Some(waiting), answer);
        }
    }

    /// Those that had no room in an answer are the next.
    fn ask_again(&self, rest: impl DoubleEndedIterator<Item = Waiting<K>>) {
        let mut state = self.state.lock();
        rest.rev().for_each(|waiting| state.waiting.push_front(waiting));
    }
}

impl<K: Kind> Drop for Place<K> {
    fn drop(&mut self) {
        let mut state = self.of.state.lock();
        match Handle::try_current() {
            Ok(handle) if self.is_taken && !state.waiting.is_empty() => {
                // A runtime that ends drops what it is given at once, and with it the place.
                drop(state);
                // It is theirs now.
                let mut place = Self { of: Arc::clone(&self.of), is_taken: false };
                handle.spawn(async move {
                    place.is_taken = true;
                    let group = place.of.group();
                    if !group.is_empty() {
                        place.of.answer(group).await;
                    }
                });
            }
            // Nobody waits, or nobody is there to ask for them.
            _ => {
                state.under_way -= 1;
                state.waiting.clear();
            }
        }
    }
}

fn tell<K: Kind>(waiting: Option<Waiting<K>>, answer: Result<K::Answer, StoreError>) {
    if let Some(waiting) = waiting {
        // Whoever asked may have left.
        let _ = waiting.answer.send(answer);
    }
}

fn broken_off() -> StoreError {
    StoreError::Unavailable(
        "the plugin host has stopped, and with it the plugin that keeps the records".to_owned(),
    )
}

#[cfg(test)]
mod tests;
