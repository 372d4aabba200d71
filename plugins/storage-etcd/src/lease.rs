//! Leases: how etcd removes what has expired.
//!
//! A lease ends on the server, so no clock but its own decides when. One is shared by all items that end
//! within the same ten seconds and is never shorter than their lives: a heartbeat costs a lease only
//! every ten seconds, and an item that nobody can read any more is gone soon after.

use std::collections::BTreeMap;
use std::time::Duration;

use teleport_plugin_sdk::storage_backend::Microseconds;

/// How far apart the ends of leases are, in microseconds.
const STEP: Microseconds = 10_000_000;

/// How many leases are remembered. Those of nearest end are forgotten first.
const KNOWN_MAX: usize = 1024;

/// The longest life etcd gives a lease, in seconds (`lease.MaxLeaseTTL`).
const LIFE_MAX: u64 = 9_000_000_000;

/// A lease of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    /// etcd's number of it.
    pub id: u64,
    /// It lasts at least until then, on the monotonic clock.
    until: Duration,
}

/// What to ask etcd for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    /// What it is remembered by.
    pub slot: u64,
    /// How long it must last, in seconds.
    pub seconds: u64,
}

/// The leases of one instance.
#[derive(Debug, Default)]
pub struct Leases(BTreeMap<u64, Lease>);

impl Leases {
    /// The lease for an item with this end, or what to ask for.
    ///
    /// # Errors
    /// [`Wanted`] when there is none.
    pub fn of(&self, expires: Microseconds, now: Microseconds, monotonic: Duration) -> Result<u64, Wanted> {
        // What has expired already still gets one: it must be removed.
        let end = expires.max(now);
        let slot = end / STEP;
        let life = Duration::from_micros(end - now);
        match self.0.get(&slot) {
            // Measured on the monotonic clock as well: somebody may have set the other one.
            Some(lease) if monotonic.saturating_add(life) <= lease.until => Ok(lease.id),
            _ => {
                let whole = slot.saturating_add(1).saturating_mul(STEP).saturating_sub(now);
                Err(Wanted { slot, seconds: (whole.div_ceil(1_000_000) + 1).min(LIFE_MAX) })
            }
        }
    }

    /// Remembers a lease. `asked` is when it was asked for, on the monotonic clock; it cannot have begun
    /// before.
    pub fn keep(&mut self, wanted: Wanted, id: u64, asked: Duration) {
        // A second less: a put that is on its way must still find it.
        let life = Duration::from_secs(wanted.seconds.saturating_sub(1));
        self.0.insert(wanted.slot, Lease { id, until: asked.saturating_add(life) });
        while self.0.len() > KNOWN_MAX {
            self.0.pop_first();
        }
    }

    /// Forgets all: etcd does not know one of them.
    pub fn forget(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: u64 = 1_000_000;

    proptest! {
        #[test]
        fn no_item_is_removed_before_its_end(
            now in 0..10_000 * SECOND,
            items in prop::collection::vec((0..10_000 * SECOND, 0..30 * SECOND), 1..50),
        ) {
            let (mut leases, mut wall, mut ends) = (Leases::default(), now, BTreeMap::new());
            for (expires, passes) in items {
                wall += passes;
                let monotonic = Duration::from_micros(wall);
                let id = leases.of(expires, wall, monotonic).unwrap_or_else(|wanted| {
                    let id = ends.len() as u64 + 1;
                    ends.insert(id, wall + wanted.seconds * SECOND);
                    leases.keep(wanted, id, monotonic);
                    id
                });
                let end = ends[&id];
                prop_assert!(expires.max(wall) <= end, "the lease lasts as long as the item");
                prop_assert!(end <= expires.max(wall) + 12 * SECOND, "and not much longer");
            }
        }
    }

    #[test]
    fn heartbeats_share_a_lease() {
        let mut leases = Leases::default();
        let mut granted = 0;
        for beat in 0..100 {
            let now = beat * SECOND / 10;
            let expires = 600 * SECOND + now;
            if let Err(wanted) = leases.of(expires, now, Duration::from_micros(now)) {
                granted += 1;
                leases.keep(wanted, granted, Duration::from_micros(now));
            }
        }
        assert_eq!(granted, 1, "a hundred in ten seconds");
    }

    #[test]
    fn a_clock_set_back_does_not_shorten_a_life() {
        let mut leases = Leases::default();
        let wanted = leases.of(105 * SECOND, 100 * SECOND, Duration::ZERO).unwrap_err();
        leases.keep(wanted, 1, Duration::ZERO);
        assert_eq!(leases.of(105 * SECOND, 100 * SECOND, Duration::ZERO), Ok(1));
        // An hour passes, then the clock is set back to where it was.
        assert!(leases.of(105 * SECOND, 100 * SECOND, Duration::from_secs(3600)).is_err());
    }

    #[test]
    fn few_are_remembered_and_an_end_beyond_etcds_is_cut() {
        let mut leases = Leases::default();
        for slot in 0..2 * KNOWN_MAX as u64 {
            leases.keep(Wanted { slot, seconds: 10 }, slot, Duration::ZERO);
        }
        assert_eq!(leases.0.len(), KNOWN_MAX);
        assert_eq!(leases.of(u64::MAX, 0, Duration::ZERO).unwrap_err().seconds, LIFE_MAX);
    }
}
