//! What a write does in etcd: operations that do not touch each other, and what to note beside them.
//!
//! etcd refuses a transaction that puts a key twice, or puts one it also removes. Such a write is
//! reduced to what is left of it in the end, and a journal tells its steps to watches. Any other is
//! given to etcd as it is. A write that might change nothing notes an empty journal: that takes a
//! revision, as every write must.

use std::collections::{BTreeMap, BTreeSet};

use teleport_plugin_sdk::storage_backend::{Condition, Operation};

use crate::envelope;
use crate::journal::{self, Step};
use crate::key::{Keyspace, Span, text};
use crate::revision::PLACES;

/// What etcd does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Puts the value of this operation, counted from zero.
    Put(usize),
    /// Removes a key.
    Delete(String),
    /// Removes all of a span.
    DeleteSpan(Span),
}

/// What a write does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// In this order; none touches another's keys, but that two may remove the same.
    pub actions: Vec<Action>,
    /// What to put under the plugin's own key, if anything.
    pub journal: Option<Vec<u8>>,
    /// Whether each operation is a write of its own, in their order.
    pub each: bool,
}

impl Plan {
    /// Makes a plan.
    pub fn new(conditions: &[Condition], operations: &[Operation], space: &Keyspace) -> Self {
        if overlap(operations) {
            return reduced(operations, space);
        }
        let actions = operations.iter().enumerate().map(|(index, operation)| match operation {
            Operation::Put { .. } => Action::Put(index),
            Operation::Delete(key) => Action::Delete(key.clone()),
            Operation::DeleteRange(prefix) => Action::DeleteSpan(space.below(prefix)),
        });
        let journal = (!surely_changes(conditions, operations)).then(Vec::new);
        Self { actions: actions.collect(), journal, each: false }
    }

    /// A plan for puts that are writes of their own; no two are of the same key.
    pub fn each(puts: &[Operation]) -> Self {
        debug_assert!(puts.len() <= usize::from(PLACES));
        Self { actions: (0..puts.len()).map(Action::Put).collect(), journal: None, each: true }
    }

    /// How many writes come behind that of an operation.
    fn behind(&self, index: usize) -> u8 {
        let behind = if self.each { self.actions.len().saturating_sub(index + 1) } else { 0 };
        u8::try_from(behind).unwrap_or(u8::MAX)
    }
}

/// Whether a put meets another operation.
fn overlap(operations: &[Operation]) -> bool {
    let (mut puts, mut deletes, mut prefixes) = (BTreeSet::new(), BTreeSet::new(), Vec::new());
    for operation in operations {
        match operation {
            Operation::Put { key, .. } if !puts.insert(key.as_str()) => return true,
            Operation::Put { .. } => {}
            Operation::Delete(key) => drop(deletes.insert(key.as_str())),
            Operation::DeleteRange(prefix) => prefixes.push(prefix.as_str()),
        }
    }
    puts.iter().any(|key| deletes.contains(key) || prefixes.iter().any(|prefix| key.starts_with(prefix)))
}

/// Whether there is something to change whenever the conditions hold.
fn surely_changes(conditions: &[Condition], operations: &[Operation]) -> bool {
    let there = |key: &String| {
        conditions.iter().any(|condition| match condition {
            Condition::Present(of) | Condition::Unchanged(of, _) => of == key,
            Condition::Absent(_) => false,
        })
    };
    operations.iter().any(|operation| match operation {
        Operation::Put { .. } => true,
        Operation::Delete(key) => there(key),
        Operation::DeleteRange(_) => false,
    })
}

/// What is left of operations that touch each other, with a journal of all of them.
fn reduced(operations: &[Operation], space: &Keyspace) -> Plan {
    let left = left(operations);
    let (mut actions, mut prefixes) = (Vec::new(), outermost(operations));
    prefixes.sort_unstable();
    for (key, put) in &left {
        match put {
            Some(index) => actions.push(Action::Put(*index)),
            // Nothing is lost when it lies in one of the spans below as well.
            None => actions.push(Action::Delete((*key).to_owned())),
        }
    }
    let puts: Vec<_> = left.iter().filter(|(_, put)| put.is_some()).map(|(key, _)| space.full(key)).collect();
    for prefix in prefixes {
        actions.extend(around(space.below(prefix), &puts).into_iter().map(Action::DeleteSpan));
    }
    let steps: Vec<_> =
        operations.iter().enumerate().map(|(index, operation)| step(index, operation, &left)).collect();
    Plan { actions, journal: Some(journal::encode(&steps)), each: false }
}

