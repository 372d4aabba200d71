//! How many hosts a token lets in, and how many come from one place.
//!
//! A token that got into the wrong hands makes a host of whoever shows it, and each host leaves a record
//! behind for as long as its certificates live. So hosts that come with a good token are counted, by token
//! and by source, each with room for a large fleet at once and a slow stream after it. Counts are of this
//! process alone: several auth servers of a cluster let in as many times more, and a restart begins anew,
//! which no host can cause.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, Hash, RandomState};
use std::net::IpAddr;
use std::time::Duration;

use net::gate::source_of;
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::error::AuthError;

/// How many hosts may come at once. A fleet of thousands that is started together joins without waiting,
/// and so does one that comes back as a whole after its certificates have run out.
pub(super) const AT_ONCE: u32 = 10_000;

/// How often a further one may. A host's record lives for 30 days, so a token in the wrong hands makes
/// no more than some 650,000 of them: a few hundred megabytes, which every store bears.
const EVERY: Duration = Duration::from_secs(4);

/// How many counts are kept before those are looked for that say nothing any more.
const SWEEP: usize = 1024;

/// The counts of everybody who came lately.
#[derive(Debug, Default)]
pub(crate) struct Bounds {
    hasher: RandomState,
    counts: Mutex<Counts>,
}

/// Of tokens by what they hash to, and of sources.
#[derive(Debug, Default)]
struct Counts {
    tokens: Table<u64>,
    sources: Table<IpAddr>,
}

/// For each the moment at which it is as if nobody had ever come.
#[derive(Debug)]
struct Table<K> {
    empty: HashMap<K, Instant>,
    /// Looked through when there are so many.
    sweep_at: usize,
}

impl Bounds {
    /// Counts a host that comes from here with this token, which is a good one: only those are counted, so
    /// no stranger can fill the counts.
    ///
    /// # Errors
    /// [`AuthError::TooMany`] when too many came before; it is not counted then.
    pub(crate) fn admit(&self, token: &[u8], source: IpAddr) -> Result<(), AuthError> {
        // Secrets are kept in no more places than they must be.
        let (token, source, now) = (self.hasher.hash_one(token), source_of(source), Instant::now());
        let mut counts = self.counts.lock();
        let by_token = counts.tokens.counted(&token, now).map_err(|wait| {
            too_many("with this token", wait, "make another one with: tctl tokens add, or wait")
        })?;
        let by_source = counts.sources.counted(&source, now).map_err(|wait| {
            too_many(&format!("from {source}"), wait, "wait, or let them come by another way")
        })?;
        counts.tokens.keep(token, by_token, now);
        counts.sources.keep(source, by_source, now);
        Ok(())
    }
}

impl<K> Default for Table<K> {
    fn default() -> Self {
        Self { empty: HashMap::new(), sweep_at: SWEEP }
    }
}

impl<K: Eq + Hash> Table<K> {
    /// One more: when the count is empty again, or how long there is no room.
    fn counted(&self, key: &K, now: Instant) -> Result<Instant, Duration> {
        let then = self.empty.get(key).map_or(now, |empty| now.max(*empty)) + EVERY;
        match (then - now).checked_sub(EVERY * AT_ONCE) {
            Some(wait) if !wait.is_zero() => Err(wait),
            _ => Ok(then),
        }
    }

    fn keep(&mut self, key: K, empty: Instant, now: Instant) {
        self.empty.insert(key, empty);
        if self.empty.len() >= self.sweep_at {
            self.empty.retain(|_, empty| *empty > now);
            // Looking through all of them costs each host next to nothing then.
            self.sweep_at = SWEEP.max(2 * self.empty.len());
        }
    }
}

fn too_many(whence: &str, wait: Duration, remedy: &str) -> AuthError {
    AuthError::TooMany(format!(
        "more than {AT_ONCE} hosts joined {whence} lately, and one more is let in every {} s; the next in {} s: {remedy}",
        EVERY.as_secs(),
        wait.as_secs_f64().ceil(),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    #[tokio::test(start_paused = true)]
    async fn a_fleet_comes_at_once_and_stragglers_one_by_one() {
        let bounds = Bounds::default();
        for _ in 0..AT_ONCE {
            bounds.admit(b"t", source(1)).unwrap();
        }
        let told = bounds.admit(b"t", source(2)).unwrap_err().to_string();
        assert!(told.contains("with this token") && told.contains("the next in 4 s"), "{told}");
        bounds.admit(b"another", source(2)).unwrap();
        let told = bounds.admit(b"another", source(1)).unwrap_err().to_string();
        assert!(told.contains("from 192.0.2.1"), "{told}");
        // Whoever is turned away is not counted, however often.
        for _ in 0..10 {
            bounds.admit(b"t", source(1)).unwrap_err();
        }
        tokio::time::advance(EVERY).await;
        bounds.admit(b"t", source(1)).unwrap();
        bounds.admit(b"t", source(1)).unwrap_err();
    }

    #[tokio::test(start_paused = true)]
    async fn a_thousand_hosts_in_a_minute_wait_for_nothing_again_and_again() {
        let bounds = Bounds::default();
        for _ in 0..8 {
            for _ in 0..1000 {
                bounds.admit(b"t", source(1)).unwrap();
                tokio::time::advance(Duration::from_millis(60)).await;
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn one_block_of_addresses_is_one_source() {
        let bounds = Bounds::default();
        for number in 0..AT_ONCE {
            let address = IpAddr::V6(std::net::Ipv6Addr::from_bits((0x2001_0db8 << 96) | u128::from(number)));
            bounds.admit(b"t", address).unwrap();
        }
        bounds.admit(b"u", "2001:db8::ffff:ffff".parse().unwrap()).unwrap_err();
        bounds.admit(b"u", "2001:db8:0:1::1".parse().unwrap()).unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn counts_that_say_nothing_any_more_are_let_go_of() {
        let bounds = Bounds::default();
        for number in 0..100_000_u32 {
            bounds.admit(&number.to_be_bytes(), source(u8::try_from(number % 250).unwrap())).unwrap();
            tokio::time::advance(EVERY).await;
        }
        let kept = bounds.counts.lock().tokens.empty.len();
        assert!(kept <= SWEEP, "{kept}");
    }
}
