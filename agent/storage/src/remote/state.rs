//! What one remote store knows of the changes: how far the tail has told, the recent ones, and who
//! listens.
//!
//! All of it changes under one lock, so that a watcher is handed exactly what it has missed and then
//! exactly what follows.

use port::store::{Prefix, Revision, StoreError, Watch, WatchEvent};

use crate::Settings;
use crate::expiry::Micros;
use crate::fanout::{Fanout, Watcher};
use crate::ring::Ring;

/// See the module.
#[derive(Debug)]
pub(super) struct State {
    /// Every change up to here has come in.
    told: Revision,
    ring: Ring,
    fanout: Fanout,
}

impl State {
    pub(super) fn new(settings: &Settings, told: Revision) -> Self {
        Self { told, ring: Ring::new(settings, told), fanout: Fanout::default() }
    }

    /// How far the tail has told.
    pub(super) fn told(&self) -> Revision {
        self.told
    }

    /// Takes what the tail told, which follows [`State::told`].
    pub(super) fn tell(&mut self, events: Vec<WatchEvent>, up_to: Revision, now: Micros) {
        for event in &events {
            self.fanout.publish(event);
        }
        self.told = up_to;
        self.ring.push(events, now);
        self.ring.forget_stale(now);
    }

    /// What follows `revision` comes next; what came between is lost, and everyone is told.
    pub(super) fn restart(&mut self, revision: Revision) {
        self.told = revision;
        self.ring.restart(revision);
        self.fanout.restart(revision);
    }

    /// Ends all watches: the store is closed.
    pub(super) fn close(&mut self) {
        self.fanout = Fanout::default();
    }

    /// A watch of what follows `current`, the backend's revision now. The tail may be behind it, even
    /// for ever: what it still tells from before is not for this watcher.
    pub(super) fn watch_from_now(&mut self, prefix: &Prefix, current: Revision) -> Watch {
        self.fanout.prune();
        let (watcher, watch) = Watcher::after(current.max(self.told));
        self.fanout.add(prefix, watcher, &[]);
        watch
    }

    /// A watch of what follows `from`, which has been; none when the ring does not reach back to it.
    ///
    /// # Errors
    /// [`StoreError::Compacted`] when it has missed more than a watcher's queue holds.
    pub(super) fn watch_from(
        &mut self,
        prefix: &Prefix,
        from: Revision,
    ) -> Result<Option<Watch>, StoreError> {
        self.fanout.prune();
        if from < self.ring.floor() {
            return Ok(None);
        }
        let missed = self.ring.after(from, prefix);
        if missed.len() > port::store::WATCH_QUEUE {
            return Err(StoreError::Compacted(from));
        }
        let (watcher, watch) = Watcher::after(from);
        self.fanout.add(prefix, watcher, &missed);
        Ok(Some(watch))
    }

    /// Takes over a watcher that another tail has told everything up to `told`; gives it back when the
    /// ring does not reach back to that.
    pub(super) fn take_over(
        &mut self,
        prefix: &Prefix,
        mut watcher: Watcher,
        told: Revision,
    ) -> Option<Watcher> {
        if told < self.ring.floor() {
            return Some(watcher);
        }
        watcher.skip_to(told);
        self.fanout.add(prefix, watcher, &self.ring.after(told, prefix));
        None
    }
}

#[cfg(test)]
mod tests {
    use port::store::{Change, Key};

    use super::*;

    fn state() -> State {
        State::new(&Settings { history: 8, ..Settings::default() }, Revision(10))
    }

    fn tell(state: &mut State, revisions: std::ops::RangeInclusive<u64>) {
        for revision in revisions.map(Revision) {
            let change = Change::Delete(Key::of(&["t", "a"]));
            state.tell(vec![WatchEvent { revision, change }], revision, 0);
        }
    }

    /// What the watch heard until the state was closed.
    async fn heard(mut state: State, mut watch: Watch) -> Vec<u64> {
        state.close();
        let mut heard = Vec::new();
        while let Some(event) = watch.next().await {
            heard.push(event.map_or(0, |event| event.revision.0));
        }
        heard
    }

    #[tokio::test]
    async fn from_now_means_the_backends_now_and_not_the_tails() {
        let mut state = state();
        let watch = state.watch_from_now(&Prefix::all(), Revision(12));
        tell(&mut state, 11..=14);
        assert_eq!(heard(state, watch).await, [13, 14]);
    }

    #[tokio::test]
    async fn nothing_told_already_is_from_now_on() {
        let mut state = state();
        tell(&mut state, 11..=13);
        let watch = state.watch_from_now(&Prefix::all(), Revision(12));
        tell(&mut state, 14..=14);
        assert_eq!(heard(state, watch).await, [14]);
    }

    #[tokio::test]
    async fn a_watch_joins_past_and_future() {
        let mut state = state();
        tell(&mut state, 11..=13);
        let watch = state.watch_from(&Prefix::all(), Revision(11)).unwrap().unwrap();
        tell(&mut state, 14..=15);
        assert_eq!(heard(state, watch).await, [12, 13, 14, 15]);
    }

    #[tokio::test]
    async fn a_watch_may_begin_beyond_what_was_told() {
        let mut state = state();
        let watch = state.watch_from(&Prefix::all(), Revision(12)).unwrap().unwrap();
        tell(&mut state, 11..=13);
        assert_eq!(heard(state, watch).await, [13]);
    }

    #[tokio::test]
    async fn what_the_ring_does_not_hold_is_not_served_from_it() {
        let mut state = state();
        assert!(state.watch_from(&Prefix::all(), Revision(9)).unwrap().is_none());
        tell(&mut state, 11..=30);
        assert!(state.watch_from(&Prefix::all(), Revision(12)).unwrap().is_none());
    }

    #[tokio::test]
    async fn a_watcher_from_another_tail_hears_everything_once() {
        for other_tail in [Revision(12), Revision(13), Revision(15)] {
            let mut state = state();
            tell(&mut state, 11..=13);
            let (watcher, watch) = Watcher::after(Revision(0));
            assert!(state.take_over(&Prefix::all(), watcher, other_tail).is_none());
            tell(&mut state, 14..=17);
            let expected: Vec<_> = (other_tail.0 + 1..=17).collect();
            assert_eq!(heard(state, watch).await, expected);
        }
        let (watcher, _watch) = Watcher::after(Revision(0));
        assert!(state().take_over(&Prefix::all(), watcher, Revision(9)).is_some(), "not there yet");
    }

    #[tokio::test]
    async fn starting_over_is_told() {
        let mut state = state();
        tell(&mut state, 11..=13);
        let watch = state.watch_from(&Prefix::all(), Revision(13)).unwrap().unwrap();
        state.restart(Revision(5));
        assert_eq!(state.told(), Revision(5));
        assert_eq!(heard(state, watch).await, [0]);
    }
}
