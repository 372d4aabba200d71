//! How many small operations are done as users at once, each of which is a process.
//!
//! An operation is over in milliseconds unless a file system of the user's does not answer. One user who
//! has such a file system waits for themselves, not everybody for them. A process that nobody waits for any
//! more, and that the system cannot end as long as the file system is silent, still has its turn. Sessions
//! are not counted here: they have limits of their own.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Operations at once, of all users.
const ALL_MAX: usize = 128;
/// Operations at once as one user.
pub(crate) const USER_MAX: usize = 16;

/// The turns.
#[derive(Debug)]
pub(crate) struct Turns {
    all: Arc<Semaphore>,
    users: Mutex<HashMap<u32, Arc<Semaphore>>>,
}

/// A turn, for as long as this is kept: until the operation's process is no more
/// ([`crate::session::Process::hold`]).
#[derive(Debug)]
pub(crate) struct Turn {
    _user: OwnedSemaphorePermit,
    _all: OwnedSemaphorePermit,
}

impl Default for Turns {
    fn default() -> Self {
        Self { all: Arc::new(Semaphore::new(ALL_MAX)), users: Mutex::default() }
    }
}

impl Turns {
    /// The next turn of a user. Waits as long as it takes: bound it.
    pub(crate) async fn take(&self, uid: u32) -> Option<Turn> {
        let mine = {
            let mut users = self.users.lock().unwrap_or_else(PoisonError::into_inner);
            // Whoever has a turn, or waits for one, holds on to the user's.
            users.retain(|_, user| Arc::strong_count(user) > 1);
            Arc::clone(users.entry(uid).or_insert_with(|| Arc::new(Semaphore::new(USER_MAX))))
        };
        // The user's own first: who waits for themselves takes nothing from others. Neither is ever closed.
        let user = mine.acquire_owned().await.ok()?;
        let all = Arc::clone(&self.all).acquire_owned().await.ok()?;
        Some(Turn { _user: user, _all: all })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_user_who_has_all_their_turns_waits_and_others_do_not() {
        let turns = Turns::default();
        let mut held = Vec::new();
        for _ in 0..USER_MAX {
            held.push(turns.take(1).await.unwrap());
        }
        assert!(timeout(Duration::from_secs(60), turns.take(1)).await.is_err());
        assert!(turns.take(2).await.is_some());
        held.pop();
        assert!(timeout(Duration::from_secs(60), turns.take(1)).await.is_ok());
        drop(held);
        turns.take(3).await.unwrap();
        assert_eq!(turns.users.lock().unwrap().len(), 1, "who wants nothing is forgotten");
    }
}
