//! Hands each change to the watchers it concerns.
//!
//! A store owns one fan-out and tells it every change once, in order. Watchers are found by the
//! prefixes of the changed key, so those that watch something else cost nothing, and each has a
//! bounded queue: whoever falls behind is told to start over and is let go. Nothing here waits.

use std::collections::HashMap;

use port::store::{Prefix, Revision, StoreError, WATCH_QUEUE, Watch, WatchEvent};
use tokio::sync::mpsc;

/// The watchers of one store.
#[derive(Debug, Default)]
pub(crate) struct Fanout {
    watchers: HashMap<String, Vec<Watcher>>,
}

/// The sending end of a watch.
#[derive(Debug, Clone)]
pub(crate) struct Watcher {
    sender: mpsc::Sender<Result<WatchEvent, StoreError>>,
    /// It is told nothing of this revision or before.
    after: Revision,
}

impl Fanout {
    /// Whether nobody watches.
    pub(crate) fn is_empty(&self) -> bool {
        self.watchers.is_empty()
    }

    /// Adds a watcher that has missed `missed`, which must end where the changes told next begin.
    ///
    /// # Errors
    /// [`StoreError::Compacted`] when it has missed more than its queue holds: listing is cheaper.
    pub(crate) fn subscribe(
        &mut self,
        prefix: &Prefix,
        missed: Vec<WatchEvent>,
    ) -> Result<Watch, StoreError> {
        if let Some(first) = missed.first().filter(|_| missed.len() > WATCH_QUEUE) {
            return Err(StoreError::Compacted(first.revision));
        }
        let (watcher, watch) = Watcher::after(Revision(0));
        self.add(prefix, watcher, &missed);
        Ok(watch)
    }

    /// Adds a watcher that exists already and has missed `missed`, unless that is too much for it.
    pub(crate) fn add(&mut self, prefix: &Prefix, watcher: Watcher, missed: &[WatchEvent]) {
        if missed.iter().all(|event| watcher.tell(event)) {
            self.watchers.entry(prefix.as_str().to_owned()).or_default().push(watcher);
        }
    }

    /// Tells a change to everyone it concerns.
    pub(crate) fn publish(&mut self, event: &WatchEvent) {
        let key = event.change.key().as_str();
        for (slash, _) in key.match_indices('/') {
            let Some(prefix) = key.get(..=slash) else { continue };
            let Some(watchers) = self.watchers.get_mut(prefix) else { continue };
            watchers.retain(|watcher| watcher.tell(event));
            if watchers.is_empty() {
                self.watchers.remove(prefix);
            }
        }
    }

    /// Tells everyone to start over: changes before `revision` are lost to this process.
    pub(crate) fn restart(&mut self, revision: Revision) {
        for watcher in self.watchers.drain().flat_map(|(_, watchers)| watchers) {
            watcher.end(revision);
        }
    }

    /// Forgets watchers that have gone.
    pub(crate) fn prune(&mut self) {
        self.watchers.retain(|_, watchers| {
            watchers.retain(|watcher| !watcher.sender.is_closed());
            !watchers.is_empty()
        });
    }
}

impl Watcher {
    /// A watcher of what follows a revision, and the watch it feeds.
    pub(crate) fn after(after: Revision) -> (Self, Watch) {
        // One place more than is used, for the last word to a watcher that fell behind.
        let (sender, receiver) = mpsc::channel(WATCH_QUEUE + 1);
        (Self { sender, after }, Watch::new(receiver))
    }

    /// From now on the watcher is told nothing of this revision or before.
    pub(crate) fn skip_to(&mut self, after: Revision) {
        self.after = after;
    }

    /// Waits until nobody listens any more.
    pub(crate) async fn closed(&self) {
        self.sender.closed().await;
    }

    /// Queues a change; false when the watcher has gone or has just been let go.
    pub(crate) fn tell(&self, event: &WatchEvent) -> bool {
        if event.revision <= self.after {
            return true;
        }
        // Only the fan-out sends, so a place that is free now is free on the next line.
        if self.sender.capacity() > 1 {
            return self.sender.try_send(Ok(event.clone())).is_ok();
        }
        self.end(event.revision);
        false
    }

    /// Tells the watcher to start over.
    pub(crate) fn end(&self, revision: Revision) {
        // A watcher that has gone needs no last word.
        let _ = self.sender.try_send(Err(StoreError::Compacted(revision)));
    }
}

#[cfg(test)]
mod tests {
    use port::store::{Change, Key};

    use super::*;

