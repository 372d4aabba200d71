//! Watchers that come back from further behind than the ring reaches.
//!
//! Each gets a tail of its own until that has told as much as the ring holds the rest of; then the
//! store's one tail takes over. That moment may be far off while nothing changes, because revisions
//! are also moved by keys that no tail tells of, so nobody waits for it: the watcher listens already.
//! How many such tails there are at one time, and how much each reads, is bounded; beyond that
//! listing is cheaper, and the watcher is told to.

use std::sync::Arc;
use std::time::Duration;

use port::store::{Prefix, Revision, StoreError, WATCH_QUEUE, Watch};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

use crate::fanout::Watcher;
use crate::remote::Shared;
use crate::remote::caller::Followed;
use crate::remote::follow::IDLE_MIN;

/// How long a watcher waits for another's tail to end, and for the first answer of its own.
const FIRST_WAIT: Duration = Duration::from_secs(1);

/// Begins a watch from a revision that has been, but that the ring does not reach back to.
///
/// # Errors
/// [`StoreError::Compacted`] when the backend no longer keeps it, when more has happened since than a
/// watcher's queue holds, or when too many are catching up.
pub(super) async fn begin(shared: &Arc<Shared>, prefix: Prefix, from: Revision) -> Result<Watch, StoreError> {
    let permit = Arc::clone(&shared.catch_ups).acquire_owned();
    let Ok(Ok(permit)) = tokio::time::timeout(FIRST_WAIT, permit).await else {
        return Err(StoreError::Compacted(from));
    };
    let as_asked = |error| match error {
        StoreError::Compacted(_) => StoreError::Compacted(from),
        other => other,
    };
    let tail = shared.caller.tail(from).await.map_err(as_asked)?;
    let (watcher, watch) = Watcher::after(from);
    let mut late = Late { prefix, tail, left: WATCH_QUEUE, _permit: permit };
    // The first answer says whether the backend still keeps what is asked for. More of them follow
    // while there is more to read, so that who has missed too much is told here rather than later.
    let began = Instant::now();
    let mut waiting = Some(watcher);
    while let Some(watcher) = waiting.take() {
        let behind = late.tail.after;
        waiting = late.step(shared, watcher, FIRST_WAIT).await.map_err(as_asked)?;
        if late.tail.after == behind || began.elapsed() > shared.settings.patience {
            break;
        }
    }
    if let Some(watcher) = waiting {
        shared.spawn(late.go_on(Arc::clone(shared), watcher));
    }
    Ok(watch)
}

/// A watcher's own tail.
struct Late {
    prefix: Prefix,
    tail: Followed,
    /// How many more changes it may read.
    left: usize,
    _permit: OwnedSemaphorePermit,
}

impl Late {
    /// Tells the watcher the next changes; gives it back when the store's own tail could not take over.
    async fn step(
        &mut self,
        shared: &Shared,
        watcher: Watcher,
        wait: Duration,
    ) -> Result<Option<Watcher>, StoreError> {
        let behind = self.tail.after;
        let events = self.tail.next(wait).await?;
        self.left = self.left.checked_sub(events.len()).ok_or(StoreError::Compacted(behind))?;
        for event in events.iter().filter(|event| self.prefix.contains(event.change.key())) {
            // One that does not listen any more is found out by whoever waits.
            if !watcher.tell(event) {
                return Ok(None);
            }
        }
        Ok(shared.state.lock().take_over(&self.prefix, watcher, self.tail.after))
    }

    async fn go_on(mut self, shared: Arc<Shared>, watcher: Watcher) {
        let mut waiting = Some(watcher);
        while let Some(watcher) = waiting.take() {
            let asked = Instant::now();
            let behind = self.tail.after;
            // Ended from here whatever happens to the step.
            let end = watcher.clone();
            let step = tokio::select! {
                () = end.closed() => return,
                step = self.step(&shared, watcher, shared.settings.wait) => step,
            };
            match step {
                Ok(still_late) => waiting = still_late,
                Err(error) => {
                    tracing::info!(%error, "a watcher that was catching up has to list again");
                    end.end(behind);
                }
            }
            if self.tail.after == behind {
                tokio::time::sleep_until(asked + IDLE_MIN).await;
            }
        }
    }
}