/// The keys that are named, each with the put that is left of it, if one is.
fn left(operations: &[Operation]) -> BTreeMap<&str, Option<usize>> {
    let mut left = BTreeMap::new();
    for (index, operation) in operations.iter().enumerate() {
        match operation {
            Operation::Put { key, .. } => drop(left.insert(key.as_str(), Some(index))),
            Operation::Delete(key) => drop(left.insert(key.as_str(), None)),
            Operation::DeleteRange(prefix) => {
                let inside = left.iter_mut().filter(|(key, _)| key.starts_with(prefix.as_str()));
                inside.for_each(|(_, put)| *put = None);
            }
        }
    }
    left
}

/// The prefixes of ranges that lie in no other of them.
fn outermost(operations: &[Operation]) -> Vec<&str> {
    let mut outermost: Vec<&str> = Vec::new();
    for operation in operations {
        let Operation::DeleteRange(prefix) = operation else { continue };
        if !outermost.iter().any(|outer| prefix.starts_with(outer)) {
            outermost.retain(|inner| !inner.starts_with(prefix.as_str()));
            outermost.push(prefix);
        }
    }
    outermost
}

/// A span without these keys, which are in order.
fn around(span: Span, keys: &[Vec<u8>]) -> Vec<Span> {
    let Span { mut start, end } = span;
    let mut pieces = Vec::new();
    for key in keys.iter().filter(|key| **key < end) {
        if *key < start {
            continue;
        }
        if start < *key {
            pieces.push(Span { start, end: key.clone() });
        }
        // The next key there can be.
        start = [key.as_slice(), b"\0"].concat();
    }
    if start < end {
        pieces.push(Span { start, end });
    }
    pieces
}

fn step(index: usize, operation: &Operation, left: &BTreeMap<&str, Option<usize>>) -> Step {
    match operation {
        Operation::Put { key, .. } if left.get(key.as_str()) == Some(&Some(index)) => {
            Step::Stored(key.clone())
        }
        Operation::Put { key, value, expires } => {
            Step::Passing(key.clone(), envelope::seal(0, *expires, value))
        }
        Operation::Delete(key) => Step::Delete(key.clone()),
        Operation::DeleteRange(prefix) => Step::DeleteRange(prefix.clone()),
    }
}

/// The JSON of a plan's operations. `leases` are those of the puts, by the number of their operation.
pub fn json(
    plan: &Plan,
    operations: &[Operation],
    leases: &BTreeMap<usize, u64>,
    space: &Keyspace,
) -> Vec<String> {
    let put = |put: String| format!(r#"{{"request_put":{put}}}"#);
    let mut all = Vec::with_capacity(plan.actions.len() + 1);
    for action in &plan.actions {
        match action {
            Action::Put(index) => {
                all.extend(put_of(plan, *index, operations, leases, space).map(put));
            }
            Action::Delete(key) => {
                all.push(format!(r#"{{"request_delete_range":{{"key":"{}"}}}}"#, space.json(key)));
            }
            Action::DeleteSpan(span) => {
                all.push(format!(r#"{{"request_delete_range":{{{}}}}}"#, span.json()));
            }
        }
    }
    if let Some(journal) = &plan.journal {
        all.push(put(put_json(&space.own(), journal, None)));
    }
    all
}

/// The JSON of a plan that is one put and nothing else: etcd has a request of its own for that, which costs it
/// a third less than a transaction.
pub fn alone(
    plan: &Plan,
    operations: &[Operation],
    leases: &BTreeMap<usize, u64>,
    space: &Keyspace,
) -> Option<String> {
    match (plan.actions.as_slice(), &plan.journal) {
        ([Action::Put(index)], None) => put_of(plan, *index, operations, leases, space),
        _ => None,
    }
}

fn put_of(
    plan: &Plan,
    index: usize,
    operations: &[Operation],
    leases: &BTreeMap<usize, u64>,
    space: &Keyspace,
) -> Option<String> {
    let Some(Operation::Put { key, value, expires }) = operations.get(index) else { return None };
    let value = envelope::seal(plan.behind(index), *expires, value);
    Some(put_json(&space.full(key), &value, leases.get(&index).copied()))
}

fn put_json(key: &[u8], value: &[u8], lease: Option<u64>) -> String {
    let lease = lease.map(|lease| format!(r#","lease":"{lease}""#)).unwrap_or_default();
    format!(r#"{{"key":"{}","value":"{}"{lease}}}"#, text(key), text(value))
}

#[cfg(test)]
mod tests;
