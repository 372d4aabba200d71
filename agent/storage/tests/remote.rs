//! The suite every store must pass, on a store that a backend keeps.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::time::Duration;

use fake::{FakeBackend, FakeClock, FakeRandom};
use port::store::WATCH_QUEUE;
use teleport_storage::conformance::Subject;
use teleport_storage::{MemoryStore, RemoteSettings, RemoteStore, Settings};

async fn open() -> Subject {
    let clock = FakeClock::new();
    let kept = Settings { history: 4 * WATCH_QUEUE, sweep: Duration::from_millis(20), ..Settings::default() };
    let backend = FakeBackend::new(Arc::new(MemoryStore::with(Arc::new(clock.clone()), kept)));
    // The ring must have forgotten as well when the suite thinks so, on however busy a machine.
    backend.keep_tails_close(4);
    let settings = RemoteSettings { history: 1024, ..RemoteSettings::default() };
    let random = Arc::new(FakeRandom::default());
    let store = RemoteStore::open(Arc::new(backend), random, settings).await.unwrap();
    let told = clock.clone();
    Subject {
        store: Arc::new(store),
        clock: Arc::new(clock),
        advance: Box::new(move |by| told.advance(by)),
        // Out of the ring, and more than a watcher is read: the backend itself keeps it all.
        forgets_after: WATCH_QUEUE + 2 * 1024,
        keep: Box::new(()),
    }
}

teleport_storage::conformance!(open);
