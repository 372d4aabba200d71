//! The suite every store must pass, on memory.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::time::Duration;

use fake::FakeClock;
use teleport_storage::conformance::Subject;
use teleport_storage::{MemoryStore, Settings};

async fn open() -> Subject {
    let clock = FakeClock::new();
    let settings = Settings { history: 1024, sweep: Duration::from_millis(20), ..Settings::default() };
    let store = Arc::new(MemoryStore::with(Arc::new(clock.clone()), settings));
    let told = clock.clone();
    Subject {
        store,
        clock: Arc::new(clock),
        advance: Box::new(move |by| told.advance(by)),
        forgets_after: 1024 + 1024 / 8 + 128,
        keep: Box::new(()),
    }
}

teleport_storage::conformance!(open);
