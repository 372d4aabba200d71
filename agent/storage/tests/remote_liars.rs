//! Backends that are wrong: what can be seen in an answer is refused, the rest the suite catches.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::time::Duration;

use fake::{FakeBackend, FakeClock, FakeRandom};
use port::store::{Key, Prefix, Revision, Store, StoreError};
use teleport_storage::conformance::{self, Subject};
use teleport_storage::{MemoryStore, RemoteSettings, RemoteStore};

async fn open(backend: &FakeBackend) -> RemoteStore {
    let random = Arc::new(FakeRandom::default());
    RemoteStore::open(Arc::new(backend.clone()), random, RemoteSettings::default()).await.unwrap()
}

fn honest() -> (FakeBackend, FakeClock) {
    let clock = FakeClock::new();
    (FakeBackend::new(Arc::new(MemoryStore::new(Arc::new(clock.clone())))), clock)
}

fn key() -> Key {
    Key::of(&["t", "a"])
}

fn is_corrupt<T>(outcome: Result<T, StoreError>) -> bool {
    matches!(outcome, Err(StoreError::Corrupt(_)))
}

/// Whether the suite's case holds on a store over this backend.
async fn passes(case: &'static str, lie: impl FnOnce(&FakeBackend)) -> bool {
    let (backend, clock) = honest();
    let store = open(&backend).await;
    lie(&backend);
    let told = clock.clone();
    let subject = Subject {
        store: Arc::new(store),
        clock: Arc::new(clock),
        advance: Box::new(move |by| told.advance(by)),
        forgets_after: 100_000,
        keep: Box::new(()),
    };
    tokio::spawn(conformance::run(case, subject)).await.is_ok()
}

#[tokio::test(start_paused = true)]
async fn the_suite_catches_a_backend_that_acknowledges_and_forgets() {
    for case in [
        "an_item_comes_back_as_it_was_put",
        "a_write_is_seen_by_the_next_read",
        "a_transaction_happens_whole",
        "from_now_sees_only_later_changes",
    ] {
        assert!(passes(case, |_| {}).await, "{case} holds on an honest backend");
        assert!(!passes(case, |backend| backend.forget_writes(true)).await, "{case} catches it");
    }
}

#[tokio::test(start_paused = true)]
async fn the_suite_catches_a_backend_that_forgets_changes() {
    let case = "several_watchers_hear_the_same";
    assert!(passes(case, |_| {}).await);
    let forgetful = |backend: &FakeBackend| {
        backend.lie_in_batches(|batch| batch.events.retain(|event| event.revision.0 % 7 != 0));
    };
    assert!(!passes(case, forgetful).await);
}

#[tokio::test(start_paused = true)]
async fn revisions_that_do_not_rise_are_damage() {
    let (backend, _) = honest();
    let store = open(&backend).await;
    store.put(key(), "1".into(), None).await.unwrap();
    backend.lie_in_writes(|revision| *revision = Revision(1));
    assert!(is_corrupt(store.put(key(), "2".into(), None).await));
    backend.recover();
    store.put(key(), "3".into(), None).await.unwrap();
    backend.lie_in_current(|revision| *revision = Revision(2));
    assert!(is_corrupt(store.watch(Prefix::all(), None).await));
    backend.lie_in_pages(|page| page.revision = Revision(2));
    assert!(is_corrupt(store.range(&Prefix::all(), None, 1).await));
    assert!(matches!(store.health().borrow().calls, Some(StoreError::Corrupt(_))));
}

#[tokio::test(start_paused = true)]
async fn pages_that_are_not_what_was_asked_for_are_damage() {
    let (backend, _) = honest();
    let store = open(&backend).await;
    for name in ["a", "b", "c"] {
        store.put(Key::of(&["t", name]), "1".into(), None).await.unwrap();
    }
    backend.lie_in_pages(|page| page.items.reverse());
    assert!(is_corrupt(store.range(&Prefix::all(), None, 10).await));
    backend.lie_in_pages(|page| page.items.iter_mut().for_each(|item| item.key = Key::of(&["u", "x"])));
    assert!(is_corrupt(store.range(&Prefix::of(&["t"]), None, 1).await));
    backend.lie_in_pages(|page| {
        page.items.clear();
        page.more = true;
    });
    assert!(is_corrupt(store.range(&Prefix::all(), None, 10).await));
}

#[tokio::test(start_paused = true)]
async fn a_tail_that_makes_no_sense_makes_watchers_start_over() {
    let (backend, _) = honest();
    let store = open(&backend).await;
    let mut watch = store.watch(Prefix::all(), None).await.unwrap();
    backend.lie_in_batches(|batch| batch.events.iter_mut().for_each(|event| event.revision = Revision(0)));
    store.put(key(), "1".into(), None).await.unwrap();
    let end = tokio::time::timeout(Duration::from_secs(3600), watch.next()).await.unwrap();
    assert!(matches!(end, Some(Err(StoreError::Compacted(_)))), "{end:?}");
    backend.recover();
    let mut watch = store.watch(Prefix::all(), None).await.unwrap();
    let revision = store.put(key(), "2".into(), None).await.unwrap();
    let told = tokio::time::timeout(Duration::from_secs(3600), watch.next()).await.unwrap();
    assert_eq!(told.unwrap().unwrap().revision, revision);
}
