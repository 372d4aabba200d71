//! The JSON of a transaction, however many operations it has.
//!
//! etcd takes 128 operations (its default of `--max-txn-ops`). More go in groups, each a transaction within
//! the transaction, which happens with it or not at all; a group may then have as many as the outer level
//! leaves (etcd's `checkTxnRequest`). What etcd does when a comparison does not hold is to read some keys.

use crate::wire::{Outcome, Range};

/// etcd's limit, over the levels together.
pub const OPERATIONS_MAX: usize = 128;

/// How large a group is where nothing asks for smaller ones.
const GROUP: usize = OPERATIONS_MAX / 2;

/// The JSON of a transaction that does `operations` if all `comparisons` hold and makes `reads` otherwise.
/// There must be no more comparisons, and no more reads, than etcd takes.
pub fn json(comparisons: &[String], operations: &[String], reads: &[String]) -> String {
    if operations.len() <= OPERATIONS_MAX {
        return level(comparisons, operations, reads);
    }
    // The outer level counts as many as the longest of its lists has. When that leaves nothing, etcd says
    // that there are too many.
    let outer = comparisons.len().max(reads.len());
    let group = OPERATIONS_MAX.saturating_sub(outer).clamp(1, GROUP);
    let within = |chunk: &[String]| format!(r#"{{"request_txn":{}}}"#, level(&[], chunk, &[]));
    let groups: Vec<_> = operations.chunks(group).map(within).collect();
    level(comparisons, &groups, reads)
}

fn level(comparisons: &[String], operations: &[String], reads: &[String]) -> String {
    format!(
        r#"{{"compare":[{}],"success":[{}],"failure":[{}]}}"#,
        comparisons.join(","),
        operations.join(","),
        reads.join(",")
    )
}

/// What was read, in the order of the reads.
pub fn ranges(outcome: Outcome<'_>) -> Vec<Range<'_>> {
    outcome.responses.into_iter().filter_map(|response| response.response_range).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn numbered(count: usize) -> Vec<String> {
        (0..count).map(|number| number.to_string()).collect()
    }

    /// Counts as etcd does, and gives the operations in the order they happen.
    fn flatten(transaction: &Value, left: usize) -> Result<Vec<u64>, usize> {
        let list = |name: &str| transaction[name].as_array().unwrap();
        let count = ["compare", "success", "failure"].into_iter().map(|name| list(name).len()).max().unwrap();
        let left = left.checked_sub(count).ok_or(count)?;
        let mut all = Vec::new();
        for operation in list("success") {
            match operation.as_u64() {
                Some(number) => all.push(number),
                None => all.extend(flatten(&operation["request_txn"], left)?),
            }
        }
        Ok(all)
    }

    proptest! {
        #[test]
        fn etcd_takes_it_and_nothing_is_lost(comparisons in 0..=120_usize, reads in 0..=120_usize, operations in 0..=400_usize) {
            let transaction = json(&numbered(comparisons), &numbered(operations), &numbered(reads));
            let done = flatten(&serde_json::from_str(&transaction).unwrap(), OPERATIONS_MAX).unwrap();
            prop_assert!(done.into_iter().eq(0..operations as u64));
        }
    }

    #[test]
    fn the_limits_of_the_contract_fit() {
        let fits = |comparisons, operations| {
            let transaction = json(&numbered(comparisons), &numbered(operations), &numbered(comparisons));
            flatten(&serde_json::from_str(&transaction).unwrap(), OPERATIONS_MAX).is_ok()
        };
        assert!(fits(128, 128));
        assert!(fits(126, 129), "with the plugin's own");
        assert!(!fits(127, 129), "which etcd refuses, and says what to raise");
    }
}
