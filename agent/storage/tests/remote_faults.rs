//! What a store over a backend does when the backend fails, on a paused clock.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::time::Duration;

use fake::{FakeBackend, FakeClock, FakeRandom};
use port::backend::About;
use port::store::{Change, Key, Prefix, Revision, Store, StoreError, VALUE_MAX, WATCH_QUEUE, Watch};
use teleport_storage::{MemoryStore, OpenError, RemoteHealth, RemoteSettings, RemoteStore, Settings};
use tokio::time::Instant;

fn memory(history: usize) -> Arc<MemoryStore> {
    let settings = Settings { history, ..Settings::default() };
    Arc::new(MemoryStore::with(Arc::new(FakeClock::new()), settings))
}

fn backend() -> FakeBackend {
    FakeBackend::new(memory(4 * WATCH_QUEUE))
}

async fn try_open(backend: &FakeBackend, settings: RemoteSettings) -> Result<RemoteStore, OpenError> {
    RemoteStore::open(Arc::new(backend.clone()), Arc::new(FakeRandom::default()), settings).await
}

async fn open(backend: &FakeBackend) -> RemoteStore {
    try_open(backend, RemoteSettings::default()).await.unwrap()
}

fn key(name: &str) -> Key {
    Key::of(&["t", name])
}

async fn put(store: &RemoteStore, name: &str) -> Revision {
    store.put(key(name), name.to_owned().into(), None).await.unwrap()
}

fn broken() -> StoreError {
    StoreError::Unavailable("told to fail".to_owned())
}

/// What the watch says next: the name of a key, or an error. The clock is paused, so waiting is free.
async fn next(watch: &mut Watch) -> Option<Result<String, StoreError>> {
    let event = tokio::time::timeout(Duration::from_secs(3600), watch.next()).await.unwrap()?;
    Some(event.map(|event| match event.change {
        Change::Put(item) => item.key.last_segment().to_owned(),
        Change::Delete(key) => format!("-{}", key.last_segment()),
    }))
}

async fn heard(watch: &mut Watch, count: usize) -> Vec<String> {
    let mut heard = Vec::new();
    for _ in 0..count {
        heard.push(next(watch).await.unwrap().unwrap());
    }
    heard
}

async fn is_told_to_start_over(watch: &mut Watch) -> bool {
    let told = matches!(next(watch).await, Some(Err(StoreError::Compacted(_))));
    told && next(watch).await.is_none()
}

async fn becomes(store: &RemoteStore, wanted: impl FnMut(&RemoteHealth) -> bool) -> RemoteHealth {
    let mut health = store.health();
    let waited = tokio::time::timeout(Duration::from_secs(3600), health.wait_for(wanted)).await;
    waited.unwrap().unwrap().clone()
}

#[tokio::test(start_paused = true)]
async fn a_backend_that_hangs_is_unavailable_in_time() {
    let backend = backend();
    let store = open(&backend).await;
    let mut watch = store.watch(Prefix::all(), None).await.unwrap();
    backend.hang(true);
    let began = Instant::now();
    assert!(matches!(store.get(&key("a")).await, Err(StoreError::Unavailable(_))));
    assert!(matches!(store.put(key("a"), "1".into(), None).await, Err(StoreError::Unavailable(_))));
    assert!(matches!(store.range(&Prefix::all(), None, 1).await, Err(StoreError::Unavailable(_))));
    assert!(matches!(store.watch(Prefix::all(), None).await, Err(StoreError::Unavailable(_))));
    assert_eq!(began.elapsed(), 4 * RemoteSettings::default().patience);
    let ill = becomes(&store, |health| health.tail.is_some()).await;
    assert!(ill.calls.is_some() && ill.failure().is_some());
    backend.hang(false);
    put(&store, "b").await;
    assert_eq!(heard(&mut watch, 1).await, ["b"], "the watch has survived");
    assert_eq!(becomes(&store, |health| health.tail.is_none()).await, RemoteHealth::default());
}

