//! The one tail of a remote store: brings in every change, for as long as the store lives.
//!
//! A tail that fails is made anew from the last revision told, after a wait that doubles. When the
//! backend no longer keeps that revision, or what it told makes no sense, watchers are told to start
//! over: hearing of a change twice is nothing, missing one is not allowed.

use std::sync::Arc;
use std::time::Duration;

use domain::backoff::Backoff;
use port::random::Random;
use port::store::StoreError;
use tokio::time::Instant;

use crate::remote::Shared;
use crate::remote::caller::Followed;

/// The least time between two questions when the first brought nothing: a backend that does not wait
/// must not keep a core busy.
pub(super) const IDLE_MIN: Duration = Duration::from_millis(20);

/// Follows the backend, first with this tail; never ends by itself.
pub(super) async fn follow(shared: Arc<Shared>, random: Arc<dyn Random>, first: Followed) {
    let settings = &shared.settings;
    let mut backoff = Backoff::new(settings.retry_first, settings.retry_max);
    let mut next = Ok(first);
    loop {
        let error = match next {
            Ok(tail) => run(&shared, &mut backoff, tail).await,
            Err(error) => error,
        };
        let lost = matches!(error, StoreError::Compacted(_) | StoreError::Corrupt(_));
        if shared.caller.pulse.tail(Some(error.clone())) {
            tracing::warn!(%error, "watchers of the store hear nothing new; it keeps trying");
        }
        tokio::time::sleep(backoff.failed(random.uniform())).await;
        next = match lost {
            true => start_over(&shared, error).await,
            false => go_on(&shared).await,
        };
    }
}

/// Brings in what the tail tells until it fails, and says why.
async fn run(shared: &Shared, backoff: &mut Backoff, mut tail: Followed) -> StoreError {
    loop {
        let asked = Instant::now();
        let mark = shared.caller.seen.mark();
        let events = match tail.next(shared.settings.wait).await {
            Ok(events) => events,
            Err(error) => return error,
        };
        let nothing = events.is_empty();
        shared.caller.seen.told(mark, tail.after);
        shared.state.lock().tell(events, tail.after, shared.now());
        backoff.succeeded();
        if shared.caller.pulse.tail(None) {
            tracing::info!("watchers of the store hear of changes again");
        }
        if nothing {
            tokio::time::sleep_until(asked + IDLE_MIN).await;
        }
    }
}

/// A tail from where the last one stopped.
async fn go_on(shared: &Shared) -> Result<Followed, StoreError> {
    // A backup that was restored may know the revision we are at and yet tell another story of it. The
    // servers were down for that, so it is enough to look before each tail: damage here means start over.
    shared.caller.current().await?;
    let after = shared.state.lock().told();
    shared.caller.tail(after).await
}

/// Takes the backend as it is now and tells all watchers to list again, because of `gap`. While the
/// backend does not answer, the gap stays what is wrong.
async fn start_over(shared: &Shared, gap: StoreError) -> Result<Followed, StoreError> {
    let before = shared.caller.seen.revision();
    let Ok(revision) = shared.caller.begin_again().await else { return Err(gap) };
    if revision < before {
        tracing::warn!(%before, %revision, "the store's backend went back in time; was a backup restored?");
    }
    shared.state.lock().restart(revision);
    shared.caller.tail(revision).await
}
