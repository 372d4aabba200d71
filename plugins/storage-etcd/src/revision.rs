//! Revisions of ours, made of etcd's: each of etcd's has room for several writes of ours, which were sent to it in
//! one transaction.
//!
//! A write that goes alone is the last of its one. How many come behind another is kept beside its value
//! ([`crate::envelope`]).

use teleport_plugin_sdk::storage_backend::Revision;

/// How many writes of ours one of etcd's can hold: as many puts as the host asks for at once.
pub const PLACES: u8 = 64;

/// The write of one of etcd's that so many others come behind.
pub fn of(etcd: u64, behind: u8) -> Revision {
    // etcd's are signed and rise by one: it never comes near a 64th of all there are.
    last_of(etcd).saturating_sub(u64::from(behind))
}

/// The last of one of etcd's: whoever has seen it has seen all of them.
pub fn last_of(etcd: u64) -> Revision {
    etcd.saturating_mul(u64::from(PLACES)).saturating_add(u64::from(PLACES - 1))
}

/// Which of etcd's it lies in.
pub fn etcd(revision: Revision) -> u64 {
    revision / u64::from(PLACES)
}

/// The last of etcd's that whoever has seen this has seen as a whole.
pub fn seen_whole(revision: Revision) -> u64 {
    if behind(revision) == 0 { etcd(revision) } else { etcd(revision).saturating_sub(1) }
}

/// How many come behind it there.
pub fn behind(revision: Revision) -> u8 {
    let place = u8::try_from(revision % u64::from(PLACES)).unwrap_or_default();
    PLACES - 1 - place
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn they_rise_with_etcds_and_as_fewer_come_behind(
            (one, other) in (any::<u32>(), any::<u32>()), (here, there) in (0..PLACES, 0..PLACES)
        ) {
            let (one, other) = (u64::from(one), u64::from(other));
            let order = one.cmp(&other).then(there.cmp(&here));
            prop_assert_eq!(of(one, here).cmp(&of(other, there)), order);
            prop_assert_eq!((etcd(of(one, here)), behind(of(one, here))), (one, here));
            prop_assert!(last_of(seen_whole(of(one + 1, here))) <= of(one + 1, here));
        }
    }

    #[test]
    fn what_no_etcd_says_does_not_begin_anew() {
        assert_eq!(last_of(u64::MAX / 2), u64::MAX);
    }
}
