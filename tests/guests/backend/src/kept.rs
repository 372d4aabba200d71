//! All changes since the beginning, in one value of the host's kv: instances share no memory. Nothing
//! expires, and there is room for a test's worth.

use std::collections::BTreeMap;

use teleport_plugin_sdk::storage_backend::{Change, Event, Failure, Item, Operation, Revision};

wit_bindgen::generate!({
    inline: r#"
        package example:backend@1.0.0;
        world backend { import teleport:host/kv@1.0.0; }
    "#,
    path: ["../../../wit/host"],
    world: "example:backend/backend",
    generate_all,
});

use teleport::host::kv;

const KEY: &str = "changes";

/// The changes: revision, key, and a value unless it was removed.
#[derive(Default)]
pub struct Kept {
    bytes: Vec<u8>,
    changes: Vec<(Revision, String, Option<Vec<u8>>)>,
    revision: Revision,
}

fn failed(error: kv::Failure) -> Failure {
    Failure::Unavailable(format!("{error:?}"))
}

fn part<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, after) = rest.split_first_chunk::<4>()?;
    let (part, after) = after.split_at_checked(u32::from_le_bytes(*length) as usize)?;
    *rest = after;
    Some(part)
}

fn add(bytes: &mut Vec<u8>, part: &[u8]) {
    bytes.extend((part.len() as u32).to_le_bytes());
    bytes.extend(part);
}

impl Kept {
    /// What was written so far.
    pub fn read() -> Result<Self, Failure> {
        let bytes = kv::get(KEY).map_err(failed)?.unwrap_or_default();
        let mut kept = Self { bytes: bytes.clone(), ..Self::default() };
        let mut rest = &bytes[..];
        while let (Some(revision), Some(key), Some(value)) =
            (part(&mut rest), part(&mut rest), part(&mut rest))
        {
            let revision = u64::from_le_bytes(revision.try_into().expect("eight bytes"));
            kept.revision = revision;
            let key = String::from_utf8_lossy(key).into_owned();
            let value = value.split_first().map(|(_, value)| value.to_vec());
            // A revision without changes has no key.
            if !key.is_empty() {
                kept.changes.push((revision, key, value));
            }
        }
        Ok(kept)
    }

    /// The last revision.
    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// What there is.
    pub fn items(&self) -> BTreeMap<String, Item> {
        let mut items = BTreeMap::new();
        for (revision, key, value) in &self.changes {
            match value {
                Some(value) => {
                    let (value, revision) = (value.clone(), *revision);
                    items.insert(key.clone(), Item { key: key.clone(), value, revision, expires: None });
                }
                None => drop(items.remove(key)),
            }
        }
        items
    }

    /// The changes after a revision.
    pub fn after(&self, after: Revision) -> Vec<Event> {
        let later = self.changes.iter().filter(|(revision, _, _)| *revision > after);
        later
            .map(|(revision, key, value)| {
                let revision = *revision;
                let change = match value {
                    Some(value) => {
                        Change::Put(Item { key: key.clone(), value: value.clone(), revision, expires: None })
                    }
                    None => Change::Delete(key.clone()),
                };
                Event { revision, change }
            })
            .collect()
    }

    /// Adds a revision, unless somebody else has added one since this was read.
    pub fn write(&mut self, operations: &[Operation]) -> Result<Option<Revision>, Failure> {
        let (revision, before) = (self.revision + 1, self.bytes.clone());
        let mut there: Vec<String> = self.items().into_keys().collect();
        let bytes = &mut self.bytes;
        let mut change = |key: &str, value: Option<&[u8]>| {
            add(bytes, &revision.to_le_bytes());
            add(bytes, key.as_bytes());
            add(bytes, &value.map(|value| [b"+", value].concat()).unwrap_or_default());
        };
        change("", None);
        for operation in operations {
            match operation {
                Operation::Put { key, value, expires: _ } => {
                    change(key, Some(value));
                    there.push(key.clone());
                }
                Operation::Delete(key) => {
                    if there.contains(key) {
                        change(key, None);
                    }
                    there.retain(|other| other != key);
                }
                Operation::DeleteRange(prefix) => {
                    let (mut gone, left): (Vec<_>, Vec<_>) =
                        there.into_iter().partition(|key| key.starts_with(prefix));
                    gone.sort();
                    gone.dedup();
                    gone.iter().for_each(|key| change(key, None));
                    there = left;
                }
            }
        }
        let before = (!before.is_empty()).then_some(before);
        let swapped = kv::swap(KEY, before.as_deref(), &self.bytes).map_err(failed)?;
        Ok(swapped.then_some(revision))
    }
}
