//! A model of etcd runs plans, and the journal is read back from what it would tell.

use proptest::prelude::*;
use teleport_plugin_sdk::storage_backend::{Change, Event, Item};

use super::*;
use crate::journal::Raw;

fn put(key: &str, value: u8) -> Operation {
    Operation::Put { key: key.to_owned(), value: vec![value], expires: None }
}

fn space() -> Keyspace {
    Keyspace::new("/p")
}

/// Keys that are close to each other, with ranges that hold some of them.
fn operation() -> impl Strategy<Value = Operation> {
    let key = prop::sample::select(vec!["/a", "/a/", "/a/1", "/a/1/x", "/a/2", "/a0", "/b", "//", "/"]);
    let prefix = prop::sample::select(vec!["/", "/a/", "/a/1/", "/b/", "//"]);
    prop_oneof![
        (key.clone(), any::<u8>()).prop_map(|(key, value)| put(key, value)),
        key.prop_map(|key| Operation::Delete(key.to_owned())),
        prefix.prop_map(|prefix| Operation::DeleteRange(prefix.to_owned())),
    ]
}

/// How many writes a key has seen since it was made, and its value.
type Content = BTreeMap<String, (u64, u8)>;

/// What the operations do one after the other, and every step of it.
fn model(content: &mut Content, operations: &[Operation]) -> Vec<(String, Option<u8>)> {
    let mut told = Vec::new();
    for operation in operations {
        match operation {
            Operation::Put { key, value, .. } => {
                content.insert(key.clone(), (1, value[0]));
                told.push((key.clone(), Some(value[0])));
            }
            Operation::Delete(key) => {
                if content.remove(key).is_some() {
                    told.push((key.clone(), None));
                }
            }
            Operation::DeleteRange(prefix) => {
                let below: Vec<_> = content.keys().filter(|key| key.starts_with(prefix)).cloned().collect();
                for key in below {
                    content.remove(&key);
                    told.push((key, None));
                }
            }
        }
    }
    told
}

/// What etcd does of a plan, and what it tells.
fn etcd(content: &mut Content, plan: &Plan, operations: &[Operation]) -> Vec<Raw> {
    let mut raw = Vec::new();
    let remove = |content: &mut Content, raw: &mut Vec<Raw>, keys: Vec<String>| {
        for key in keys {
            content.remove(&key);
            raw.push(Raw::Delete(key));
        }
    };
    for action in &plan.actions {
        match action {
            Action::Put(index) => {
                let Operation::Put { key, value, .. } = &operations[*index] else { panic!("a put") };
                let version = content.get(key).map_or(0, |(version, _)| *version) + 1;
                content.insert(key.clone(), (version, value[0]));
                let item = Item { key: key.clone(), value: value.clone(), revision: 9, expires: None };
                raw.push(Raw::Put { item, replaced: version > 1 });
            }
            Action::Delete(key) => {
                let there = content.contains_key(key).then(|| key.clone());
                remove(content, &mut raw, there.into_iter().collect());
            }
            Action::DeleteSpan(span) => {
                let inside = |key: &&String| {
                    let full = space().full(key);
                    span.start <= full && full < span.end
                };
                let keys = content.keys().filter(inside).cloned().collect();
                remove(content, &mut raw, keys);
            }
        }
    }
    raw
}

fn short(events: Vec<Event>) -> Vec<(String, Option<u8>)> {
    let of = |event: Event| match event.change {
        Change::Put(item) => (item.key, Some(item.value[0])),
        Change::Delete(key) => (key, None),
    };
    events.into_iter().map(of).collect()
}

