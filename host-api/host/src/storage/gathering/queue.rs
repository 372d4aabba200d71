//! The questions that wait, and which of them go together.

use std::collections::{HashMap, VecDeque};

use port::store::{Key, StoreError};
use tokio::sync::oneshot;

use super::{Asking, GROUP_MAX, Outcome};

/// How many of those that wait are looked at for one group: others ask meanwhile, and wait for that.
const SCAN_MAX: usize = 1024;
/// The most questions that wait, and how many there must be before those whose askers have left are looked for.
const WAITING_MAX: usize = 16_384;
const WAITING_FEW: usize = 256;

/// Questions in the order they came.
pub(super) struct Queue<A: Asking> {
    waiting: VecDeque<Waiting<A>>,
    /// How many must wait before those whose askers have left are looked for.
    look_at: usize,
}

struct Waiting<A: Asking> {
    key: Key,
    answer: oneshot::Sender<Outcome<A>>,
}

/// A question and all who have asked it.
pub(super) struct Asked<A: Asking> {
    pub(super) key: Key,
    pub(super) askers: Vec<oneshot::Sender<Outcome<A>>>,
}

impl<A: Asking> Asked<A> {
    /// Returns when nobody waits for the answer any more.
    pub(super) async fn left(&mut self) {
        for asker in &mut self.askers {
            asker.closed().await;
        }
    }

    pub(super) fn tell(self, answer: &Outcome<A>) {
        for asker in self.askers {
            // Whoever asked may have left.
            let _ = asker.send(answer.clone());
        }
    }
}

impl<A: Asking> Default for Queue<A> {
    fn default() -> Self {
        Self { waiting: VecDeque::new(), look_at: WAITING_FEW }
    }
}

impl<A: Asking> Queue<A> {
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Whoever waits for these is told that nobody asks.
    pub(super) fn clear(&mut self) {
        self.waiting.clear();
    }

    /// Where the answer will come.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when too many wait.
    pub(super) fn push(&mut self, key: Key) -> Result<oneshot::Receiver<Outcome<A>>, StoreError> {
        if self.waiting.len() >= self.look_at {
            self.waiting.retain(|waiting| !waiting.answer.is_closed());
            self.look_at = (self.waiting.len() * 2).clamp(WAITING_FEW, WAITING_MAX);
        }
        if self.waiting.len() >= WAITING_MAX {
            let text = format!("{WAITING_MAX} questions wait for the storage backend already; try again");
            return Err(StoreError::Unavailable(text));
        }
        let (answer, receiver) = oneshot::channel();
        self.waiting.push_back(Waiting { key, answer });
        Ok(receiver)
    }

    /// Those that go together next. Who asks about the same key has the same answer: all have asked before it is
    /// looked for.
    pub(super) fn group(&mut self) -> Vec<Asked<A>> {
        let mut group = Vec::<Asked<A>>::new();
        let mut places = HashMap::new();
        for _ in 0..SCAN_MAX {
            if group.len() == GROUP_MAX {
                break;
            }
            let Some(Waiting { key, answer }) = self.waiting.pop_front() else { break };
            // Whoever asked has left.
            if answer.is_closed() {
                continue;
            }
            let place = *places.entry(key.clone()).or_insert(group.len());
            match group.get_mut(place) {
                Some(asked) => asked.askers.push(answer),
                None => group.push(Asked { key, askers: vec![answer] }),
            }
        }
        group
    }

    /// These are the next, in this order.
    pub(super) fn put_back(&mut self, rest: impl DoubleEndedIterator<Item = Asked<A>>) {
        for Asked { key, askers } in rest.rev() {
            for answer in askers.into_iter().rev() {
                self.waiting.push_front(Waiting { key: key.clone(), answer });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::gathering::Apart;

    /// Nobody asks it.
    struct Mute;

    impl Asking for Mute {
        type Answer = ();

        fn gathers(&self) -> bool {
            true
        }

        async fn alone(&self, _: Key) -> Result<(), StoreError> {
            Ok(())
        }

        async fn together(&self, _: Vec<Key>) -> Result<Vec<()>, Apart> {
            Err(Apart::AskEach)
        }
    }

    fn key(number: usize) -> Key {
        Key::of(&[&number.to_string()])
    }

    #[test]
    fn those_that_wait_are_bounded_and_those_whose_askers_left_are_not_counted() {
        let mut queue = Queue::<Mute>::default();
        for number in 0..2 * WAITING_MAX {
            drop(queue.push(key(number)).unwrap());
            assert!(queue.waiting.len() <= WAITING_FEW);
        }
        let mut askers: Vec<_> = (0..WAITING_MAX).map(|number| queue.push(key(number)).unwrap()).collect();
        let refused = queue.push(key(0));
        assert!(
            matches!(refused, Err(StoreError::Unavailable(text)) if text.contains("16384 questions wait"))
        );
        askers.pop();
        assert!(queue.push(key(0)).is_ok());
    }

    #[test]
    fn a_group_is_bounded_in_its_keys_and_in_how_many_are_looked_at() {
        let mut queue = Queue::<Mute>::default();
        let _askers: Vec<_> = (0..GROUP_MAX + 2).map(|number| queue.push(key(number)).unwrap()).collect();
        assert_eq!((queue.group().len(), queue.group().len(), queue.group().len()), (GROUP_MAX, 2, 0));
        let _askers: Vec<_> = (0..SCAN_MAX + 1).map(|_| queue.push(key(0)).unwrap()).collect();
        let sizes = [queue.group(), queue.group()].map(|group| (group.len(), group[0].askers.len()));
        assert_eq!(sizes, [(1, SCAN_MAX), (1, 1)]);
    }
}
