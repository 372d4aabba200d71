//! The JSON of a transaction, however many comparisons and operations it has.
//!
//! etcd takes 128 of each (its default of `--max-txn-ops`), and counts at every level for itself: what is
//! more goes into transactions within the transaction, which happen with it or not at all. etcd's own
//! answer to a comparison that does not hold is to read some keys.

use crate::wire::{Outcome, Range};

/// etcd's limit of a level.
const LEVEL_MAX: usize = 128;

/// A transaction to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transaction {
    /// Its JSON.
    pub json: String,
    /// How many levels hold comparisons.
    levels: usize,
}

impl Transaction {
    /// A transaction that does `operations` if all `comparisons` hold and makes `reads` otherwise. There
    /// must be no more reads than etcd takes.
    pub fn new(comparisons: &[String], operations: Vec<String>, reads: &[String]) -> Self {
        let mut chunks: Vec<_> = comparisons.chunks(LEVEL_MAX).collect();
        let innermost = chunks.pop().unwrap_or_default();
        let levels = chunks.len() + 1;
        let mut json = level(innermost, &narrow(operations), reads);
        while let Some(chunk) = chunks.pop() {
            json = level(chunk, &[within(&json)], reads);
        }
        Self { json, levels }
    }

    /// Whether it happened; if not, what was read instead.
    pub fn refused<'a>(&self, outcome: Outcome<'a>) -> Option<Vec<Range<'a>>> {
        let mut level = outcome;
        for deeper in (0..self.levels).rev() {
            if !level.succeeded {
                return Some(
                    level.responses.into_iter().filter_map(|response| response.response_range).collect(),
                );
            }
            if deeper > 0 {
                level = level
                    .responses
                    .into_iter()
                    .find_map(|response| response.response_txn)
                    .map_or_else(Outcome::default, |inner| *inner);
            }
        }
        None
    }
}

/// The same operations as few enough, in their order.
fn narrow(operations: Vec<String>) -> Vec<String> {
    if operations.len() <= LEVEL_MAX {
        return operations;
    }
    let groups = operations.chunks(LEVEL_MAX).map(|chunk| within(&level(&[], chunk, &[])));
    narrow(groups.collect())
}

fn within(transaction: &str) -> String {
    format!(r#"{{"request_txn":{transaction}}}"#)
}

fn level(comparisons: &[String], operations: &[String], reads: &[String]) -> String {
    format!(
        r#"{{"compare":[{}],"success":[{}],"failure":[{}]}}"#,
        comparisons.join(","),
        operations.join(","),
        reads.join(",")
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;
    use crate::wire;

    fn numbered(count: usize) -> Vec<String> {
        (0..count).map(|number| number.to_string()).collect()
    }

    /// Fails where etcd would; gives the operations in the order they happen.
    fn flatten(transaction: &Value, comparisons: &mut Vec<u64>) -> Vec<u64> {
        let list = |name: &str| transaction[name].as_array().unwrap().clone();
        assert!(["compare", "success", "failure"].iter().all(|name| list(name).len() <= LEVEL_MAX));
        comparisons.extend(list("compare").iter().map(|number| number.as_u64().unwrap()));
        let each = |operation: Value| match operation.as_u64() {
            Some(number) => vec![number],
            None => flatten(&operation["request_txn"], comparisons),
        };
        list("success").into_iter().flat_map(each).collect()
    }

    proptest! {
        #[test]
        fn no_level_is_too_large_and_nothing_is_lost(comparisons in 0..600_usize, operations in 0..600_usize) {
            let transaction = Transaction::new(&numbered(comparisons), numbered(operations), &numbered(3));
            let mut compared = Vec::new();
            let done = flatten(&serde_json::from_str(&transaction.json).unwrap(), &mut compared);
            prop_assert!(done.into_iter().eq(0..operations as u64));
            prop_assert!(compared.into_iter().eq(0..comparisons as u64));
        }
    }

    #[test]
    fn it_happened_only_if_every_level_did() {
        let deep = Transaction::new(&numbered(200), numbered(1), &[]);
        let refused =
            |json: &str| deep.refused(wire::read(json.as_bytes()).unwrap()).map(|ranges| ranges.len());
        assert_eq!(refused(r#"{"succeeded":true,"responses":[{"response_txn":{"succeeded":true}}]}"#), None);
        assert_eq!(
            refused(
                r#"{"succeeded":true,"responses":[{"response_txn":{"responses":[{"response_range":{}}]}}]}"#
            ),
            Some(1)
        );
        assert_eq!(refused(r#"{"responses":[{"response_range":{}},{"response_range":{}}]}"#), Some(2));
        assert_eq!(refused(r#"{"succeeded":true}"#), Some(0), "an inner level that says nothing did nothing");
    }
}
