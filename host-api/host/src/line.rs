//! Where the calls of one plugin wait for their turn: so many and no more, and never so that those of another
//! plugin cannot be made.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use domain::plugin::PluginName;
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::call::CallError;
use crate::limit::within;

/// The line before one plugin.
pub(crate) struct Line {
    /// Shared with the versions before and after.
    turns: Arc<Semaphore>,
    waiting: AtomicU64,
    most: u64,
}

/// Why there is no turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoTurn {
    /// None came in time.
    Late,
    /// This many wait already.
    Full(u64),
}

impl NoTurn {
    /// The same, with the plugin's name, how long was waited, and how many calls ran meanwhile.
    pub(crate) fn named(self, plugin: &PluginName, waited: Duration, concurrency: u32) -> CallError {
        let plugin = plugin.clone();
        match self {
            Self::Late => CallError::Busy { plugin, waited, concurrency },
            Self::Full(most) => CallError::Queue { plugin, most },
        }
    }
}

/// One that waits.
struct Place<'a>(&'a AtomicU64);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Line {
    /// A line for this many calls at one time.
    pub(crate) fn new(turns: u32, most: u64) -> Self {
        let turns = Arc::new(Semaphore::new(usize::try_from(turns).unwrap_or(1).max(1)));
        Self { turns, waiting: AtomicU64::new(0), most }
    }

    /// For the version that comes next. Calls of this one that are still under way have turns of both.
    pub(crate) fn successor(&self, most: u64) -> Self {
        Self { turns: Arc::clone(&self.turns), waiting: AtomicU64::new(0), most }
    }

    /// A turn, when there is one in time.
    ///
    /// # Errors
    /// [`NoTurn`].
    pub(crate) async fn turn(&self, wait: Duration) -> Result<SemaphorePermit<'_>, NoTurn> {
        if let Ok(turn) = self.turns.try_acquire() {
            return Ok(turn);
        }
        // Counted before it is looked at, so that no two take the last place.
        let place = Place(&self.waiting);
        if self.waiting.fetch_add(1, Ordering::Relaxed) >= self.most {
            return Err(NoTurn::Full(self.most));
        }
        let turn = within(wait, self.turns.acquire()).await.map_err(|_| NoTurn::Late)?;
        drop(place);
        // Never closed.
        turn.map_err(|_| NoTurn::Late)
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    #[tokio::test(start_paused = true)]
    async fn so_many_wait_and_no_more_and_whoever_leaves_makes_room() {
        let line = Line::new(1, 2);
        let held = line.turn(LONG).await.unwrap();
        let (mut first, second) = (Box::pin(line.turn(LONG)), Box::pin(line.turn(LONG)));
        let mut second = second;
        assert!(first.as_mut().now_or_never().is_none() && second.as_mut().now_or_never().is_none());
        assert_eq!(line.turn(LONG).await.unwrap_err(), NoTurn::Full(2));
        drop(second);
        let mut third = Box::pin(line.turn(LONG));
        assert!(third.as_mut().now_or_never().is_none());
        drop(held);
        drop(first.await.unwrap());
        drop(third.await.unwrap());
        assert_eq!(line.waiting.load(Ordering::Relaxed), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_turn_that_does_not_come_in_time_is_none() {
        let line = Line::new(1, 2);
        let _held = line.turn(LONG).await.unwrap();
        assert_eq!(line.turn(LONG).await.unwrap_err(), NoTurn::Late);
    }

    #[tokio::test]
    async fn two_versions_have_no_more_turns_than_one() {
        let line = Line::new(1, 2);
        let next = line.successor(2);
        let _held = line.turn(LONG).await.unwrap();
        assert!(next.turn(LONG).now_or_never().is_none());
    }
}
