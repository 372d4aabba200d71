//! The suite every store must pass, unchanged: each case on a server of its own.

use std::sync::Arc;
use std::time::Duration;

use port::random::SystemRandom;
use storage::RemoteStore;
use storage::conformance::Subject;
use teleport_tests_interop::storage::{MovedClock, remote};
use tokio::task::spawn_blocking;

use crate::backend::guests;
use crate::server::Dynamo;

/// More than a watcher's queue holds: whoever is that far behind is told to list again.
pub(crate) const FORGETS_AFTER: usize = 10_000;

async fn open() -> Subject {
    let server = spawn_blocking(Dynamo::start).await.unwrap();
    let clock = MovedClock::default();
    let guests = Arc::new(guests(&server.url(), &clock));
    let settings = remote(Duration::from_millis(500));
    let store = RemoteStore::open(guests, Arc::new(SystemRandom), settings).await.unwrap();
    let moved = clock.clone();
    Subject {
        store: Arc::new(store),
        clock: Arc::new(clock),
        advance: Box::new(move |by| moved.advance(by)),
        forgets_after: FORGETS_AFTER,
        keep: Box::new(server),
    }
}

storage::conformance!(open);
