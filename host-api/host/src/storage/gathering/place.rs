//! A place among the calls under way, and the task that has it while questions gather.
//!
//! Those that have just been answered mostly ask again. So the task lets them come before it asks the next group, which
//! costs it a few turns of the scheduler and no timer; asking whoever comes first would make small groups of those who
//! come after, and a call costs etcd about the same whatever is in it.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::runtime::Handle;
use tokio::time::Instant;

use super::queue::Asked;
use super::{Gathering, Kind};

/// How often the scheduler goes round while those that were just answered are waited for.
pub(super) const TURNS: usize = 20;

/// Who has it may ask. Dropped, it goes to those that have gathered, and is free when there are none.
pub(super) struct Place<K: Kind> {
    of: Arc<Gathering<K>>,
    number: usize,
    /// Where those that gather are asked.
    runtime: Handle,
    /// Not yet, when it was handed to a task that has not begun.
    is_taken: bool,
}

impl<K: Kind> Place<K> {
    /// That place; its call begins now. Must be called inside tokio.
    pub(super) fn of(gathering: &Arc<Gathering<K>>, number: usize) -> Self {
        Self { of: Arc::clone(gathering), number, runtime: Handle::current(), is_taken: true }
    }

    /// Asks those that have gathered, group after group, until there are none.
    async fn ask_groups(&mut self) {
        self.is_taken = true;
        let mut expected = 0;
        loop {
            self.let_come(expected).await;
            let (group, left) = self.next_group();
            if group.is_empty() {
                return;
            }
            expected = left + group.iter().map(|asked| asked.askers.len()).sum::<usize>();
            self.of.answer(group).await;
            // That call is over, however long it took.
            self.of.state.lock().note(self.number, Some(Instant::now()));
        }
    }

    /// Waits a little until so many wait.
    async fn let_come(&self, expected: usize) {
        for _ in 0..TURNS {
            if self.of.state.lock().waiting.len() >= expected {
                return;
            }
            tokio::task::yield_now().await;
        }
    }

    /// Those that are asked together next, and how many more wait.
    fn next_group(&self) -> (Vec<Asked<K>>, usize) {
        let bytes_max = self.of.bytes_max.load(Ordering::Relaxed);
        let mut state = self.of.state.lock();
        state.note(self.number, Some(Instant::now()));
        (state.waiting.group(bytes_max), state.waiting.len())
    }
}

impl<K: Kind> Drop for Place<K> {
    fn drop(&mut self) {
        let mut state = self.of.state.lock();
        if !self.is_taken || state.waiting.is_empty() {
            state.note(self.number, None);
            // Where a task never began its runtime has ended: nobody is there to ask for those who wait.
            state.waiting.clear();
            return;
        }
        state.note(self.number, Some(Instant::now()));
        // A runtime that ends drops what it is given at once, and with it the place.
        drop(state);
        let (of, runtime) = (Arc::clone(&self.of), self.runtime.clone());
        let mut place = Self { of, number: self.number, runtime, is_taken: false };
        self.runtime.spawn(async move { place.ask_groups().await });
    }
}