#[tokio::test(start_paused = true)]
async fn a_tail_that_breaks_is_made_anew_and_nothing_is_missed_or_told_twice() {
    let backend = backend();
    let store = open(&backend).await;
    let mut watch = store.watch(Prefix::all(), None).await.unwrap();
    let mut expected = Vec::new();
    for round in 0..10 {
        let (before, after) = (format!("{round}-before"), format!("{round}-after"));
        put(&store, &before).await;
        backend.cut_tails(broken());
        put(&store, &after).await;
        expected.extend([before, after]);
        if round % 3 == 0 {
            assert_eq!(heard(&mut watch, expected.len()).await, expected);
            expected.clear();
        }
    }
    assert_eq!(heard(&mut watch, expected.len()).await, expected);
}

#[tokio::test(start_paused = true)]
async fn tails_that_fail_are_tried_less_and_less_often() {
    let backend = backend();
    let store = open(&backend).await;
    let mut watch = store.watch(Prefix::all(), None).await.unwrap();
    put(&store, "a").await;
    assert_eq!(heard(&mut watch, 1).await, ["a"]);
    backend.fail_tails(usize::MAX, broken());
    backend.cut_tails(broken());
    let before = backend.tails_begun();
    tokio::time::sleep(Duration::from_secs(600)).await;
    let tries = backend.tails_begun() - before;
    assert!((40..=100).contains(&tries), "{tries} tries in ten minutes");
    assert_eq!(store.health().borrow().tail, Some(broken()));
    assert_eq!(store.health().borrow().calls, None);
    put(&store, "b").await;
    backend.recover();
    assert_eq!(heard(&mut watch, 1).await, ["b"]);
    becomes(&store, |health| health.failure().is_none()).await;
}

#[tokio::test(start_paused = true)]
async fn a_gap_is_told_to_every_watcher() {
    let inner = memory(8);
    let backend = FakeBackend::new(inner.clone());
    let store = open(&backend).await;
    let (mut all, mut some) = (
        store.watch(Prefix::all(), None).await.unwrap(),
        store.watch(Prefix::of(&["t"]), None).await.unwrap(),
    );
    backend.fail_tails(3, broken());
    backend.cut_tails(broken());
    for round in 0..40 {
        put(&store, &round.to_string()).await;
    }
    assert!(is_told_to_start_over(&mut all).await);
    assert!(is_told_to_start_over(&mut some).await);
    let page = store.range(&Prefix::all(), None, 100).await.unwrap();
    let mut again = store.watch(Prefix::all(), Some(page.revision)).await.unwrap();
    put(&store, "z").await;
    assert_eq!(heard(&mut again, 1).await, ["z"]);
    becomes(&store, |health| health.failure().is_none()).await;
}

#[tokio::test(start_paused = true)]
async fn a_restored_backup_is_another_history() {
    for heard_first in [true, false] {
        restores_a_backup(heard_first).await;
    }
}

async fn restores_a_backup(heard_first: bool) {
    let backend = backend();
    let store = open(&backend).await;
    for round in 0..9 {
        put(&store, &round.to_string()).await;
    }
    let later = put(&store, "last").await;
    let mut watch = store.watch(Prefix::all(), None).await.unwrap();
    if heard_first {
        // The tail is then ahead of the other history; otherwise it stands where that has been as well.
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(store.told(), later);
    }
    backend.restore(memory(100));
    if !heard_first {
        backend.cut_tails(broken());
    }
    let early = store.put(key("x"), "1".into(), None).await;
    assert!(matches!(early, Err(StoreError::Corrupt(_))), "until the tail has noticed");
    assert!(is_told_to_start_over(&mut watch).await);
    assert_eq!(store.watch(Prefix::all(), Some(later)).await.err(), Some(StoreError::Compacted(later)));
    let page = store.range(&Prefix::all(), None, 100).await.unwrap();
    assert!(page.revision < later);
    let mut watch = store.watch(Prefix::all(), Some(page.revision)).await.unwrap();
    put(&store, "y").await;
    assert_eq!(heard(&mut watch, 1).await, ["y"]);
}

