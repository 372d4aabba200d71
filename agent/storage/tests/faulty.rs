//! The suite every store must pass, on the store that breaks when told to and is told nothing: what
//! it wraps must come through unchanged.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::time::Duration;

use fake::{FakeClock, FaultyStore};
use teleport_storage::conformance::Subject;
use teleport_storage::{MemoryStore, Settings};

async fn open() -> Subject {
    let clock = FakeClock::new();
    let settings = Settings { history: 1024, sweep: Duration::from_millis(20), ..Settings::default() };
    let store = FaultyStore::new(Arc::new(MemoryStore::with(Arc::new(clock.clone()), settings)));
    let told = clock.clone();
    Subject {
        store: Arc::new(store),
        clock: Arc::new(clock),
        advance: Box::new(move |by| told.advance(by)),
        forgets_after: 1024 + 1024 / 8 + 128,
        keep: Box::new(()),
    }
}

teleport_storage::conformance!(open);
