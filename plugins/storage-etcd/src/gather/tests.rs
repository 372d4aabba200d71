//! Lines as etcd writes them.

use serde_json::{Value, json};
use teleport_plugin_sdk::storage_backend::Condition;
use teleport_plugin_sdk::storage_backend::Operation;

use super::*;
use crate::envelope;
use crate::key::text;
use crate::plan::Plan;
use crate::revision::last_of;

fn space() -> Keyspace {
    Keyspace::new("/p")
}

fn put(revision: u64, key: &str, value: &str, version: u64) -> Value {
    let (key, value) = (text(&space().full(key)), text(&envelope::seal(0, None, value.as_bytes())));
    json!({ "kv": { "key": key, "value": value, "mod_revision": revision.to_string(), "version": version.to_string() } })
}

fn delete(revision: u64, key: &str) -> Value {
    json!({ "type": "DELETE", "kv": { "key": text(&space().full(key)), "mod_revision": revision.to_string() } })
}

fn own(revision: u64, journal: &[u8]) -> Value {
    json!({ "kv": { "key": text(&space().own()), "value": text(journal), "mod_revision": revision.to_string() } })
}

fn line(events: Vec<Value>, more: &Value) -> Vec<u8> {
    let mut result = json!({ "header": { "revision": "99" }, "events": events });
    result.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    serde_json::to_vec(&json!({ "result": result })).unwrap()
}

fn told(gather: &mut Gather, limit: usize) -> (Vec<String>, u64) {
    let batch = gather.tell(limit);
    let of = |event: &Event| match (revision::etcd(event.revision), revision::behind(event.revision)) {
        (at, 0) => format!("{at}{}", short(event)),
        (at, behind) => format!("{at}/{behind}{}", short(event)),
    };
    assert_eq!(batch.up_to, last_of(revision::etcd(batch.up_to)), "all of one of etcd's");
    (batch.events.iter().map(of).collect(), revision::etcd(batch.up_to))
}

#[test]
fn a_revision_is_told_whole_and_what_is_known_is_not_told_again() {
    let mut gather = Gather::after(last_of(3));
    let events = vec![put(3, "/old", "x", 1), put(4, "/a", "1", 1), delete(4, "/b"), put(5, "/c", "1", 1)];
    assert_eq!(gather.line(&line(events, &json!({})), &space()), Ok(Line::On));
    assert_eq!(
        told(&mut gather, 1),
        (vec!["4+/a=1".to_owned(), "4-/b".to_owned()], 4),
        "more than one, but one revision"
    );
    assert_eq!(told(&mut gather, 9), (vec!["5+/c=1".to_owned()], 5));
    assert_eq!(told(&mut gather, 9), (vec![], 5), "the header of changes is no promise");
}

#[test]
fn of_puts_that_went_together_those_after_the_one_that_is_known_are_told() {
    let followed = |key: &str, behind| {
        let mut event = put(4, key, "", 1);
        event["kv"]["value"] = text(&envelope::seal(behind, None, b"1")).into();
        event
    };
    let events = || vec![followed("/a", 2), followed("/b", 1), put(4, "/c", "1", 1), put(5, "/d", "1", 1)];
    let all = ["4/2+/a=1", "4/1+/b=1", "4+/c=1", "5+/d=1"];
    let part =
        [(63, 0), (3, 0), (2, 1), (1, 2), (0, 3)].map(|(behind, known)| (revision::of(4, behind), known));
    for (after, known) in part.into_iter().chain([(0, 0), (last_of(3), 0), (last_of(5), 4)]) {
        let mut gather = Gather::after(after);
        gather.line(&line(events(), &json!({})), &space()).unwrap();
        assert_eq!(told(&mut gather, 9), (all[known..].iter().map(|text| (*text).to_owned()).collect(), 5));
    }
}

#[test]
fn a_revision_in_several_lines_waits_for_its_last() {
    let mut gather = Gather::after(0);
    gather
        .line(&line(vec![put(4, "/a", "1", 1), put(5, "/b", "1", 1)], &json!({ "fragment": true })), &space())
        .unwrap();
    assert_eq!(told(&mut gather, 9), (vec!["4+/a=1".to_owned()], 4));
    assert!(!gather.is_ready());
    gather.line(&line(vec![delete(5, "/c")], &json!({})), &space()).unwrap();
    assert_eq!(told(&mut gather, 9), (vec!["5+/b=1".to_owned(), "5-/c".to_owned()], 5));
}

