//! Turns of requests: so many of a plugin are under way at one time, from their beginning to the end of
//! their answer's body.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};

type Taking = Pin<Box<dyn Future<Output = Result<OwnedSemaphorePermit, AcquireError>> + Send>>;

/// A place in the queue.
pub(super) enum Turn {
    /// It is its turn.
    Taken(OwnedSemaphorePermit),
    /// Others are before it.
    Waiting(Taking),
}

impl Turn {
    /// Takes a turn or a place in the queue, in the order in which the plugin sends: it will most likely
    /// read the answers in that order, and one it does not read yet would keep the turn from the one it
    /// waits for.
    pub(super) fn queue(turns: &Arc<Semaphore>) -> Self {
        let mut taking: Taking = Box::pin(Arc::clone(turns).acquire_owned());
        match taking.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Ok(taken)) => Self::Taken(taken),
            _ => Self::Waiting(taking),
        }
    }

    /// Waits for it; nothing when there are none any more.
    pub(super) async fn taken(self) -> Option<OwnedSemaphorePermit> {
        match self {
            Self::Taken(taken) => Some(taken),
            Self::Waiting(taking) => taking.await.ok(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn turns_come_in_the_order_of_asking() {
        let turns = Arc::new(Semaphore::new(1));
        let (first, second, third) = (Turn::queue(&turns), Turn::queue(&turns), Turn::queue(&turns));
        let first = first.taken().await.unwrap();
        let third = tokio::spawn(third.taken());
        tokio::task::yield_now().await;
        drop(first);
        let second = second.taken().await.unwrap();
        assert!(!third.is_finished());
        drop(second);
        assert!(third.await.unwrap().is_some());
    }
}
