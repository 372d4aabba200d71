//! The tail of a fake backend: a watch of its store, in batches of whole revisions.

use std::collections::VecDeque;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use async_trait::async_trait;
use port::backend::{Batch, Tail};
use port::store::{Prefix, Revision, StoreError, Watch, WatchEvent};
use tokio::sync::watch;

use crate::backend::{FakeBackend, lied};

/// One tail. Its place among the living ones is its number.
pub(super) struct FakeTail {
    backend: FakeBackend,
    number: usize,
    after: Revision,
    cut: watch::Receiver<Option<StoreError>>,
    watch: Option<Watch>,
    /// Heard and not told yet.
    queue: VecDeque<WatchEvent>,
}

impl Drop for FakeTail {
    fn drop(&mut self) {
        self.backend.shared.positions.send_modify(|positions| {
            positions.remove(&self.number);
        });
    }
}

#[async_trait]
impl Tail for FakeTail {
    async fn next(&mut self, limit: u32, wait: Duration) -> Result<Batch, StoreError> {
        self.backend.shared.unless_hanging().await;
        let (number, after) = (self.number, self.after);
        self.backend.shared.positions.send_modify(|positions| {
            positions.insert(number, after);
        });
        if self.watch.is_none() {
            self.begin().await?;
        }
        let mut cut = self.cut.clone();
        tokio::select! {
            biased;
            _ = cut.changed() => Err(cut.borrow().clone().unwrap_or_else(stopped)),
            batch = self.gather(limit, wait) => {
                // What began to hang while this waited does not answer.
                self.backend.shared.unless_hanging().await;
                Ok(lied(&self.backend.shared.batches, batch?))
            }
        }
    }
}

impl FakeTail {
    /// A tail that begins when it is first asked.
    pub(super) fn new(backend: FakeBackend, number: usize, after: Revision) -> Self {
        let mut cut = backend.shared.cut.subscribe();
        cut.mark_unchanged();
        Self { backend, number, after, cut, watch: None, queue: VecDeque::new() }
    }

    async fn begin(&mut self) -> Result<(), StoreError> {
        if let Some(error) = self.backend.shared.tails.take() {
            return Err(error);
        }
        self.watch = Some(self.backend.inner().watch(Prefix::all(), Some(self.after)).await?);
        Ok(())
    }

    async fn gather(&mut self, limit: u32, wait: Duration) -> Result<Batch, StoreError> {
        let watch = self.watch.as_mut().ok_or_else(stopped)?;
        if self.queue.is_empty() {
            match tokio::time::timeout(wait, watch.next()).await {
                Ok(event) => self.queue.push_back(event.ok_or_else(stopped)??),
                Err(_) => return Ok(Batch { events: Vec::new(), up_to: self.after }),
            }
        }
        // The store queues the changes of a write before it tells its revision, so that whatever is
        // not after this one is here to be had.
        let whole = self.backend.stored_revision().await?;
        while let Some(event) = at_once(watch) {
            self.queue.push_back(event?);
        }
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let mut events: Vec<WatchEvent> = Vec::new();
        while let Some(event) = self.queue.front() {
            let splits = events.last().is_some_and(|last| last.revision == event.revision);
            if event.revision > whole || (events.len() >= limit && !splits) {
                break;
            }
            events.extend(self.queue.pop_front());
        }
        // As careful as a backend may be: no further than the last change told.
        self.after = events.last().map_or(self.after, |last| last.revision);
        Ok(Batch { events, up_to: self.after })
    }
}

fn stopped() -> StoreError {
    StoreError::Unavailable("the fake backend's store has stopped".to_owned())
}

/// What the watch has to say without waiting.
fn at_once(watch: &mut Watch) -> Option<Result<WatchEvent, StoreError>> {
    // Without a budget: a queue that says "later" though it is not empty would end the story early.
    let next = pin!(tokio::task::unconstrained(watch.next()));
    match next.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(event) => event,
        Poll::Pending => None,
    }
}
