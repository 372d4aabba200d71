//! What a write is about.

use teleport_plugin_sdk::storage_backend::{Condition, Failure, KEY_MAX, Operation};

/// The keys a write must know of.
pub(crate) fn keys<'a>(conditions: &'a [Condition], operations: &'a [Operation]) -> Vec<&'a str> {
    let deleted = operations.iter().filter_map(|operation| match operation {
        Operation::Delete(key) => Some(key.as_str()),
        _ => None,
    });
    // No key that is longer is that of a record, and DynamoDB refuses to be asked for one.
    let all: std::collections::BTreeSet<&str> = conditions
        .iter()
        .map(Condition::key)
        .chain(deleted)
        .filter(|key| !key.is_empty() && key.len() <= KEY_MAX)
        .collect();
    all.into_iter().collect()
}

/// The prefixes it must know what lies below of.
pub(crate) fn prefixes(operations: &[Operation]) -> Vec<&str> {
    fn prefix(operation: &Operation) -> Option<&str> {
        match operation {
            Operation::DeleteRange(prefix) => Some(prefix),
            Operation::Put { .. } | Operation::Delete(_) => None,
        }
    }
    operations.iter().filter_map(prefix).collect()
}

/// Others are faster.
pub(crate) fn busy(what: &str) -> Failure {
    Failure::Unavailable(format!(
        "others write to the table faster than a {what} can be done; nothing was changed, try again"
    ))
}
