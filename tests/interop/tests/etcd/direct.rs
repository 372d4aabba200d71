//! What the plugin relies on of etcd beyond what the suite sees.

use std::time::Duration;

use serde_json::json;
use storage_etcd::key::Keyspace;
use storage_etcd::outside::Outside;
use storage_etcd::revision;
use storage_etcd::settings::Settings;
use teleport_plugin_sdk::storage_backend::{Batch, Condition, Event, Failure, Operation};
use teleport_tests_interop::storage::MovedClock;

use crate::backend::{Instance, settings};
use crate::native::Native;
use crate::server::Etcd;

fn instance(etcd: &Etcd, prefix: &str) -> Instance {
    Instance::new(Native::new(&MovedClock::default()), &settings(&etcd.urls(), prefix))
}

fn put(key: &str, value: Vec<u8>) -> Operation {
    Operation::Put { key: key.to_owned(), value, expires: None }
}

fn short(batch: &Batch) -> Vec<String> {
    batch.events.iter().map(|event: &Event| storage_etcd::gather::short(event)).collect()
}

/// Everything after a revision.
fn all(instance: &mut Instance, mut after: u64, count: usize) -> Vec<Event> {
    let mut events = Vec::new();
    while events.len() < count {
        let batch = instance.next(after, 10, Duration::from_secs(10)).unwrap();
        assert!(!batch.events.is_empty(), "{} of {count} changes", events.len());
        after = batch.up_to;
        events.extend(batch.events);
    }
    events
}

#[test]
fn clusters_on_one_etcd_do_not_see_each_other() {
    let etcd = Etcd::start(1);
    let (mut one, mut other) = (instance(&etcd, "teleport"), instance(&etcd, "teleport2"));
    let start = one.write(&[], &[put("/a", vec![1])]).unwrap();
    other.write(&[], &[put("/a", vec![2]), put("/b", vec![2])]).unwrap();
    other.write(&[], &[Operation::DeleteRange("/".to_owned())]).unwrap();
    one.write(&[], &[put("/b", vec![1])]).unwrap();
    assert_eq!(one.range("/", None, 10).unwrap().items.len(), 2);
    assert_eq!(other.range("/", None, 10).unwrap().items.len(), 0);
    assert_eq!(all(&mut one, start, 1).len(), 1);
    assert_eq!(all(&mut other, start, 4).len(), 4);
}

#[test]
fn a_lease_that_is_gone_is_asked_for_again() {
    let etcd = Etcd::start(1);
    let mut one = instance(&etcd, "t");
    let clock = Native::new(&MovedClock::default());
    let beat = |one: &mut Instance| {
        let expires = Some(clock.now() + 600_000_000);
        let operations =
            (0..128).map(|number| Operation::Put { key: format!("/{number}"), value: vec![], expires });
        one.write(&[], &operations.collect::<Vec<_>>()).unwrap()
    };
    let revoke = || {
        let leases = etcd.call("/v3/lease/leases", &json!({}))["leases"].clone();
        for lease in leases.as_array().unwrap() {
            etcd.call("/v3/lease/revoke", &json!({ "ID": lease["ID"] }));
        }
    };
    beat(&mut one);
    revoke();
    beat(&mut one);
    assert!(one.get("/0").unwrap().is_some());
    revoke();
    let end = clock.now() + 600_000_000;
    let beats: Vec<_> = (0..9)
        .map(|number| Operation::Put { key: format!("/{number}"), value: vec![], expires: Some(end) })
        .collect();
    assert!(
        matches!(one.put_many(&beats), Err(Failure::TooLarge(text)) if text.contains("lease")),
        "nothing was changed"
    );
    assert_eq!(one.put_many(&beats).unwrap().len(), 9);
}