/// What etcd refuses.
fn is_refused(plan: &Plan, operations: &[Operation]) -> bool {
    let keys: Vec<_> = plan
        .actions
        .iter()
        .filter_map(|action| match action {
            Action::Put(index) => match &operations[*index] {
                Operation::Put { key, .. } => Some(key.clone()),
                _ => None,
            },
            _ => None,
        })
        .collect();
    let twice = keys.iter().collect::<BTreeSet<_>>().len() < keys.len();
    twice
        || plan.actions.iter().any(|action| match action {
            Action::Put(_) => false,
            Action::Delete(key) => keys.contains(key),
            Action::DeleteSpan(span) => keys.iter().any(|key| {
                let full = space().full(key);
                span.start <= full && full < span.end
            }),
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn a_plan_does_what_its_operations_do_and_its_journal_tells_every_step(
        before in prop::collection::btree_map(prop::sample::select(vec!["/a", "/a/1", "/a/1/x", "/a/2", "/b", "//"]), any::<u8>(), 0..6),
        operations in prop::collection::vec(operation(), 0..8),
    ) {
        let before: Content = before.into_iter().map(|(key, value)| (key.to_owned(), (1, value))).collect();
        let plan = Plan::new(&[], &operations, &space());
        prop_assert!(!is_refused(&plan, &operations), "{plan:?}");
        let (mut expected, mut content) = (before.clone(), before);
        let told = model(&mut expected, &operations);
        let raw = etcd(&mut content, &plan, &operations);
        let values = |content: &Content| content.iter().map(|(key, (_, value))| (key.clone(), *value)).collect::<Vec<_>>();
        prop_assert_eq!(values(&content), values(&expected));
        let changes = !raw.is_empty() || plan.journal.is_some();
        prop_assert!(changes, "every write takes a revision");
        let events = match plan.journal.as_deref().and_then(|journal| journal::decode(journal).unwrap()) {
            Some(steps) => journal::replay(9, steps, raw).unwrap(),
            None => journal::plain(9, raw),
        };
        prop_assert_eq!(short(events), told);
    }
}

#[test]
fn a_journal_is_kept_only_where_it_is_needed() {
    let journal = |conditions: &[Condition], operations: &[Operation]| {
        Plan::new(conditions, operations, &space()).journal.map(|journal| !journal.is_empty())
    };
    let delete = |key: &str| Operation::Delete(key.to_owned());
    let range = |prefix: &str| Operation::DeleteRange(prefix.to_owned());
    assert_eq!(journal(&[], &[put("/a", 1), delete("/b")]), None, "a put is a change");
    assert_eq!(journal(&[Condition::Present("/a".into())], &[delete("/a")]), None, "it is there");
    assert_eq!(journal(&[], &[delete("/a")]), Some(false), "perhaps it is not");
    assert_eq!(journal(&[], &[range("/")]), Some(false));
    assert_eq!(journal(&[], &[]), Some(false));
    assert_eq!(journal(&[], &[put("/a", 1), put("/a", 2)]), Some(true));
    assert_eq!(journal(&[], &[range("/a/"), put("/a/1", 2)]), Some(true));
    assert_eq!(journal(&[], &[range("/a/"), put("/a", 2)]), None, "the folder's own name is not in it");
    assert_eq!(
        journal(&[], &[range("/a/"), delete("/a/1"), delete("/a/1")]),
        Some(false),
        "etcd may do that"
    );
}

#[test]
fn only_values_that_pass_are_noted() {
    let large = |value| Operation::Put { key: "/a".to_owned(), value: vec![value; 1000], expires: None };
    let once = Plan::new(&[], &[Operation::DeleteRange("/".to_owned()), large(1)], &space());
    assert!(once.journal.unwrap().len() < 100, "what is stored is not noted again");
    let twice = Plan::new(&[], &[large(1), large(2)], &space());
    assert!(twice.journal.unwrap().len() > 1000);
}

#[test]
fn a_plan_is_json() {
    let operations =
        [put("/a", 1), Operation::DeleteRange("/b/".to_owned()), Operation::Delete("/\u{0}\"".to_owned())];
    let plan = Plan::new(&[], &operations, &space());
    let all = json(&plan, &operations, &BTreeMap::from([(0, 77)]), &space());
    let all: Vec<serde_json::Value> = all.iter().map(|text| serde_json::from_str(text).unwrap()).collect();
    assert_eq!(all[0]["request_put"]["lease"], "77");
    assert_eq!(all[1]["request_delete_range"]["range_end"], text(b"/p/b0"));
    assert!(all[2]["request_delete_range"]["range_end"].is_null());
}

#[test]
fn one_put_alone_is_no_transaction() {
    let of = |operations: &[Operation]| {
        let plan = Plan::new(&[], operations, &space());
        alone(&plan, operations, &BTreeMap::from([(0, 77)]), &space())
    };
    let put_of_it: serde_json::Value = serde_json::from_str(&of(&[put("/a", 1)]).unwrap()).unwrap();
    assert_eq!((&put_of_it["key"], &put_of_it["lease"]), (&text(b"/p/a").into(), &"77".into()));
    for more in [&[][..], &[put("/a", 1), put("/b", 1)], &[put("/a", 1), put("/a", 2)]] {
        assert_eq!(of(more), None);
    }
    assert_eq!(of(&[Operation::Delete("/a".to_owned())]), None);
}
