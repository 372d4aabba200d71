//! A watch, kept open from call to call.

use super::*;
use crate::gather::short;

fn bytes(text: &str) -> Step {
    Step::Bytes(text.as_bytes().to_vec())
}

const BEGUN: &str = "{\"result\":{\"header\":{\"revision\":\"50\"},\"created\":true}}\n";

fn event(revision: u64) -> String {
    let (key, value) = (text(b"/teleport/a"), text(&envelope::seal(0, None, b"x")));
    format!(
        "{{\"result\":{{\"header\":{{\"revision\":\"50\"}},\"events\":[{{\"kv\":{{\"key\":\"{key}\",\"value\":\"{value}\",\"mod_revision\":\"{revision}\",\"version\":\"1\"}}}}]}}}}\n"
    )
}

fn heard(batch: &Batch) -> Vec<(u64, String)> {
    batch.events.iter().map(|event| (event.revision, short(event))).collect()
}

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_watch_that_breaks_goes_on_elsewhere_without_a_gap() {
    let half: String = event(7).chars().take(30).collect();
    for end in [Step::End, Step::Break] {
        let first = vec![bytes(BEGUN), bytes(&event(6)), bytes(&half), end];
        let second = vec![bytes(BEGUN), bytes(&event(6)), bytes(&event(7))];
        let replies = vec![at(50), Reply::Watch(first), at(50), Reply::Watch(second)];
        let mut backend = fake(THREE, replies);
        let batch = backend.next(last_of(5), 10, SECOND).unwrap();
        assert_eq!(heard(&batch), [(last_of(6), "+/a=x".to_owned())]);
        let batch = backend.next(batch.up_to, 10, SECOND).unwrap();
        assert_eq!(heard(&batch), [(last_of(7), "+/a=x".to_owned())], "neither lost nor told twice");
        assert!(backend.outside.calls[3].1.contains(r#""start_revision":"6""#));
        assert_eq!(asked(&backend), ["a:1", "a:1", "b:1", "b:1"]);
    }
}

#[test]
fn a_watch_is_kept_open_from_call_to_call() {
    let steps = vec![bytes(BEGUN), bytes(&event(6)), Step::Quiet, bytes(&event(8))];
    let mut backend = fake(THREE, vec![at(50), Reply::Watch(steps)]);
    assert_eq!(backend.next(last_of(5), 10, SECOND).unwrap().up_to, last_of(6));
    assert_eq!(backend.next(last_of(6), 10, SECOND).unwrap(), Batch { events: vec![], up_to: last_of(6) });
    assert_eq!(backend.next(last_of(6), 10, SECOND).unwrap().up_to, last_of(8));
    assert_eq!(backend.outside.calls.len(), 2);
}

#[test]
fn a_watch_asked_from_elsewhere_begins_anew() {
    let watch = || Reply::Watch(vec![bytes(BEGUN), bytes(&event(6))]);
    let mut backend = fake(THREE, vec![at(50), watch(), at(50), watch()]);
    assert_eq!(backend.next(last_of(5), 10, SECOND).unwrap().up_to, last_of(6));
    assert_eq!(backend.next(last_of(5), 10, SECOND).unwrap().up_to, last_of(6));
}

#[test]
fn a_watch_that_falls_silent_is_begun_anew() {
    let watch = || Reply::Watch(vec![bytes(BEGUN)]);
    let mut backend = fake("http://a:1", vec![at(50), watch(), at(50), watch()]);
    for _ in 0..4 {
        assert_eq!(backend.next(last_of(5), 10, 20 * SECOND).unwrap().up_to, last_of(5));
    }
    assert_eq!(backend.outside.calls.len(), 2, "a minute of silence may be a quiet cluster");
    backend.next(last_of(5), 10, SECOND).unwrap();
    assert_eq!(backend.outside.calls.len(), 4);
}

#[test]
fn a_watch_from_what_is_gone_or_to_come_is_refused_at_once() {
    for text in [
        "etcdserver: mvcc: required revision has been compacted",
        "etcdserver: mvcc: required revision is a future revision",
    ] {
        let mut backend = fake(THREE, vec![refuse(400, text), at(40)]);
        assert_eq!(backend.next(last_of(5), 10, Duration::ZERO), Err(Failure::Compacted(last_of(40))));
    }
    // Compacted between the look and the watch.
    let canceled =
        "{\"result\":{\"header\":{\"revision\":\"50\"},\"canceled\":true,\"compact_revision\":\"30\"}}\n";
    let mut backend = fake(THREE, vec![at(50), Reply::Watch(vec![bytes(BEGUN), bytes(canceled)]), at(50)]);
    assert_eq!(backend.next(last_of(5), 10, SECOND), Err(Failure::Compacted(last_of(50))));
}

#[test]
fn watches_that_end_again_and_again_are_an_error() {
    let replies = (0..20).flat_map(|_| [at(50), Reply::Watch(vec![bytes(BEGUN), Step::End])]).collect();
    let mut backend = fake(THREE, replies);
    assert!(unavailable(backend.next(last_of(5), 10, SECOND)).contains("ends every watch"));
    assert!(backend.outside.calls.len() <= 8);
}

#[test]
fn a_watch_that_never_begins_is_an_error_in_time() {
    let mut backend = fake(THREE, vec![at(50), Reply::Watch(vec![])]);
    assert!(unavailable(backend.next(last_of(5), 10, Duration::ZERO)).contains("does not begin"));
    assert!(backend.outside.time.get() <= Duration::from_secs(11));
    let garbage = vec![bytes(BEGUN), bytes("garbage\n")];
    let mut backend = fake(THREE, vec![at(50), Reply::Watch(garbage)]);
    assert!(matches!(backend.next(last_of(5), 10, SECOND), Err(Failure::Corrupt(_))));
}
