//! Changes as the bytes of a journal row: one after the other, numbers little-endian.
//!
//! ```text
//!   step   = kind: u8   revision: u64   key: text   rest
//!   rest   =                                kind 0: the item was removed
//!          | value: bytes                   kind 1: it was put, for ever
//!          | value: bytes   expires: i64    kind 2: it was put, until then (microseconds since 1970)
//!   text, bytes = length: u32, then as many bytes
//! ```
//!
//! Released databases hold rows of this form: another form is a further kind or a further table.

use bytes::Bytes;
use port::store::{Change, Item, Key, Prefix, Revision, WatchEvent};

use crate::expiry::{Micros, from_micros};

const DELETE: u8 = 0;
const PUT: u8 = 1;
const PUT_UNTIL: u8 = 2;

/// Why a row's bytes are no changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a journal row ends in the middle of a change or holds an unknown one")]
pub(super) struct Malformed;

/// Adds a put.
pub(super) fn put(steps: &mut Vec<u8>, revision: Revision, key: &Key, value: &[u8], expires: Option<Micros>) {
    begin(steps, if expires.is_some() { PUT_UNTIL } else { PUT }, revision, key);
    field(steps, value);
    if let Some(expires) = expires {
        steps.extend_from_slice(&expires.to_le_bytes());
    }
}

/// Adds a removal.
pub(super) fn delete(steps: &mut Vec<u8>, revision: Revision, key: &Key) {
    begin(steps, DELETE, revision, key);
}

fn begin(steps: &mut Vec<u8>, kind: u8, revision: Revision, key: &Key) {
    steps.push(kind);
    steps.extend_from_slice(&revision.0.to_le_bytes());
    field(steps, key.as_str().as_bytes());
}

fn field(steps: &mut Vec<u8>, bytes: &[u8]) {
    // Keys and values are far below 4 GiB: the port sees to it.
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    steps.extend_from_slice(&length.to_le_bytes());
    steps.extend_from_slice(bytes);
}

/// A change as it lies in a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Step<'a> {
    revision: Revision,
    key: &'a str,
    put: Option<(&'a [u8], Option<Micros>)>,
}

impl Step<'_> {
    /// The write it is of.
    pub(super) fn revision(&self) -> Revision {
        self.revision
    }

    /// Whether it is below the prefix.
    pub(super) fn is_below(&self, prefix: &Prefix) -> bool {
        self.key.starts_with(prefix.as_str())
    }

    /// As watchers are told. The value is copied: one that is kept must not keep the whole row.
    pub(super) fn to_event(self) -> Result<WatchEvent, Malformed> {
        let (key, revision) = (Key::from_stored(self.key), self.revision);
        let change = match self.put {
            None => Change::Delete(key),
            Some((value, expires)) => {
                let expires = expires.map(|at| from_micros(at).ok_or(Malformed)).transpose()?;
                Change::Put(Item { key, value: Bytes::copy_from_slice(value), revision, expires })
            }
        };
        Ok(WatchEvent { revision, change })
    }
}

/// The changes in a row, in order. Ends after the first that is malformed.
pub(super) struct Steps<'a>(&'a [u8]);

impl<'a> Steps<'a> {
    /// The changes in these bytes.
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    fn step(&mut self) -> Option<Step<'a>> {
        let [kind] = self.array()?;
        let revision = Revision(u64::from_le_bytes(self.array()?));
        let key = std::str::from_utf8(self.field()?).ok()?;
        let put = match kind {
            DELETE => None,
            PUT => Some((self.field()?, None)),
            PUT_UNTIL => Some((self.field()?, Some(Micros::from_le_bytes(self.array()?)))),
            _ => return None,
        };
        Some(Step { revision, key, put })
    }

    fn field(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(u32::from_le_bytes(self.array()?)).ok()?;
        let (field, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(field)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (array, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*array)
    }
}

impl<'a> Iterator for Steps<'a> {
    type Item = Result<Step<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let step = self.step().ok_or(Malformed);
        if step.is_err() {
            self.0 = &[];
        }
        Some(step)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(steps: &[u8]) -> Result<Vec<WatchEvent>, Malformed> {
        Steps::new(steps).map(|step| step?.to_event()).collect()
    }

    fn write(steps: &mut Vec<u8>, event: &WatchEvent) {
        match &event.change {
            Change::Put(item) => {
                let expires = item.expires.map(crate::expiry::to_micros);
                put(steps, event.revision, &item.key, &item.value, expires);
            }
            Change::Delete(key) => delete(steps, event.revision, key),
        }
    }

    fn events() -> impl Strategy<Value = WatchEvent> {
        let value = prop::option::of(prop::collection::vec(any::<u8>(), 0..40));
        let expires = prop::option::of(-1_000_000_000_000_i64..4_000_000_000_000_000);
        (any::<u64>(), ".{0,12}", value, expires).prop_map(|(revision, name, value, expires)| {
            let (key, revision) = (Key::of(&[&name]), Revision(revision));
            let change = match value {
                None => Change::Delete(key),
                Some(value) => {
                    let expires = expires.and_then(from_micros);
                    Change::Put(Item { key, value: value.into(), revision, expires })
                }
            };
            WatchEvent { revision, change }
        })
    }

    proptest! {
        #[test]
        fn what_was_written_is_read(events in prop::collection::vec(events(), 0..8)) {
            let mut steps = Vec::new();
            events.iter().for_each(|event| write(&mut steps, event));
            prop_assert_eq!(read(&steps), Ok(events));
        }

        #[test]
        fn a_row_cut_short_is_damage_or_the_first_changes(
            events in prop::collection::vec(events(), 1..6),
            cut in any::<prop::sample::Index>(),
        ) {
            let (mut steps, mut ends) = (Vec::new(), vec![0]);
            for event in &events {
                write(&mut steps, event);
                ends.push(steps.len());
            }
            steps.truncate(cut.index(steps.len()));
            let whole = ends.iter().position(|end| *end == steps.len());
            let expected = whole.and_then(|count| events.get(..count)).map(<[_]>::to_vec);
            prop_assert_eq!(read(&steps), expected.ok_or(Malformed));
        }

        #[test]
        fn no_bytes_do_harm(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = read(&bytes);
        }
    }

    #[test]
    fn bytes_are_as_they_were_when_first_released() {
        let mut steps = Vec::new();
        put(&mut steps, Revision(258), &Key::of(&["a"]), b"v", Some(1));
        delete(&mut steps, Revision(259), &Key::of(&["b"]));
        let first = b"\x02\x02\x01\0\0\0\0\0\0\x02\0\0\0/a\x01\0\0\0v\x01\0\0\0\0\0\0\0".as_slice();
        let second = b"\0\x03\x01\0\0\0\0\0\0\x02\0\0\0/b".as_slice();
        assert_eq!(steps, [first, second].concat());
    }
}