    fn event(revision: u64, segments: &[&str]) -> WatchEvent {
        WatchEvent { revision: Revision(revision), change: Change::Delete(Key::of(segments)) }
    }

    async fn revisions(watch: &mut Watch, count: usize) -> Vec<u64> {
        let mut seen = Vec::new();
        for _ in 0..count {
            seen.push(watch.next().await.unwrap().unwrap().revision.0);
        }
        seen
    }

    #[tokio::test]
    async fn each_watcher_hears_what_is_below_its_prefix_and_nothing_else() {
        let mut fanout = Fanout::default();
        let mut all = fanout.subscribe(&Prefix::all(), Vec::new()).unwrap();
        let mut users = fanout.subscribe(&Prefix::of(&["user"]), Vec::new()).unwrap();
        let mut joe = fanout.subscribe(&Prefix::of(&["user", "joe"]), Vec::new()).unwrap();
        for (revision, segments) in
            [(1, &["user", "ann"][..]), (2, &["users", "x"]), (3, &["user", "joe", "key"]), (4, &["user"])]
        {
            fanout.publish(&event(revision, segments));
        }
        drop(fanout);
        assert_eq!(revisions(&mut all, 4).await, [1, 2, 3, 4]);
        assert_eq!(revisions(&mut users, 2).await, [1, 3]);
        assert_eq!(revisions(&mut joe, 1).await, [3]);
        for watch in [&mut all, &mut users, &mut joe] {
            assert_eq!(watch.next().await, None, "the store has stopped");
        }
    }

    #[tokio::test]
    async fn who_falls_behind_is_told_so_and_let_go() {
        let mut fanout = Fanout::default();
        let mut slow = fanout.subscribe(&Prefix::all(), Vec::new()).unwrap();
        for revision in 1..=WATCH_QUEUE as u64 {
            fanout.publish(&event(revision, &["a"]));
        }
        assert!(!fanout.is_empty(), "a full queue is not yet behind");
        fanout.publish(&event(WATCH_QUEUE as u64 + 1, &["a"]));
        assert!(fanout.is_empty());
        assert_eq!(revisions(&mut slow, WATCH_QUEUE).await.last(), Some(&(WATCH_QUEUE as u64)));
        let behind = Revision(WATCH_QUEUE as u64 + 1);
        assert_eq!(slow.next().await, Some(Err(StoreError::Compacted(behind))));
        assert_eq!(slow.next().await, None);
    }

    #[tokio::test]
    async fn what_was_missed_comes_first() {
        let mut fanout = Fanout::default();
        let missed = vec![event(1, &["a"]), event(2, &["a"])];
        let mut watch = fanout.subscribe(&Prefix::all(), missed).unwrap();
        fanout.publish(&event(3, &["a"]));
        assert_eq!(revisions(&mut watch, 3).await, [1, 2, 3]);
        let missed = vec![event(1, &["a"]); WATCH_QUEUE + 1];
        let refused = fanout.subscribe(&Prefix::all(), missed).err();
        assert_eq!(refused, Some(StoreError::Compacted(Revision(1))));
    }

    #[tokio::test]
    async fn a_watcher_hears_nothing_from_before_it_began() {
        let mut fanout = Fanout::default();
        let (watcher, mut watch) = Watcher::after(Revision(2));
        fanout.add(&Prefix::all(), watcher, &[]);
        for revision in 1..=3 {
            fanout.publish(&event(revision, &["a"]));
        }
        assert_eq!(revisions(&mut watch, 1).await, [3]);
    }

    #[tokio::test]
    async fn watchers_that_have_gone_are_forgotten() {
        let mut fanout = Fanout::default();
        drop(fanout.subscribe(&Prefix::of(&["a"]), Vec::new()));
        let stays = fanout.subscribe(&Prefix::of(&["b"]), Vec::new());
        fanout.prune();
        assert_eq!(fanout.watchers.keys().collect::<Vec<_>>(), ["/b/"]);
        drop(stays);
        fanout.publish(&event(1, &["b", "c"]));
        assert!(fanout.is_empty(), "a change finds out too");
    }

    #[tokio::test]
    async fn a_restart_ends_every_watch() {
        let mut fanout = Fanout::default();
        let mut watch = fanout.subscribe(&Prefix::all(), Vec::new()).unwrap();
        fanout.restart(Revision(9));
        assert_eq!(watch.next().await, Some(Err(StoreError::Compacted(Revision(9)))));
        assert_eq!(watch.next().await, None);
    }
}
