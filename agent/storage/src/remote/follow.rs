//! The one tail of a remote store: brings in every change, for as long as the store lives.
//!
//! A tail that fails is made anew from the last revision told, after a wait that doubles. When the
//! backend no longer keeps that revision, or what it told makes no sense, watchers are told to start
//! over: hearing of a change twice is nothing, missing one is not allowed.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use domain::backoff::Backoff;
use port::random::Random;
use port::store::StoreError;
use tokio::time::Instant;

use crate::remote::Shared;

/// The least time between two questions when the first brought nothing: a backend that does not wait
/// must not keep a core busy.
const IDLE_MIN: Duration = Duration::from_millis(20);

/// Follows the backend; never ends by itself.
pub(super) async fn follow(shared: Arc<Shared>, random: Arc<dyn Random>) {
    let settings = &shared.settings;
    let mut backoff = Backoff::new(settings.retry_first, settings.retry_max);
    let mut lost = false;
    loop {
        let Err(error) = run(&shared, &mut backoff, &mut lost).await;
        lost |= matches!(error, StoreError::Compacted(_) | StoreError::Corrupt(_));
        let wait = backoff.failed(random.uniform());
        if shared.caller.pulse.tail(Some(error.clone())) {
            tracing::warn!(%error, "watchers of the store hear nothing new; it keeps trying");
        }
        tokio::time::sleep(wait).await;
    }
}

/// One tail, until it fails. `lost` says that the last one left a gap.
async fn run(shared: &Shared, backoff: &mut Backoff, lost: &mut bool) -> Result<Infallible, StoreError> {
    if *lost {
        start_over(shared).await?;
        *lost = false;
    }
    // A backup that was restored may know the revision we are at and yet tell another story of it. The
    // servers were down for that, so it is enough to look before each tail: damage here means start over.
    shared.caller.current().await?;
    let after = shared.state.lock().told();
    let mut tail = shared.caller.tail(after).await?;
    loop {
        let asked = Instant::now();
        let mark = shared.caller.seen.mark();
        let events = tail.next(shared.settings.wait).await?;
        let (told, nothing) = (tail.after, events.is_empty());
        // Others may have seen more by now, so only its own word counts here.
        shared.caller.seen.told(mark, told);
        shared.state.lock().tell(events, told, shared.now());
        backoff.succeeded();
        if shared.caller.pulse.tail(None) {
            tracing::info!("watchers of the store hear of changes again");
        }
        if nothing {
            tokio::time::sleep_until(asked + IDLE_MIN).await;
        }
    }
}

/// Takes the backend as it is now and tells all watchers to list again.
async fn start_over(shared: &Shared) -> Result<(), StoreError> {
    let before = shared.caller.seen.revision();
    let revision = shared.caller.begin_again().await?;
    if revision < before {
        tracing::warn!(%before, %revision, "the store's backend went back in time; was a backup restored?");
    }
    shared.state.lock().restart(revision);
    Ok(())
}
