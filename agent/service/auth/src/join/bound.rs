//! How many new hosts a token lets in.
//!
//! A token that got into the wrong hands makes a host of whoever shows it, and each host leaves a record
//! behind for as long as its certificates live. So those records are counted by the token they were made
//! with, with room for a large fleet at once and a slow stream after it. A host that is known, or refused,
//! is not counted. Where hosts come from makes no difference: behind a load balancer all of them come from
//! one place, and one token in the wrong hands must not keep out who has another. Counts are of this process
//! alone: several auth servers of a cluster let in as many times more, and a restart begins anew, which no
//! host can cause.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::time::Duration;

use domain::secret::Secret;
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::error::AuthError;

/// How many new hosts may come at once. A fleet of thousands that is started together joins without
/// waiting, and so does one that comes back as a whole after its certificates have run out.
pub(super) const AT_ONCE: u32 = 10_000;

/// How often a further one may. A host's record lives for 30 days, so a token in the wrong hands makes
/// no more than some 650,000 of them: a few hundred megabytes, which every store bears.
const EVERY: Duration = Duration::from_secs(4);

/// How many counts are kept before those are looked for that say nothing any more.
const SWEEP: usize = 1024;

/// The counts of all tokens that hosts came with lately.
#[derive(Debug, Default)]
pub(crate) struct Bounds {
    /// Secrets are kept in no more places than they must be: a token is what it hashes to.
    hasher: RandomState,
    counts: Mutex<Counts>,
}

/// A host that was counted. Letting go of this leaves it counted.
#[derive(Debug)]
#[must_use = "what came to nothing is given back"]
pub(crate) struct Counted<'a> {
    bounds: &'a Bounds,
    token: u64,
}

/// For each token the moment at which it is as if nobody had ever come with it.
#[derive(Debug)]
struct Counts {
    empty: HashMap<u64, Instant>,
    /// Looked through when there are so many.
    sweep_at: usize,
}

impl Bounds {
    /// Counts a new host that comes with this token, which is a good one: only those are counted, so
    /// no stranger can fill the counts.
    ///
    /// # Errors
    /// [`AuthError::TooMany`] when too many came before; it is not counted then.
    pub(crate) fn count(&self, token: &Secret) -> Result<Counted<'_>, AuthError> {
        let (token, now) = (self.hasher.hash_one(token.reveal()), Instant::now());
        self.counts.lock().count(token, now).map_err(too_many)?;
        Ok(Counted { bounds: self, token })
    }
}

impl Counted<'_> {
    /// There is no host: the next may come in its place.
    pub(crate) fn give_back(self) {
        if let Some(empty) = self.bounds.counts.lock().empty.get_mut(&self.token) {
            *empty = empty.checked_sub(EVERY).unwrap_or(*empty);
        }
    }
}

impl Default for Counts {
    fn default() -> Self {
        Self { empty: HashMap::new(), sweep_at: SWEEP }
    }
}

impl Counts {
    /// One more, or how long there is no room.
    fn count(&mut self, token: u64, now: Instant) -> Result<(), Duration> {
        let empty = self.empty.get(&token).map_or(now, |empty| now.max(*empty)) + EVERY;
        if let Some(wait) = (empty - now).checked_sub(EVERY * AT_ONCE)
            && !wait.is_zero()
        {
            return Err(wait);
        }
        self.empty.insert(token, empty);
        if self.empty.len() >= self.sweep_at {
            self.empty.retain(|_, empty| *empty > now);
            // Looking through all of them costs each host next to nothing then.
            self.sweep_at = SWEEP.max(2 * self.empty.len());
        }
        Ok(())
    }
}

fn too_many(wait: Duration) -> AuthError {
    AuthError::TooMany(format!(
        "more than {AT_ONCE} hosts joined with this token lately, and one more is let in every {} s; the next in {} s: make another one with: tctl tokens add, or wait",
        EVERY.as_secs(),
        wait.as_secs_f64().ceil(),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(bounds: &Bounds, token: &str) -> Result<(), AuthError> {
        bounds.count(&token.into()).map(drop)
    }

    #[tokio::test(start_paused = true)]
    async fn a_fleet_comes_at_once_and_stragglers_one_by_one() {
        let bounds = Bounds::default();
        for _ in 0..AT_ONCE {
            count(&bounds, "t").unwrap();
        }
        let told = count(&bounds, "t").unwrap_err().to_string();
        assert!(told.contains("with this token") && told.contains("the next in 4 s"), "{told}");
        count(&bounds, "another").unwrap();
        // Whoever is turned away is not counted, however often.
        for _ in 0..10 {
            count(&bounds, "t").unwrap_err();
        }
        tokio::time::advance(EVERY).await;
        let counted = bounds.count(&"t".into()).unwrap();
        count(&bounds, "t").unwrap_err();
        counted.give_back();
        count(&bounds, "t").unwrap();
        count(&bounds, "t").unwrap_err();
    }

    #[tokio::test(start_paused = true)]
    async fn a_thousand_hosts_in_a_minute_wait_for_nothing_again_and_again() {
        let bounds = Bounds::default();
        for _ in 0..8 {
            for _ in 0..1000 {
                count(&bounds, "t").unwrap();
                tokio::time::advance(Duration::from_millis(60)).await;
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn counts_that_say_nothing_any_more_are_let_go_of() {
        let bounds = Bounds::default();
        for number in 0..100_000_u32 {
            count(&bounds, &number.to_string()).unwrap();
            tokio::time::advance(EVERY).await;
        }
        let kept = bounds.counts.lock().empty.len();
        assert!(kept <= SWEEP, "{kept}");
    }
}
