//! The steps of a write that etcd was told only the outcome of, so that a watch can tell each of them.
//!
//! The journal of a write lies under the plugin's own key, in the same transaction and so of the same
//! revision. It names the steps; what they did follows from etcd's own changes of that revision: a key
//! that is removed was there before, and one that is put was there before if it is not its first version.
//! So nothing must be read, and nothing held still, when such a write is made.

use std::collections::{BTreeMap, BTreeSet};

use teleport_plugin_sdk::storage_backend::{Change, Event, Failure, Item};

use crate::envelope::Envelope;
use crate::revision;

/// A step of a write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// A put that is left in the end: etcd has its value.
    Stored(String),
    /// A put that a later step undid, with what lay there meanwhile.
    Passing(String, Vec<u8>),
    /// A key is removed, if it is there.
    Delete(String),
    /// All keys are removed that start with this.
    DeleteRange(String),
}

/// The form of a journal.
const FORM: u8 = 1;

/// Writes a journal.
pub fn encode(steps: &[Step]) -> Vec<u8> {
    let mut bytes = vec![FORM];
    let mut part = |part: &[u8]| {
        // The contract's limits are far below four gigabytes.
        bytes.extend_from_slice(&u32::try_from(part.len()).unwrap_or(u32::MAX).to_be_bytes());
        bytes.extend_from_slice(part);
    };
    for step in steps {
        let (kind, key, value) = match step {
            Step::Stored(key) => (b"s", key, None),
            Step::Passing(key, value) => (b"p", key, Some(value)),
            Step::Delete(key) => (b"d", key, None),
            Step::DeleteRange(prefix) => (b"r", prefix, None),
        };
        part(kind);
        part(key.as_bytes());
        if let Some(value) = value {
            part(value);
        }
    }
    bytes
}

/// Reads a journal. An empty one has no steps: its write is told as etcd tells it.
///
/// # Errors
/// [`Failure::Corrupt`].
pub fn decode(bytes: &[u8]) -> Result<Option<Vec<Step>>, Failure> {
    match bytes.split_first() {
        None => Ok(None),
        Some((&FORM, rest)) => steps(rest).map(Some).ok_or_else(damaged),
        Some(_) => Err(damaged()),
    }
}

fn damaged() -> Failure {
    Failure::Corrupt(
        "the notes of a write in etcd make no sense: either a newer version wrote them, or somebody else writes \
         below the same prefix"
            .to_owned(),
    )
}

fn steps(mut rest: &[u8]) -> Option<Vec<Step>> {
    let mut steps = Vec::new();
    while !rest.is_empty() {
        let kind = part(&mut rest)?;
        let key = String::from_utf8(part(&mut rest)?.to_vec()).ok()?;
        steps.push(match kind {
            b"s" => Step::Stored(key),
            b"p" => Step::Passing(key, part(&mut rest)?.to_vec()),
            b"d" => Step::Delete(key),
            b"r" => Step::DeleteRange(key),
            _ => return None,
        });
    }
    Some(steps)
}

fn part<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, after) = rest.split_first_chunk::<4>()?;
    let (part, after) = after.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
    *rest = after;
    Some(part)
}

/// A key etcd says is changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Raw {
    /// It is put.
    Put {
        /// As it is now.
        item: Item,
        /// Whether it was there before.
        replaced: bool,
    },
    /// It is removed.
    Delete(String),
}

/// The changes of one of etcd's revisions as it tells them: in the order of its operations, and so of our
/// revisions.
pub fn plain(at: u64, raw: Vec<Raw>) -> Vec<Event> {
    let event = |raw| match raw {
        Raw::Put { item, .. } => Event { revision: item.revision, change: Change::Put(item) },
        Raw::Delete(key) => Event { revision: revision::last_of(at), change: Change::Delete(key) },
    };
    raw.into_iter().map(event).collect()
}

/// The changes of one of etcd's revisions, step by step: all of one write.
///
/// # Errors
/// [`Failure::Corrupt`] when the steps do not lead to what etcd says.
pub fn replay(at: u64, steps: Vec<Step>, raw: Vec<Raw>) -> Result<Vec<Event>, Failure> {
    let revision = revision::last_of(at);
    let (mut there, mut stored) = (BTreeSet::new(), BTreeMap::new());
    let mut in_the_end = BTreeSet::new();
    for raw in raw {
        match raw {
            Raw::Delete(key) => drop(there.insert(key)),
            Raw::Put { item, replaced } => {
                if replaced {
                    there.insert(item.key.clone());
                }
                in_the_end.insert(item.key.clone());
                stored.insert(item.key.clone(), item);
            }
        }
    }
    let mut events = Vec::new();
    let mut tell = |change| events.push(Event { revision, change });
    for step in steps {
        match step {
            Step::Stored(key) => {
                tell(Change::Put(stored.remove(&key).ok_or_else(damaged)?));
                there.insert(key);
            }
            Step::Passing(key, bytes) => {
                let Envelope { expires, value, .. } = Envelope::open(bytes)?;
                tell(Change::Put(Item { key: key.clone(), value, revision, expires }));
                there.insert(key);
            }
            Step::Delete(key) => {
                if there.remove(&key) {
                    tell(Change::Delete(key));
                }
            }
            Step::DeleteRange(prefix) => {
                let below: Vec<_> = there.iter().filter(|key| key.starts_with(&prefix)).cloned().collect();
                for key in below {
                    there.remove(&key);
                    tell(Change::Delete(key));
                }
            }
        }
    }
    if there == in_the_end { Ok(events) } else { Err(damaged()) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_step() -> impl Strategy<Value = Step> {
        prop_oneof![
            ".{0,9}".prop_map(Step::Stored),
            (".{0,9}", any::<Vec<u8>>()).prop_map(|(key, value)| Step::Passing(key, value)),
            ".{0,9}".prop_map(Step::Delete),
            ".{0,9}".prop_map(Step::DeleteRange),
        ]
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(steps in prop::collection::vec(any_step(), 0..9)) {
            prop_assert_eq!(decode(&encode(&steps)).unwrap(), Some(steps));
        }

        #[test]
        fn whatever_lies_there_breaks_nothing(bytes in any::<Vec<u8>>()) {
            let _ = decode(&bytes);
        }

        #[test]
        fn a_cut_journal_is_found_out(steps in prop::collection::vec(any_step(), 1..9), cut in 1..4_usize) {
            let bytes = encode(&steps);
            prop_assert!(decode(&bytes[..bytes.len() - cut]).is_err());
        }
    }

    #[test]
    fn an_empty_journal_tells_nothing_of_its_own() {
        assert_eq!(decode(b""), Ok(None));
        assert!(decode(b"\x02").is_err());
    }

    #[test]
    fn steps_that_do_not_lead_there_are_found_out() {
        let delete = || vec![Raw::Delete("/a".to_owned())];
        assert!(replay(1, vec![Step::Delete("/a".to_owned())], delete()).is_ok());
        assert!(replay(1, vec![], delete()).is_err());
        assert!(replay(1, vec![Step::Stored("/a".to_owned())], vec![]).is_err());
        assert!(replay(1, vec![Step::Passing("/a".to_owned(), vec![1])], vec![]).is_err());
    }
}
