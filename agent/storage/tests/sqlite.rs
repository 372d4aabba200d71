//! The suite every store must pass, on SQLite.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::time::Duration;

use fake::FakeClock;
use teleport_storage::conformance::Subject;
use teleport_storage::{Settings, SqliteStore};

async fn open() -> Subject {
    let folder = tempfile::tempdir().unwrap();
    let clock = FakeClock::new();
    let settings = Settings { history: 1024, sweep: Duration::from_millis(20), ..Settings::default() };
    let store = SqliteStore::open_with(folder.path(), Arc::new(clock.clone()), settings).await.unwrap();
    let told = clock.clone();
    Subject {
        store: Arc::new(store),
        clock: Arc::new(clock),
        advance: Box::new(move |by| told.advance(by)),
        forgets_after: 1024 + 1024 / 8 + 128,
        keep: Box::new(folder),
    }
}

teleport_storage::conformance!(open);