#[test]
fn as_many_conditions_and_operations_as_the_contract_has() {
    let etcd = Etcd::start(1);
    let mut one = instance(&etcd, "t");
    let keys: Vec<_> = (0..128).map(|number| format!("/k/{number}")).collect();
    let puts: Vec<_> = keys.iter().map(|key| put(key, vec![1])).collect();
    let absent: Vec<_> = keys.iter().cloned().map(Condition::Absent).collect();
    let first = one.write(&absent, &puts).unwrap();
    assert_eq!(one.write(&absent, &puts), Err(Failure::Conflict(0)));
    let unchanged: Vec<_> = keys.iter().map(|key| Condition::Unchanged(key.clone(), first)).collect();
    let second = one.write(&unchanged, &puts).unwrap();
    let present: Vec<_> = keys.iter().cloned().map(Condition::Present).collect();
    // Each key twice, with a range over all: half of it is journal.
    let mut twice: Vec<_> = keys.iter().take(63).map(|key| put(key, vec![2])).collect();
    twice.push(Operation::DeleteRange("/k/".to_owned()));
    twice.extend(keys.iter().take(64).map(|key| put(key, vec![3])));
    assert_eq!(twice.len(), 128);
    let third = one.write(&present[..100], &twice).unwrap();
    assert_eq!(one.range("/k/", None, 200).unwrap().items.len(), 64);
    let mut again = instance(&etcd, "t");
    // Of the third: 63 puts, 128 removed, 64 puts.
    let events = all(&mut again, second, 255);
    assert!(events.len() == 255 && events.iter().all(|event| event.revision == third));
    let none: Vec<_> = keys.iter().cloned().map(Operation::Delete).collect();
    let fourth = one.write(&[], &none).unwrap();
    assert!(one.write(&absent[..126], &none).unwrap() > fourth, "nothing to change is a write too");
    assert_eq!(one.write(&present, &none), Err(Failure::Conflict(0)));
}

#[test]
fn puts_that_went_together_are_writes_of_their_own() {
    let etcd = Etcd::start(1);
    let mut one = instance(&etcd, "t");
    let keys: Vec<_> = (0..64).map(|number| format!("/k/{number:02}")).collect();
    let now = Native::new(&MovedClock::default()).now();
    let ends = |number: usize| number.is_multiple_of(3).then_some(now + 600_000_000);
    let of = |(number, key): (usize, &String)| Operation::Put {
        key: key.clone(),
        value: vec![1],
        expires: ends(number),
    };
    let puts: Vec<_> = keys.iter().enumerate().map(of).collect();
    let before = one.write(&[], &puts).unwrap();
    let revisions = one.put_many(&puts).unwrap();
    assert!(before < revisions[0] && revisions.is_sorted_by(|one, next| one < next));
    assert_eq!(revision::etcd(revisions[0]), revision::etcd(revisions[63]), "one transaction of etcd's");
    let items = one.range("/k/", None, 100).unwrap().items;
    let found: Vec<_> = items.iter().map(|item| (item.revision, item.expires)).collect();
    let expected: Vec<_> = revisions.iter().enumerate().map(|(number, at)| (*at, ends(number))).collect();
    assert_eq!(found, expected);
    for known in [0, 1, 30, 62] {
        let events = all(&mut instance(&etcd, "t"), revisions[known], 63 - known);
        let told: Vec<_> = events.iter().map(|event| event.revision).collect();
        assert_eq!(told, revisions[known + 1..], "after a part of them is known");
    }
    let unchanged = |key: usize, at: usize| Condition::Unchanged(keys[key].clone(), revisions[at]);
    // What is compared first holds where it should, so that no second try is needed.
    let space = Keyspace::new(&settings(&etcd.urls(), "t").prefix);
    for (key, at) in [(1_usize, 1), (1, 2), (62, 62), (62, 61), (1, 0), (2, 2)] {
        let compare: Vec<serde_json::Value> = storage_etcd::condition::first(&[unchanged(key, at)], &space)
            .iter()
            .map(|compare| serde_json::from_str(compare).unwrap())
            .collect();
        let has_lease = key.is_multiple_of(3);
        let holds = etcd.call("/v3/kv/txn", &json!({ "compare": compare }))["succeeded"] == true;
        assert_eq!(holds, key == at && !has_lease, "{key} as of {at}");
    }
    for (key, at) in [(0, 1), (1, 0), (1, 2), (2, 3), (3, 2), (63, 62)] {
        assert_eq!(one.write(&[unchanged(key, at)], &[]), Err(Failure::Conflict(0)), "{key} as of {at}");
        let last_wrong: Vec<_> =
            (4..12).map(|other| unchanged(other, other)).chain([unchanged(key, at)]).collect();
        assert_eq!(one.write(&last_wrong, &[]), Err(Failure::Conflict(8)), "beside others");
    }
    let all_unchanged: Vec<_> = (0..64).map(|key| unchanged(key, key)).collect();
    let after = one.write(&all_unchanged, &puts).unwrap();
    assert!(revisions[63] < after);
    assert_eq!(one.get(&keys[7]).unwrap().unwrap().revision, after, "the write of all is a single one");
}

