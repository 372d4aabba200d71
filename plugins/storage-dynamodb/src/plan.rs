//! What a write comes to in a given state: which condition breaks it, or which steps it takes.

use std::collections::{BTreeMap, BTreeSet};

use teleport_plugin_sdk::storage_backend::{Condition, Microseconds, Operation, Revision};

use crate::entry::{Content, Step};

/// What a write must know of an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known {
    /// The write that made it.
    pub revision: Revision,
    /// Until when it is one.
    pub expires: Option<Microseconds>,
}

impl Known {
    /// Whether it has ceased to be: an item ends at its expiry, not after it.
    pub fn is_over(&self, now: Microseconds) -> bool {
        self.expires.is_some_and(|end| end <= now)
    }
}

/// The items that are kept, expired or not, as far as a write is about them.
pub type State = BTreeMap<String, Known>;

/// The first condition that does not hold. No condition sees an expired item.
pub fn broken(conditions: &[Condition], state: &State, now: Microseconds) -> Option<u32> {
    let holds = |condition: &Condition| {
        let known = state.get(condition.key()).filter(|known| !known.is_over(now));
        match condition {
            Condition::Absent(_) => known.is_none(),
            Condition::Present(_) => known.is_some(),
            Condition::Unchanged(_, revision) => known.is_some_and(|known| known.revision == *revision),
        }
    };
    conditions.iter().position(|condition| !holds(condition)).and_then(|index| u32::try_from(index).ok())
}

/// The steps of the operations. An expired item that is still kept counts as one to be removed, so that
/// its end is told once. `contents` has the value of each put, by the number of the operation.
pub fn steps(operations: &[Operation], contents: &BTreeMap<usize, Content>, state: &State) -> Vec<Step> {
    let mut there: BTreeSet<String> = state.keys().cloned().collect();
    let mut steps = Vec::with_capacity(operations.len());
    for (number, operation) in operations.iter().enumerate() {
        match operation {
            Operation::Put { key, expires, value } => {
                there.insert(key.clone());
                let content = contents.get(&number).cloned().unwrap_or_else(|| Content::Here(value.clone()));
                steps.push(Step::Put { key: key.clone(), expires: *expires, content });
            }
            Operation::Delete(key) => {
                if there.remove(key) {
                    steps.push(Step::Delete { key: key.clone() });
                }
            }
            Operation::DeleteRange(prefix) => {
                let below: Vec<_> = there
                    .range(prefix.clone()..)
                    .take_while(|key| key.starts_with(prefix.as_str()))
                    .cloned()
                    .collect();
                for key in below {
                    there.remove(&key);
                    steps.push(Step::Delete { key });
                }
            }
        }
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(items: &[(&str, u64, Option<u64>)]) -> State {
        items
            .iter()
            .map(|(key, revision, expires)| {
                ((*key).to_owned(), Known { revision: *revision, expires: *expires })
            })
            .collect()
    }

    #[test]
    fn the_first_broken_condition_is_named_and_none_sees_what_expired() {
        let state = state(&[("/a", 3, None), ("/b", 4, Some(10))]);
        let absent = |key: &str| Condition::Absent(key.to_owned());
        let present = |key: &str| Condition::Present(key.to_owned());
        let unchanged = |key: &str, at| Condition::Unchanged(key.to_owned(), at);
        assert_eq!(
            broken(&[present("/a"), present("/b"), unchanged("/a", 3), absent("/c")], &state, 9),
            None
        );
        assert_eq!(broken(&[present("/a"), present("/b"), absent("/a")], &state, 10), Some(1));
        assert_eq!(broken(&[absent("/b"), unchanged("/b", 4)], &state, 10), Some(1));
        assert_eq!(broken(&[unchanged("/a", 2)], &state, 0), Some(0));
    }

    #[test]
    fn steps_come_in_the_order_of_operations_and_only_where_something_changes() {
        let put = |key: &str| Operation::Put { key: key.to_owned(), value: vec![], expires: None };
        let delete = |key: &str| Operation::Delete(key.to_owned());
        let operations = [
            put("/t/b"),
            delete("/t/never"),
            put("/t/a"),
            delete("/t/b"),
            Operation::DeleteRange("/t/".to_owned()),
            put("/t/a"),
            delete("/t0"),
        ];
        let kept = state(&[("/t/x", 1, None), ("/t/y", 1, Some(0)), ("/t0", 1, None), ("/tz/a", 1, None)]);
        let told: Vec<_> = steps(&operations, &BTreeMap::new(), &kept)
            .iter()
            .map(|step| match step {
                Step::Put { key, .. } => format!("+{key}"),
                Step::Delete { key } => format!("-{key}"),
            })
            .collect();
        assert_eq!(told, ["+/t/b", "+/t/a", "-/t/b", "-/t/a", "-/t/x", "-/t/y", "+/t/a", "-/t0"]);
    }
}
