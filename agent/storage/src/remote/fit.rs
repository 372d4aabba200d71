//! Makes a transaction one that every backend can take.
//!
//! The port's limits are checked here, and what they let pass but no backend should have to think
//! about is taken out: conditions and deletes of keys too long to exist, moments finer than a
//! microsecond. Pure.

use port::store::{Condition, KEY_MAX, Key, Operation, StoreError, Transaction, check_limits};

use crate::expiry::rounded;

/// The same transaction for a backend whose values are at most so many bytes.
///
/// # Errors
/// [`StoreError::TooLarge`], or [`StoreError::Conflict`] for a condition that can hold nowhere.
pub(super) fn fit(transaction: Transaction, value_max: usize) -> Result<Transaction, StoreError> {
    check_limits(&transaction)?;
    let Transaction { mut conditions, mut operations } = transaction;
    for condition in &conditions {
        if is_too_long(condition.key()) && !matches!(condition, Condition::Absent(_)) {
            return Err(StoreError::Conflict(condition.key().clone()));
        }
    }
    conditions.retain(|condition| !is_too_long(condition.key()));
    operations.retain(|operation| match operation {
        Operation::Put { .. } => true,
        Operation::Delete(key) => !is_too_long(key),
        Operation::DeleteRange(prefix) => prefix.as_str().len() <= KEY_MAX,
    });
    for operation in &mut operations {
        let Operation::Put { value, expires, .. } = operation else { continue };
        if value.len() > value_max {
            return Err(StoreError::TooLarge { what: "a value", max: value_max });
        }
        *expires = expires.map(rounded);
    }
    Ok(Transaction { conditions, operations })
}

/// Whether no item can have this key.
pub(super) fn is_too_long(key: &Key) -> bool {
    key.as_str().len() > KEY_MAX
}

#[cfg(test)]
mod tests {
    use port::store::{Prefix, Revision, VALUE_MAX};

    use super::*;

    fn long() -> Key {
        Key::of(&[&"k".repeat(KEY_MAX)])
    }

    fn short() -> Key {
        Key::of(&["k"])
    }

    #[test]
    fn what_is_about_no_possible_key_is_taken_out() {
        let transaction = Transaction::default()
            .when(Condition::Absent(long()))
            .when(Condition::Absent(short()))
            .then(Operation::Delete(long()))
            .then(Operation::DeleteRange(Prefix::of(&[&"k".repeat(KEY_MAX)])))
            .then(Operation::Delete(short()));
        let wanted = Transaction::default().when(Condition::Absent(short())).then(Operation::Delete(short()));
        assert_eq!(fit(transaction, VALUE_MAX), Ok(wanted));
    }

    #[test]
    fn what_cannot_be_there_is_a_conflict() {
        for condition in [Condition::Present(long()), Condition::Unchanged(long(), Revision(1))] {
            let transaction = Transaction::default().when(condition);
            assert_eq!(fit(transaction, VALUE_MAX), Err(StoreError::Conflict(long())));
        }
    }

    #[test]
    fn the_backends_own_limit_counts_too() {
        let put = |size| Transaction::default().put(short(), vec![0; size], None);
        assert!(fit(put(10), 10).is_ok());
        assert_eq!(fit(put(11), 10), Err(StoreError::TooLarge { what: "a value", max: 10 }));
        assert!(fit(put(VALUE_MAX + 1), usize::MAX).is_err());
    }

    #[test]
    fn moments_are_whole_microseconds() {
        let exact = "2026-01-01T12:00:00.000001234Z".parse().ok();
        let fitted = fit(Transaction::default().put(short(), "1", exact), VALUE_MAX).unwrap();
        let kept = "2026-01-01T12:00:00.000001Z".parse().ok();
        assert_eq!(fitted, Transaction::default().put(short(), "1", kept));
    }
}
