//! What the contract bounds, for every backend alike: how much one write may hold, and how long one call
//! may take.

use std::time::Duration;

use super::{Condition, Failure, KEY_MAX, OPERATIONS_MAX, Operation, VALUE_MAX};
use crate::config;

/// The longest a plugin should spend on one call, with everything it tries again: less than the host
/// gives it, so that the plugin's own error is told and not the host's.
pub const CALL_MAX: Duration = Duration::from_secs(25);

/// Refuses a write that is larger than the contract's. The host sends none; whoever calls natively might.
///
/// # Errors
/// [`Failure::TooLarge`], and [`Failure::Invalid`] for a prefix that does not end with a slash: it would
/// take more than it names.
pub fn check(conditions: &[Condition], operations: &[Operation]) -> Result<(), Failure> {
    let too_large = |what: &str| Err(Failure::TooLarge(what.to_owned()));
    if conditions.len() > OPERATIONS_MAX || operations.len() > OPERATIONS_MAX {
        return too_large("a write has at most 128 conditions and 128 operations");
    }
    for operation in operations {
        match operation {
            Operation::Put { key, .. } if key.len() > KEY_MAX => {
                return too_large("a key has at most 1024 bytes");
            }
            Operation::Put { value, .. } if value.len() > VALUE_MAX => {
                return too_large("a value has at most 1 MiB");
            }
            Operation::DeleteRange(prefix) if !prefix.ends_with('/') => {
                return Err(Failure::Invalid(format!("the prefix {prefix:?} does not end with a slash")));
            }
            _ => {}
        }
    }
    Ok(())
}

/// How long something within a call may take, as the operator wrote it; `default` where nothing is
/// written. None for what is no duration, is zero, or is more than [`CALL_MAX`].
///
/// ```
/// use std::time::Duration;
/// use teleport_plugin_sdk::storage_backend::call_time;
///
/// let default = Duration::from_secs(10);
/// assert_eq!(call_time(None, default), Some(default));
/// assert_eq!(call_time(Some("500ms"), default), Some(Duration::from_millis(500)));
/// assert_eq!(call_time(Some("1h"), default), None);
/// ```
pub fn call_time(written: Option<&str>, default: Duration) -> Option<Duration> {
    let Some(text) = written else { return Some(default) };
    config::duration(text).filter(|time| !time.is_zero() && *time <= CALL_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(key: usize, value: usize) -> Operation {
        Operation::Put { key: "k".repeat(key), value: vec![0; value], expires: None }
    }

    #[test]
    fn a_write_has_bounds() {
        let absent = vec![Condition::Absent("/a".to_owned()); OPERATIONS_MAX + 1];
        let delete = vec![Operation::Delete("/a".to_owned()); OPERATIONS_MAX + 1];
        assert_eq!(check(&absent[1..], &delete[1..]), Ok(()));
        assert_eq!(check(&[], &[put(KEY_MAX, VALUE_MAX), Operation::DeleteRange("/a/".to_owned())]), Ok(()));
        for refused in [
            check(&absent, &[]),
            check(&[], &delete),
            check(&[], &[put(KEY_MAX + 1, 0)]),
            check(&[], &[put(1, VALUE_MAX + 1)]),
        ] {
            assert!(matches!(refused, Err(Failure::TooLarge(_))), "{refused:?}");
        }
        let open = check(&[], &[Operation::DeleteRange("/a".to_owned())]);
        assert!(matches!(open, Err(Failure::Invalid(text)) if text.contains("\"/a\"")));
    }

    #[test]
    fn no_time_is_no_time_to_be_given() {
        for wrong in ["0", "0s", "26s", "soon", ""] {
            assert_eq!(call_time(Some(wrong), CALL_MAX), None, "{wrong}");
        }
        assert_eq!(call_time(Some("25s"), Duration::ZERO), Some(CALL_MAX));
    }
}