#[test]
fn after_a_part_of_puts_that_went_together_all_is_told_or_none() {
    let etcd = Etcd::start(1);
    let mut one = instance(&etcd, "t");
    let puts: Vec<_> = (0..9).map(|number| put(&format!("/{number}"), vec![1])).collect();
    let revisions = one.put_many(&puts).unwrap();
    let resume = |at: usize| instance(&etcd, "t").next(revisions[at], 100, Duration::from_secs(10));
    one.write(&[], &[put("/0", vec![2]), Operation::Delete("/5".to_owned())]).unwrap();
    assert_eq!(resume(3).unwrap().events[..5].len(), 5);
    // Exactly at them, and past them.
    etcd.compact_at(revision::etcd(revisions[0]));
    assert!(matches!(resume(3), Err(Failure::Compacted(_))), "etcd may have dropped some");
    assert_eq!(short(&resume(8).unwrap()), ["+/0=\u{2}", "-/5"]);
    etcd.compact();
    assert!(matches!(resume(8), Err(Failure::Compacted(_))));
}

#[test]
fn large_revisions_are_told_whole_however_etcd_cuts_them() {
    let etcd = Etcd::start_with(1, &["--max-request-bytes=9437184"]);
    let mut one = instance(&etcd, "t");
    let start = one.current().unwrap();
    let value = |number: u8| vec![number; 1_000_000];
    for round in 0..3 {
        let puts: Vec<_> = (0..8).map(|number| put(&format!("/{number}"), value(round))).collect();
        one.write(&[], &puts).unwrap();
    }
    let mut watcher = instance(&etcd, "t");
    let events = all(&mut watcher, start, 24);
    assert_eq!(events.len(), 24);
    let page = one.range("/", None, 1000).unwrap();
    assert!(!page.items.is_empty() && page.more, "pages are bounded in bytes");
    let too_large: Vec<_> = (0..20).map(|number| put(&format!("/{number}"), value(9))).collect();
    assert!(
        matches!(one.write(&[], &too_large), Err(Failure::TooLarge(text)) if text.contains("--max-request-bytes"))
    );
    assert_eq!(one.get("/0").unwrap().unwrap().value, value(2), "nothing of it happened");
}

#[test]
fn a_watch_that_was_away_too_long_is_told_so() {
    let etcd = Etcd::start(1);
    let mut one = instance(&etcd, "t");
    let first = one.write(&[], &[put("/a", vec![1])]).unwrap();
    one.write(&[], &[put("/a", vec![2])]).unwrap();
    let last = one.write(&[], &[Operation::Delete("/a".to_owned())]).unwrap();
    etcd.compact();
    let mut watcher = instance(&etcd, "t");
    for gone in [0, first, last - 1] {
        let refused = watcher.next(gone, 10, Duration::ZERO);
        assert!(matches!(refused, Err(Failure::Compacted(from)) if from >= last), "{gone}: {refused:?}");
    }
    assert!(
        matches!(watcher.next(last + 1, 10, Duration::ZERO), Err(Failure::Compacted(_))),
        "still to come"
    );
    assert_eq!(watcher.next(last, 10, Duration::ZERO).unwrap().up_to, last);
    one.write(&[], &[put("/b", b"3".to_vec())]).unwrap();
    assert_eq!(short(&watcher.next(last, 10, Duration::from_secs(10)).unwrap()), ["+/b=3"]);
}

#[test]
fn what_is_not_etcds_gateway_is_named() {
    let etcd = Etcd::start_with(1, &["--max-txn-ops=10"]);
    let mut one = instance(&etcd, "t");
    let many: Vec<_> = (0..128).map(|number| put(&format!("/{number}"), vec![1])).collect();
    assert!(matches!(one.write(&[], &many), Err(Failure::Invalid(text)) if text.contains("--max-txn-ops")));
    let other = Settings { peers: vec![format!("{}/elsewhere", etcd.urls())], ..settings(&etcd.urls(), "t") };
    let mut lost = Instance::new(Native::new(&MovedClock::default()), &other);
    assert!(matches!(lost.open(), Err(Failure::Invalid(text)) if text.contains("gateway")));
}
