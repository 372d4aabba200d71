//! The questions that wait, and which of them go together.

use std::collections::{HashMap, VecDeque};

use port::store::{Key, StoreError};
use tokio::sync::oneshot;

use super::{GROUP_MAX, Kind, Outcome, Question};

/// How many of those that wait are looked at for one group.
const SCAN_MAX: usize = 1024;
/// How many must wait, of those that may, before those whose askers have left are looked for.
const WAITING_FEW: usize = 256;

/// Questions in the order they came.
pub(super) struct Queue<K: Kind> {
    waiting: VecDeque<Waiting<K>>,
    /// How many must wait before it is looked how many may, and for those whose askers have left.
    look_at: usize,
}

struct Waiting<K: Kind> {
    question: K::Question,
    answer: oneshot::Sender<Outcome<K>>,
}

/// A question and all who have asked it.
pub(super) struct Asked<K: Kind> {
    pub(super) question: K::Question,
    pub(super) askers: Vec<oneshot::Sender<Outcome<K>>>,
}

impl<K: Kind> Asked<K> {
    /// Returns when nobody waits for the answer any more.
    pub(super) async fn left(&mut self) {
        for asker in &mut self.askers {
            asker.closed().await;
        }
    }

    pub(super) fn tell(self, answer: &Outcome<K>) {
        for asker in self.askers {
            // Whoever asked may have left.
            let _ = asker.send(answer.clone());
        }
    }
}

impl<K: Kind> Default for Queue<K> {
    fn default() -> Self {
        Self { waiting: VecDeque::new(), look_at: 0 }
    }
}

impl<K: Kind> Queue<K> {
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whoever waits for these is told that nobody asks.
    pub(super) fn clear(&mut self) {
        self.waiting.clear();
    }

    /// Where the answer will come.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when too many wait.
    pub(super) fn push(
        &mut self,
        question: K::Question,
        most: impl FnOnce() -> usize,
    ) -> Result<oneshot::Receiver<Outcome<K>>, StoreError> {
        if self.waiting.len() >= self.look_at {
            let most = most().max(1);
            self.waiting.retain(|waiting| !waiting.answer.is_closed());
            self.look_at = (self.waiting.len() * 2).clamp(WAITING_FEW.min(most), most);
            if self.waiting.len() >= most {
                let text = format!("{most} questions wait for the storage backend already; try again");
                return Err(StoreError::Unavailable(text));
            }
        }
        let (answer, receiver) = oneshot::channel();
        self.waiting.push_back(Waiting { question, answer });
        Ok(receiver)
    }

    /// Those that go together next: with no more bytes than these, but for a single one.
    pub(super) fn group(&mut self, bytes_max: usize) -> Vec<Asked<K>> {
        let (mut group, mut left) = (Vec::<Asked<K>>::new(), Vec::new());
        let (mut places, mut bytes) = (HashMap::<Key, usize>::new(), 0);
        for _ in 0..SCAN_MAX {
            if group.len() == GROUP_MAX {
                break;
            }
            let Some(waiting) = self.waiting.pop_front() else { break };
            // Whoever asked has left.
            if waiting.answer.is_closed() {
                continue;
            }
            let key = waiting.question.key().clone();
            let same = places.get(&key).and_then(|place| group.get_mut(*place));
            let size = waiting.question.bytes();
            match same {
                Some(asked) if K::Question::SHARED => asked.askers.push(waiting.answer),
                // A single question has room whatever its size.
                None if places.is_empty() || bytes + size <= bytes_max => {
                    bytes += size;
                    places.insert(key, group.len());
                    group.push(Asked { question: waiting.question, askers: vec![waiting.answer] });
                }
                _ => left.push(waiting),
            }
        }
        left.into_iter().rev().for_each(|waiting| self.waiting.push_front(waiting));
        group
    }

    /// These are the next, in this order.
    pub(super) fn put_back(&mut self, rest: impl DoubleEndedIterator<Item = Asked<K>>) {
        for Asked { question, askers } in rest.rev() {
            for answer in askers.into_iter().rev() {
                self.waiting.push_front(Waiting { question: question.clone(), answer });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::storage_backend::Put;
    use crate::storage::gathering::Apart;

    /// Nobody asks it.
    struct Mute;

    impl Kind for Mute {
        type Question = Put;
        type Answer = ();

        fn gathers(&self) -> bool {
            true
        }

        fn waiting_max(&self) -> usize {
            MOST
        }

        async fn alone(&self, _: Put) -> Result<(), StoreError> {
            Ok(())
        }

        async fn together(&self, _: Vec<Put>) -> Result<Vec<()>, Apart> {
            Err(Apart::AskEach)
        }
    }

    const MOST: usize = 10_000;

    fn put(number: usize) -> Put {
        Put { key: Key::of(&[&number.to_string()]), value: "x".into(), expires: None }
    }

    #[test]
    fn those_that_wait_are_bounded_and_those_whose_askers_left_are_not_counted() {
        for most in [1, 10, 300, MOST] {
            let mut queue = Queue::<Mute>::default();
            for number in 0..2 * MOST {
                drop(queue.push(put(number), || most).unwrap());
                assert!(queue.waiting.len() <= WAITING_FEW);
            }
            let mut queue = Queue::<Mute>::default();
            let push = |queue: &mut Queue<Mute>, number| queue.push(put(number), || most);
            let mut askers: Vec<_> = (0..most).map(|number| push(&mut queue, number).unwrap()).collect();
            let refused = push(&mut queue, 0);
            let text = format!("{most} questions wait");
            assert!(matches!(refused, Err(StoreError::Unavailable(said)) if said.contains(&text)), "{most}");
            askers.pop();
            assert!(push(&mut queue, 0).is_ok(), "{most}");
        }
    }

    #[test]
    fn a_group_is_looked_for_among_the_first_and_the_others_keep_their_order() {
        let mut queue = Queue::<Mute>::default();
        let _askers: Vec<_> =
            (0..2 * SCAN_MAX).map(|number| queue.push(put(number.min(SCAN_MAX)), || MOST).unwrap()).collect();
        let count = queue.group(usize::MAX).len();
        assert_eq!(count, GROUP_MAX);
        let next: Vec<_> = queue.waiting.iter().take(2).map(|waiting| waiting.question.clone()).collect();
        assert_eq!(next, [put(GROUP_MAX), put(GROUP_MAX + 1)]);
        for _ in 1..SCAN_MAX / GROUP_MAX {
            queue.group(usize::MAX);
        }
        assert_eq!((queue.group(usize::MAX).len(), queue.waiting.len()), (1, SCAN_MAX - 1), "all of one key");
    }
}