#[tokio::test(start_paused = true)]
async fn revisions_moved_by_others_are_never_waited_for() {
    let backend = backend();
    let store = open(&backend).await;
    put(&store, "a").await;
    backend.move_revision(100).await.unwrap();
    let began = Instant::now();
    let page = store.range(&Prefix::all(), None, 10).await.unwrap();
    assert_eq!(page.revision, Revision(101));
    let mut listed = store.watch(Prefix::all(), Some(page.revision)).await.unwrap();
    let mut from_now = store.watch(Prefix::all(), None).await.unwrap();
    assert_eq!(began.elapsed(), Duration::ZERO);
    assert!(store.told() <= Revision(1), "the tail knows nothing of them");
    put(&store, "b").await;
    assert_eq!(heard(&mut listed, 1).await, ["b"]);
    assert_eq!(heard(&mut from_now, 1).await, ["b"]);
}

/// A backend with a past of `a` and `b` and then nothing for a hundred revisions.
async fn with_a_past() -> FakeBackend {
    let inner = memory(4 * WATCH_QUEUE);
    for name in ["a", "b"] {
        inner.put(key(name), "1".into(), None).await.unwrap();
    }
    let backend = FakeBackend::new(inner);
    backend.move_revision(100).await.unwrap();
    backend
}

