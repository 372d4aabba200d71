//! How many small operations are done as users at once, each of which is a process.
//!
//! An operation is over in milliseconds unless a file system of the user's does not answer. One user who
//! has such a file system waits for themselves, not everybody for them. A process that nobody waits for any
//! more, and that the system cannot end as long as the file system is silent, still has its turn among those
//! of the user, but no longer among those of all: else a few users whose homes are silent would hold up
//! everybody for as long as they are. Sessions are not counted here: they have limits of their own.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Operations at once that are waited for, of all users.
const ALL_MAX: usize = 128;
/// Operations at once as one user, and processes left of such.
pub(crate) const USER_MAX: usize = 16;

/// The turns.
#[derive(Debug)]
pub(crate) struct Turns {
    all: Arc<Semaphore>,
    users: Mutex<HashMap<u32, Arc<Semaphore>>>,
}

/// A turn, for as long as this is kept: until the operation's process is no more, or nobody waits for it
/// any more ([`crate::session::Process::hold`]).
#[derive(Debug)]
pub(crate) struct Turn {
    user: OwnedSemaphorePermit,
    _all: OwnedSemaphorePermit,
}

/// What is left of a turn that was given up: until the process is no more it counts against its user.
#[derive(Debug)]
#[must_use]
pub(crate) struct Remnant {
    _user: OwnedSemaphorePermit,
}

impl Turn {
    /// Gives the turn back to all others, and not yet to the user.
    pub(crate) fn give_up(self) -> Remnant {
        Remnant { _user: self.user }
    }
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
        Some(Turn { user, _all: all })
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

    #[tokio::test(start_paused = true)]
    async fn what_users_gave_up_they_wait_for_themselves_and_others_do_not() {
        let turns = Turns::default();
        let mut held = Vec::new();
        for turn in 0..ALL_MAX {
            held.push(turns.take(u32::try_from(turn / USER_MAX).unwrap()).await.unwrap());
        }
        assert!(timeout(Duration::from_secs(60), turns.take(1000)).await.is_err(), "all turns are taken");
        let mut left: Vec<_> = held.into_iter().map(Turn::give_up).collect();
        assert!(turns.take(1000).await.is_some());
        assert!(timeout(Duration::from_secs(60), turns.take(0)).await.is_err(), "its processes are there");
        drop(left.remove(0));
        assert!(timeout(Duration::from_secs(60), turns.take(0)).await.is_ok());
    }
}
