//! How a value lies in etcd: a version, whether and when it expires, and the value.
//!
//! etcd's leases count in whole seconds and end late; an item's end is exact and is therefore kept
//! beside its value.

use teleport_plugin_sdk::storage_backend::{Failure, Microseconds};

/// The first byte of an item that stays.
const STAYS: u8 = 1;

/// The first byte of an item that expires; its end follows, eight bytes, the highest first.
const EXPIRES: u8 = 2;

/// What the envelope adds to a value, in bytes, at most.
pub const OVERHEAD: usize = 9;

/// A value and when it ceases to be one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
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
        let (head, expires) = match bytes.first_chunk::<OVERHEAD>() {
            Some([EXPIRES, end @ ..]) => (OVERHEAD, Some(u64::from_be_bytes(*end))),
            _ if bytes.first() == Some(&STAYS) => (1, None),
            _ => {
                return Err(Failure::Corrupt(
                    "a value in etcd is not in the form this plugin writes: either a newer version wrote it, \
                     or somebody else uses the same prefix"
                        .to_owned(),
                ));
            }
        };
        bytes.drain(..head);
        Ok(Self { expires, value: bytes })
    }
}

/// How a value is to lie in etcd.
pub fn seal(expires: Option<Microseconds>, value: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(OVERHEAD + value.len());
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
        fn what_is_sealed_is_opened(expires in any::<Option<u64>>(), value in any::<Vec<u8>>()) {
            let opened = Envelope::open(seal(expires, &value)).unwrap();
            prop_assert_eq!(opened, Envelope { expires, value });
        }

        #[test]
        fn whatever_lies_there_breaks_nothing(bytes in any::<Vec<u8>>()) {
            if let Ok(opened) = Envelope::open(bytes.clone()) {
                prop_assert_eq!(seal(opened.expires, &opened.value), bytes);
            }
        }
    }

    #[test]
    fn an_item_ends_at_its_expiry() {
        let envelope = Envelope { expires: Some(10), value: vec![] };
        assert!(!envelope.is_over(9) && envelope.is_over(10));
        assert!(!Envelope { expires: None, value: vec![] }.is_over(u64::MAX));
    }

    #[test]
    fn what_others_wrote_is_named_as_such() {
        for bytes in [&b""[..], b"\x02short", b"{}", b"\x03"] {
            assert!(
                matches!(Envelope::open(bytes.to_vec()), Err(Failure::Corrupt(text)) if text.contains("prefix"))
            );
        }
    }
}