/// Until only the store's own tail is left.
async fn one_tail_is_left(backend: &FakeBackend) {
    for _ in 0..100 {
        if backend.tails() == 1 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{} tails are left", backend.tails());
}

#[tokio::test(start_paused = true)]
async fn a_watcher_from_before_the_ring_hears_past_and_future() {
    let backend = with_a_past().await;
    let store = open(&backend).await;
    let mut late = store.watch(Prefix::of(&["t"]), Some(Revision(1))).await.unwrap();
    assert_eq!(heard(&mut late, 1).await, ["b"], "though the present is quiet");
    let mut quiet = store.watch(Prefix::of(&["t"]), Some(Revision(50))).await.unwrap();
    assert!(backend.tails() > 1);
    for name in ["c", "d"] {
        put(&store, name).await;
    }
    assert_eq!(heard(&mut late, 2).await, ["c", "d"]);
    assert_eq!(heard(&mut quiet, 2).await, ["c", "d"]);
    one_tail_is_left(&backend).await;
    put(&store, "e").await;
    assert_eq!(heard(&mut late, 1).await, ["e"], "from the store's own tail");
    assert_eq!(heard(&mut quiet, 1).await, ["e"]);
}

#[tokio::test(start_paused = true)]
async fn few_watchers_have_a_tail_of_their_own_at_one_time() {
    let backend = with_a_past().await;
    let settings = RemoteSettings { catch_ups: 2, ..RemoteSettings::default() };
    let store = try_open(&backend, settings).await.unwrap();
    let from = Some(Revision(1));
    let mut served = Vec::new();
    for _ in 0..2 {
        served.push(store.watch(Prefix::all(), from).await.unwrap());
    }
    let refused = store.watch(Prefix::all(), from).await.err();
    assert_eq!(refused, Some(StoreError::Compacted(Revision(1))));
    assert_eq!(backend.most_tails(), 3);
    put(&store, "c").await;
    for watch in &mut served {
        assert_eq!(heard(watch, 2).await, ["b", "c"]);
    }
    one_tail_is_left(&backend).await;
    let mut again = store.watch(Prefix::all(), from).await.unwrap();
    assert_eq!(heard(&mut again, 2).await, ["b", "c"]);
    one_tail_is_left(&backend).await;
    let kept = store.watch(Prefix::all(), Some(Revision(0))).await.unwrap();
    drop(kept);
    drop(store);
}

#[tokio::test(start_paused = true)]
async fn a_watcher_that_goes_gives_its_tail_back() {
    let backend = with_a_past().await;
    let store = open(&backend).await;
    one_tail_is_left(&backend).await;
    let late = store.watch(Prefix::all(), Some(Revision(1))).await.unwrap();
    assert_eq!(backend.tails(), 2);
    drop(late);
    one_tail_is_left(&backend).await;
}

#[tokio::test(start_paused = true)]
async fn a_watcher_whose_own_tail_breaks_starts_over() {
    let backend = with_a_past().await;
    let store = open(&backend).await;
    let mut late = store.watch(Prefix::all(), Some(Revision(1))).await.unwrap();
    backend.cut_tails(broken());
    assert_eq!(heard(&mut late, 1).await, ["b"]);
    assert!(is_told_to_start_over(&mut late).await);
}

#[tokio::test(start_paused = true)]
async fn too_much_past_is_listed_instead() {
    let inner = memory(4 * WATCH_QUEUE);
    for round in 0..=WATCH_QUEUE {
        inner.put(key(&(round % 7).to_string()), "1".into(), None).await.unwrap();
    }
    let backend = FakeBackend::new(inner);
    let store = open(&backend).await;
    let refused = store.watch(Prefix::of(&["elsewhere"]), Some(Revision(0))).await.err();
    assert_eq!(refused, Some(StoreError::Compacted(Revision(0))));
    one_tail_is_left(&backend).await;
}

#[tokio::test(start_paused = true)]
async fn dropping_the_store_ends_tails_and_watches() {
    let backend = with_a_past().await;
    let store = open(&backend).await;
    let mut from_now = store.watch(Prefix::all(), None).await.unwrap();
    let mut late = store.watch(Prefix::all(), Some(Revision(2))).await.unwrap();
    drop(store);
    assert_eq!(next(&mut from_now).await, None);
    assert_eq!(next(&mut late).await, None);
    assert_eq!(backend.tails(), 0);
}

#[tokio::test(start_paused = true)]
async fn closing_waits_for_the_end_of_tails_and_watches() {
    let backend = with_a_past().await;
    let store = open(&backend).await;
    let mut from_now = store.watch(Prefix::all(), None).await.unwrap();
    let mut late = store.watch(Prefix::all(), Some(Revision(2))).await.unwrap();
    assert!(backend.tails() > 0);
    store.close().await;
    assert_eq!(backend.tails(), 0, "when it returns, and not later");
    assert_eq!(next(&mut from_now).await, None);
    assert_eq!(next(&mut late).await, None);
    store.close().await;
}

#[tokio::test(start_paused = true)]
async fn opening_says_why_it_failed() {
    let backend = backend();
    let source = |error| match error {
        OpenError::Backend { source, .. } => source,
        other => panic!("{other}"),
    };
    let refused = StoreError::Refused("no grant for http to 10.0.0.1:2379".to_owned());
    backend.fail_calls(1, refused.clone());
    let error = try_open(&backend, RemoteSettings::default()).await.err().unwrap();
    assert_eq!(source(error), refused);
    backend.fail_tails(1, refused.clone());
    let error = try_open(&backend, RemoteSettings::default()).await.err().unwrap();
    assert_eq!(source(error), refused, "who cannot watch is no store");
    backend.hang(true);
    let began = Instant::now();
    let error = try_open(&backend, RemoteSettings::default()).await.err().unwrap();
    assert!(matches!(source(error), StoreError::Unavailable(_)));
    assert_eq!(began.elapsed(), RemoteSettings::default().opening);
}

#[tokio::test(start_paused = true)]
async fn a_backend_may_take_smaller_values_only() {
    let backend = backend();
    backend.be(About { description: "small".to_owned(), value_max: 1000 });
    let store = open(&backend).await;
    assert_eq!(store.about().value_max, 1000);
    store.put(key("a"), vec![0; 1000].into(), None).await.unwrap();
    let refused = store.put(key("a"), vec![0; VALUE_MAX].into(), None).await;
    assert_eq!(refused, Err(StoreError::TooLarge { what: "a value", max: 1000 }));
}

#[tokio::test(start_paused = true)]
async fn short_pages_join_to_the_whole() {
    let backend = backend();
    let store = open(&backend).await;
    for name in ["", "a", "a\0", "b"] {
        put(&store, name).await;
    }
    backend.lie_in_pages(|page| {
        page.more |= page.items.len() > 1;
        page.items.truncate(1);
    });
    let (mut names, mut from) = (Vec::new(), None);
    loop {
        let page = store.range(&Prefix::all(), from.as_ref(), usize::MAX).await.unwrap();
        names.extend(page.items.iter().map(|item| item.key.last_segment().to_owned()));
        from = page.next;
        if from.is_none() {
            break;
        }
    }
    assert_eq!(names, ["", "a", "a\0", "b"]);
    let none = store.range(&Prefix::all(), None, 0).await.unwrap();
    assert_eq!((none.items.len(), none.next), (0, Some(key(""))));
}
