//! Between the contract's records and the store port's. What a plugin answers is checked here: a key or a
//! moment that is none makes the answer [`StoreError::Corrupt`].

use domain::{Timestamp, printable};
use port::backend::About;
use port::store::{
    Change, Condition, Item, KEY_MAX, Key, Operation, Revision, StoreError, Transaction, VALUE_MAX,
    WatchEvent,
};

use super::bindings::exports::teleport::storage_backend::{open, records, watch};
use super::bindings::teleport::storage_backend::types;
use crate::call::clean;

/// What it says of itself, fit for a log.
pub(super) fn about(about: open::About) -> About {
    let value_max = usize::try_from(about.value_max).unwrap_or(usize::MAX).min(VALUE_MAX);
    About { description: clean(&about.description), value_max }
}

pub(super) fn item(item: types::Item) -> Result<Item, StoreError> {
    let types::Item { key, value, revision, expires } = item;
    if value.len() > VALUE_MAX {
        return Err(StoreError::Corrupt(
            "the backend returned a value larger than any that was stored".to_owned(),
        ));
    }
    let expires = expires.map(moment).transpose()?;
    Ok(Item { key: self::key(&key)?, value: value.into(), revision: Revision(revision), expires })
}

fn key(text: &str) -> Result<Key, StoreError> {
    if text.starts_with('/') && text.len() <= KEY_MAX {
        return Ok(Key::from_stored(text));
    }
    let shown = printable::escape(printable::clip(text, 8)).into_owned();
    Err(StoreError::Corrupt(format!("the backend returned a key that is none: {shown:?}…")))
}

fn moment(micros: u64) -> Result<Timestamp, StoreError> {
    let far = || StoreError::Corrupt("the backend returned an expiry beyond every calendar".to_owned());
    Timestamp::from_microsecond(i64::try_from(micros).map_err(|_| far())?).map_err(|_| far())
}

/// Rounded down; what lies before 1970 has expired as well as what lies there.
pub(super) fn micros(moment: Timestamp) -> u64 {
    u64::try_from(moment.as_microsecond()).unwrap_or_default()
}

pub(super) fn event(event: watch::Event) -> Result<WatchEvent, StoreError> {
    let change = match event.change {
        watch::Change::Put(put) => Change::Put(item(put)?),
        watch::Change::Delete(deleted) => Change::Delete(key(&deleted)?),
    };
    Ok(WatchEvent { revision: Revision(event.revision), change })
}

pub(super) fn transaction(transaction: &Transaction) -> (Vec<records::Condition>, Vec<records::Operation>) {
    let text = |key: &Key| key.as_str().to_owned();
    let condition = |condition: &Condition| match condition {
        Condition::Absent(key) => records::Condition::Absent(text(key)),
        Condition::Present(key) => records::Condition::Present(text(key)),
        Condition::Unchanged(key, revision) => records::Condition::Unchanged((text(key), revision.0)),
    };
    let operation = |operation: &Operation| match operation {
        Operation::Put { key, value, expires } => records::Operation::Put(records::Entry {
            key: text(key),
            value: value.to_vec(),
            expires: expires.map(micros),
        }),
        Operation::Delete(key) => records::Operation::Delete(text(key)),
        Operation::DeleteRange(prefix) => records::Operation::DeleteRange(prefix.as_str().to_owned()),
    };
    let Transaction { conditions, operations } = transaction;
    (conditions.iter().map(condition).collect(), operations.iter().map(operation).collect())
}

/// A failure of a write: the condition is named by its number.
pub(super) fn write_failure(failure: types::Failure, transaction: &Transaction) -> StoreError {
    let types::Failure::Conflict(at) = failure else { return self::failure(failure) };
    let condition = usize::try_from(at).ok().and_then(|at| transaction.conditions.get(at));
    condition.map_or_else(
        || {
            StoreError::Corrupt(
                "the backend says a condition does not hold that was not asked for".to_owned(),
            )
        },
        |condition| StoreError::Conflict(condition.key().clone()),
    )
}

/// A failure of watching: what cannot be watched from is what was asked from.
pub(super) fn watch_failure(failure: types::Failure, after: Revision) -> StoreError {
    match failure {
        types::Failure::Compacted(_) => StoreError::Compacted(after),
        other => self::failure(other),
    }
}

pub(super) fn failure(failure: types::Failure) -> StoreError {
    match failure {
        types::Failure::Conflict(_) => {
            StoreError::Corrupt("the backend says that a read was in conflict with something".to_owned())
        }
        types::Failure::Compacted(oldest) => StoreError::Compacted(Revision(oldest)),
        types::Failure::TooLarge(_) => {
            StoreError::TooLarge { what: "a value or a transaction", max: VALUE_MAX }
        }
        types::Failure::Denied(text) | types::Failure::Invalid(text) => StoreError::Refused(clean(&text)),
        types::Failure::Unavailable(text) => StoreError::Unavailable(clean(&text)),
        types::Failure::Corrupt(text) => StoreError::Corrupt(clean(&text)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(key: &str, expires: Option<u64>) -> types::Item {
        types::Item { key: key.to_owned(), value: vec![1], revision: 7, expires }
    }

    #[test]
    fn what_was_written_comes_back_the_same() {
        let expires = Timestamp::from_microsecond(1_700_000_000_123_456).unwrap();
        let write = Transaction::default().when(Condition::Absent(Key::of(&["a"]))).put(
            Key::of(&["a"]),
            "x",
            Some(expires),
        );
        let (conditions, operations) = transaction(&write);
        assert!(matches!(&conditions[..], [records::Condition::Absent(key)] if key == "/a"));
        let [records::Operation::Put(entry)] = &operations[..] else { panic!("one put") };
        let back = item(stored(&entry.key, entry.expires)).unwrap();
        assert_eq!((back.key, back.expires), (Key::of(&["a"]), Some(expires)));
    }

    #[test]
    fn answers_that_cannot_be_are_damage() {
        for bad in [
            stored("a", None),
            stored("", None),
            stored(&"/".repeat(KEY_MAX + 1), None),
            stored("/a", Some(u64::MAX)),
        ] {
            assert!(matches!(item(bad), Err(StoreError::Corrupt(_))));
        }
        let large = types::Item { value: vec![0; VALUE_MAX + 1], ..stored("/a", None) };
        assert!(matches!(item(large), Err(StoreError::Corrupt(_))));
        let write = Transaction::default().when(Condition::Absent(Key::of(&["a"])));
        assert_eq!(write_failure(types::Failure::Conflict(0), &write), StoreError::Conflict(Key::of(&["a"])));
        assert!(matches!(write_failure(types::Failure::Conflict(1), &write), StoreError::Corrupt(_)));
    }

    #[test]
    fn a_plugins_words_cannot_steer_a_terminal() {
        let text = failure(types::Failure::Unavailable("\u{1b}[2J down".to_owned())).to_string();
        assert!(!text.contains('\u{1b}'), "{text:?}");
    }
}
