//! How a value lies in etcd: which of the writes of one transaction it is of, whether and when it expires, and the
//! value.
//!
//! etcd's leases count in whole seconds and end late; an item's end is exact and is therefore kept
//! beside its value. The writes are ours alone ([`crate::revision`]).

use teleport_plugin_sdk::storage_backend::{Failure, Microseconds};

use crate::revision::PLACES;

/// The first byte of an item that stays.
const STAYS: u8 = 1;

/// The first byte of an item that expires; its end follows, eight bytes, the highest first.
const EXPIRES: u8 = 2;

/// The first byte of an item of a write that others come behind: how many follows, and one of the forms above.
/// [`crate::condition`] relies on no other form beginning with a higher one.
pub const NOT_LAST: u8 = 3;

/// The bytes before the value of an item that expires.
const WITH_END: usize = 9;

/// A value and when it ceases to be one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// How many writes come behind its own in the same transaction.
    pub behind: u8,
    /// Until when.
    pub expires: Option<Microseconds>,
    /// What.
    pub value: Vec<u8>,
}

impl Envelope {
    /// Whether it has ceased to be: an item ends at its expiry, not after it.
    pub fn is_over(&self, now: Microseconds) -> bool {
        self.expires.is_some_and(|end| end <= now)
    }

    /// Reads what lies in etcd.
    ///
    /// # Errors
    /// [`Failure::Corrupt`] when it is none of ours.
    pub fn open(mut bytes: Vec<u8>) -> Result<Self, Failure> {
        let (behind, rest) = match bytes.as_slice() {
            [NOT_LAST, behind, rest @ ..] if (1..PLACES).contains(behind) => (*behind, rest),
            rest => (0, rest),
        };
        let (head, expires) = match rest.first_chunk::<WITH_END>() {
            Some([EXPIRES, end @ ..]) => (WITH_END, Some(u64::from_be_bytes(*end))),
            _ if rest.first() == Some(&STAYS) => (1, None),
            _ => return Err(not_ours()),
        };
        bytes.drain(..bytes.len() - rest.len() + head);
        Ok(Self { behind, expires, value: bytes })
    }
}

fn not_ours() -> Failure {
    Failure::Corrupt(
        "a value in etcd is not in the form this plugin writes: either a newer version wrote it, or somebody else \
         uses the same prefix"
            .to_owned(),
    )
}

/// How a value is to lie in etcd.
pub fn seal(behind: u8, expires: Option<Microseconds>, value: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(2 + WITH_END + value.len());
    if behind != 0 {
        bytes.extend([NOT_LAST, behind]);
    }
    match expires {
        None => bytes.push(STAYS),
        Some(end) => {
            bytes.push(EXPIRES);
            bytes.extend_from_slice(&end.to_be_bytes());
        }
    }
    bytes.extend_from_slice(value);
    bytes
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_sealed_is_opened(
            behind in 0..PLACES, expires in any::<Option<u64>>(), value in any::<Vec<u8>>()
        ) {
            let opened = Envelope::open(seal(behind, expires, &value)).unwrap();
            prop_assert_eq!(opened, Envelope { behind, expires, value });
        }

        #[test]
        fn whatever_lies_there_breaks_nothing(
            head in prop::collection::vec(0..5_u8, 0..4), rest in any::<Vec<u8>>()
        ) {
            let bytes = [head, rest].concat();
            if let Ok(opened) = Envelope::open(bytes.clone()) {
                prop_assert_eq!(seal(opened.behind, opened.expires, &opened.value), bytes);
            }
        }
    }

    #[test]
    fn an_item_ends_at_its_expiry() {
        let envelope = Envelope { behind: 0, expires: Some(10), value: vec![] };
        assert!(!envelope.is_over(9) && envelope.is_over(10));
        assert!(!Envelope { behind: 0, expires: None, value: vec![] }.is_over(u64::MAX));
    }

    #[test]
    fn what_others_wrote_is_named_as_such() {
        for bytes in [
            &b""[..],
            b"\x02short",
            b"{}",
            b"\x03",
            b"\x03\x00\x01",
            b"\x03\x40\x01",
            b"\x03\x01\x03\x01\x01",
        ] {
            assert!(
                matches!(Envelope::open(bytes.to_vec()), Err(Failure::Corrupt(text)) if text.contains("prefix"))
            );
        }
    }
}
