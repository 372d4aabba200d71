//! Questions that gather while another is under way, and are then asked together.
//!
//! A question that comes when none is under way is asked at once, by whoever has it: nobody waits for others to
//! come. Whoever leaves a place hands it to all that have gathered meanwhile. They are asked by a task of its own, so
//! that a question somebody gives up takes no other with it; when all have given up, so does the task.
//!
//! A call that takes long does not hold up the others: they get a place of their own, as long as there is one.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::StreamExt as _;
use parking_lot::Mutex;
use port::store::{Key, StoreError};
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};

use place::Place;
use queue::{Asked, Queue};

mod place;
mod queue;

/// A call that takes longer no longer holds up the others: far longer than a server that is well takes, and shorter
/// than what anybody who waits for it would call hanging.
const SLOW: Duration = Duration::from_millis(50);
/// How many calls of one kind are under way where each of them is slow. Gets and puts together leave some of a
/// plugin's instances to what does not gather, unless both have groups that must be asked one by one.
const PLACES: usize = 3;
/// The longest somebody waits before looking again whether those under way have become slow.
const LOOK_MAX: Duration = Duration::from_secs(1);
/// The most questions of one call, and the most bytes they hold together, as the contract has it.
pub(super) const GROUP_MAX: usize = 64;
pub(super) const BYTES_MAX: usize = 256 * 1024;
/// How many of a group that must be asked one by one are asked at a time.
const EACH_AT_ONCE: usize = 2;

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
    /// When the call of each place began.
    under_way: [Option<Instant>; PLACES],
    waiting: Queue<K>,
}

enum Entered<K: Kind> {
    Now(Place<K>, K::Question),
    Later(oneshot::Receiver<Outcome<K>>),
}

impl<K: Kind> State<K> {
    /// A call has begun in this place, or the place is free.
    fn note(&mut self, place: usize, began: Option<Instant>) {
        if let Some(slot) = self.under_way.get_mut(place) {
            *slot = began;
        }
    }
}

impl<K: Kind> Gathering<K> {
    pub(super) fn new(kind: K) -> Arc<Self> {
        let state = State { under_way: [None; PLACES], waiting: Queue::default() };
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
            Entered::Later(answer) => self.wait(answer).await,
        }
    }

    async fn wait(self: &Arc<Self>, mut answer: oneshot::Receiver<Outcome<K>>) -> Outcome<K> {
        // Ever longer: where none of very many is answered, they have something better to do than to look.
        let mut patience = SLOW;
        loop {
            match timeout(patience, &mut answer).await {
                Ok(answered) => return answered.unwrap_or_else(|_| Err(broken_off())),
                Err(_) => {
                    let place = self.place(&mut self.state.lock());
                    // Left at once, it goes to those that wait.
                    drop(place);
                    patience = (patience * 2).min(LOOK_MAX);
                }
            }
        }
    }

    /// A place, where none is taken but by calls that are slow.
    fn place(self: &Arc<Self>, state: &mut State<K>) -> Option<Place<K>> {
        let now = Instant::now();
        if state.under_way.iter().flatten().any(|began| now - *began < SLOW) {
            return None;
        }
        let number = state.under_way.iter().position(Option::is_none)?;
        state.note(number, Some(now));
        Some(Place::of(self, number))
    }

    fn enter(self: &Arc<Self>, question: K::Question) -> Result<Entered<K>, StoreError> {
        let mut state = self.state.lock();
        let mut place = self.place(&mut state);
        if state.waiting.is_empty()
            && let Some(place) = place.take()
        {
            return Ok(Entered::Now(place, question));
        }
        let answer = state.waiting.push(question, || self.kind.waiting_max());
        drop(state);
        // Those that came before go first.
        drop(place);
        answer.map(Entered::Later)
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

fn broken_off() -> StoreError {
    let text =
        "the task that asks the storage backend has ended; it is not known whether it did, see the log";
    StoreError::Unavailable(text.to_owned())
}

#[cfg(test)]
mod tests;
