//! The JSON of a transaction, however many operations and comparisons it has.
//!
//! etcd counts what a level of a transaction has, the longest of its lists, and takes 128 over the levels
//! that lie in one another (its default of `--max-txn-ops`; `checkTxnRequest`). So what is more goes in groups
//! beside each other, each a transaction within the transaction, which happens with it or not at all.
//!
//! A comparison within a group decides for that group alone. It is made to decide for all: where it does
//! not hold, the group reads at a revision that is still to come, which etcd refuses before anything of the whole
//! is done (`checkRequests` looks at the branches that would be taken, all comparisons having been made
//! against what was there before). Such a transaction says only that something did not hold.

use crate::wire::{Outcome, Range};

/// etcd's limit, over the levels that lie in one another.
const OPERATIONS_MAX: usize = 128;

/// How large a group is.
const GROUP: usize = OPERATIONS_MAX / 2;

/// The most groups, and with them the most comparisons and operations of one transaction.
const GROUPS_MAX: usize = OPERATIONS_MAX - GROUP;

/// A read that no etcd does: its revision will never come.
const NEVER: &str = r#"{"request_range":{"key":"AA==","revision":"9223372036854775807","count_only":true}}"#;

/// The JSON of a transaction that does `operations` if all `comparisons` hold. Where one does not, the
/// answer either has what `reads` read, or is the refusal of a revision that is still to come.
///
/// There must be no more than 4,096 comparisons and operations, and no more than 128 reads.
pub fn json(comparisons: &[String], operations: &[String], reads: &[String]) -> String {
    debug_assert!(comparisons.len().div_ceil(GROUP) + operations.len().div_ceil(GROUP) <= GROUPS_MAX);
    let outer = comparisons.len().max(reads.len());
    if outer <= OPERATIONS_MAX && operations.len() <= OPERATIONS_MAX {
        return level(comparisons, operations, reads);
    }
    if outer <= GROUPS_MAX && operations.len() <= GROUPS_MAX * GROUP {
        let groups: Vec<_> = operations.chunks(GROUP).map(|group| within(&[], group, &[])).collect();
        return level(comparisons, &groups, reads);
    }
    let never = [NEVER.to_owned()];
    let demands = comparisons.chunks(GROUP).map(|group| within(group, &[], &never));
    let groups = operations.chunks(GROUP).map(|group| within(&[], group, &[]));
    level(&[], &demands.chain(groups).collect::<Vec<_>>(), &[])
}

/// The JSON of a transaction that only reads.
pub fn reading(reads: &[String]) -> String {
    level(&[], reads, &[])
}

fn within(comparisons: &[String], operations: &[String], otherwise: &[String]) -> String {
    format!(r#"{{"request_txn":{}}}"#, level(comparisons, operations, otherwise))
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

    /// What etcd makes of it.
    #[derive(Debug, PartialEq)]
    enum Outcome {
        /// These happen, in this order.
        Done(Vec<u64>),
        /// None does; so many reads are answered.
        Read(usize),
        /// None does, for a read was refused.
        Refused,
    }

    fn list<'a>(transaction: &'a Value, name: &str) -> &'a Vec<Value> {
        transaction[name].as_array().unwrap()
    }

    /// Counts as etcd does.
    fn fits(transaction: &Value, left: usize) -> bool {
        let count = ["compare", "success", "failure"].map(|name| list(transaction, name).len());
        let Some(left) = left.checked_sub(count.into_iter().max().unwrap()) else { return false };
        let branches = list(transaction, "success").iter().chain(list(transaction, "failure"));
        branches.filter_map(|operation| operation.get("request_txn")).all(|inner| fits(inner, left))
    }

    /// Does as etcd does. A comparison is a number, and holds if it is not that of the broken one.
    fn apply(transaction: &Value, broken: Option<u64>) -> Outcome {
        let holds = list(transaction, "compare").iter().all(|number| number.as_u64() != broken);
        let mut done = Vec::new();
        for operation in list(transaction, if holds { "success" } else { "failure" }) {
            match (operation.as_u64(), operation.get("request_txn")) {
                (Some(number), _) => done.push(number),
                (None, None) => return Outcome::Refused,
                (None, Some(inner)) => match apply(inner, broken) {
                    Outcome::Done(inner) => done.extend(inner),
                    _ => return Outcome::Refused,
                },
            }
        }
        if holds { Outcome::Done(done) } else { Outcome::Read(done.len()) }
    }

    proptest! {
        #[test]
        fn etcd_takes_it_and_it_happens_whole_or_not_at_all(
            comparisons in 0..=600_usize, reads in 0..=128_usize, operations in 0..=400_usize, which in any::<prop::sample::Index>()
        ) {
            let transaction = json(&numbered(comparisons), &numbered(operations), &numbered(reads));
            let transaction = serde_json::from_str(&transaction).unwrap();
            prop_assert!(fits(&transaction, OPERATIONS_MAX));
            prop_assert_eq!(apply(&transaction, None), Outcome::Done((0..operations as u64).collect()));
            if comparisons > 0 {
                let broken = apply(&transaction, Some(which.index(comparisons) as u64));
                prop_assert!(broken == Outcome::Refused || broken == Outcome::Read(reads), "{broken:?}");
            }
        }
    }

    #[test]
    fn a_usual_write_is_told_what_there_is_in_the_same_answer() {
        let transaction = json(&numbered(100), &numbered(128), &numbered(100));
        let transaction = serde_json::from_str(&transaction).unwrap();
        assert_eq!(apply(&transaction, Some(7)), Outcome::Read(100));
    }
}