#[test]
fn progress_is_told_and_a_beginning_is_none() {
    let mut gather = Gather::after(last_of(7));
    gather.line(&line(vec![], &json!({ "created": true })), &space()).unwrap();
    assert_eq!(told(&mut gather, 9), (vec![], 7));
    gather.line(&line(vec![], &json!({})), &space()).unwrap();
    assert_eq!(told(&mut gather, 9), (vec![], 99));
}

#[test]
fn a_write_that_changed_nothing_moves_on_and_tells_nothing() {
    let mut gather = Gather::after(0);
    gather.line(&line(vec![own(4, b"")], &json!({})), &space()).unwrap();
    assert!(!gather.is_ready());
    assert_eq!(told(&mut gather, 9), (vec![], 4));
}

#[test]
fn a_journal_takes_the_place_of_the_changes() {
    let put_of = |key: &str, value: &str| Operation::Put {
        key: key.to_owned(),
        value: value.as_bytes().to_vec(),
        expires: None,
    };
    let operations = [
        put_of("/b", "1"),
        Operation::Delete("/never".to_owned()),
        put_of("/a", "1"),
        Operation::Delete("/b".to_owned()),
        Operation::DeleteRange("/".to_owned()),
        put_of("/a", "2"),
    ];
    let journal = Plan::new(&[Condition::Present("/x".to_owned())], &operations, &space()).journal.unwrap();
    let mut gather = Gather::after(0);
    let events = vec![delete(4, "/x"), put(4, "/a", "2", 1), delete(4, "/y"), own(4, &journal)];
    gather.line(&line(events, &json!({})), &space()).unwrap();
    let expected = ["4+/b=1", "4+/a=1", "4-/b", "4-/a", "4-/x", "4-/y", "4+/a=2"];
    assert_eq!(told(&mut gather, 9).0, expected);
}

#[test]
fn an_end_has_its_meaning() {
    let ended = |more: Value| Gather::after(0).line(&line(vec![], &more), &space());
    assert_eq!(ended(json!({ "canceled": true, "compact_revision": "8" })), Err(Problem::Compacted));
    assert!(
        matches!(ended(json!({ "canceled": true, "cancel_reason": "x" })), Ok(Line::Over(why)) if why.contains('x'))
    );
    let error = br#"{"error":{"grpc_code":14,"http_code":503,"message":"etcdserver: no leader"}}"#;
    assert!(
        matches!(Gather::after(0).line(error, &space()), Ok(Line::Over(why)) if why.contains("no leader"))
    );
}

#[test]
fn nonsense_is_said_so() {
    let other = json!({ "kv": { "key": text(b"/q/a"), "mod_revision": "4", "value": text(&[1]) } });
    for wrong in [
        b"{}".to_vec(),
        b"<html>".to_vec(),
        line(vec![put(5, "/a", "1", 1), put(4, "/b", "1", 1)], &json!({})),
        line(vec![other], &json!({})),
        line(vec![own(4, b"\x07")], &json!({})),
        line(
            vec![json!({ "type": "MOVE", "kv": { "key": text(b"/p/a"), "mod_revision": "4" } })],
            &json!({}),
        ),
    ] {
        let outcome = Gather::after(0).line(&wrong, &space());
        assert!(matches!(outcome, Err(Problem::Fail(Failure::Corrupt(_)))), "{outcome:?}");
    }
}

#[test]
fn a_revision_larger_than_can_be_held_is_listed_again() {
    let mut gather = Gather::after(0);
    let value = "x".repeat(1024 * 1024);
    let outcome = (0..40).find_map(|number| {
        let event = put(4, &format!("/{number}"), &value, 1);
        gather.line(&line(vec![event], &json!({ "fragment": true })), &space()).err()
    });
    assert_eq!(outcome, Some(Problem::Compacted));
}
