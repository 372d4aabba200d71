//! An etcd that hangs, refuses, breaks off, answers nonsense: what each costs, and that nothing is written
//! twice.

use std::cell::Cell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use teleport_plugin_sdk::http::{Error, Part, Request, Response};
use teleport_plugin_sdk::storage_backend::{Batch, Condition, Operation};

use super::*;
use crate::gather::short;
use crate::outside::Stream;

mod many;

/// What the next request meets.
enum Reply {
    Answer(u16, String),
    /// The same, with its date.
    Dated(&'static str, String),
    Fault(Error),
    /// No answer until the caller's own time is up.
    Hang,
    Watch(Vec<Step>),
}

/// What a watch's stream gives.
#[derive(Clone)]
enum Step {
    Bytes(Vec<u8>),
    Break,
    End,
    Quiet,
}

struct Fake {
    replies: VecDeque<Reply>,
    calls: Vec<(String, String)>,
    time: Rc<Cell<Duration>>,
    warnings: Vec<String>,
}

struct Steps(VecDeque<Step>, Rc<Cell<Duration>>);

impl Fake {
    fn reply(&mut self, request: &Request<'_>) -> Result<Reply, Error> {
        let body = String::from_utf8(request.body.to_vec()).unwrap();
        self.calls.push((request.url.to_owned(), body));
        match self.replies.pop_front().unwrap_or_else(|| panic!("nobody expects {}", request.url)) {
            Reply::Fault(error) => Err(error),
            Reply::Hang => {
                self.time.set(self.time.get() + request.timeout);
                Err(Error::TimedOut)
            }
            reply => Ok(reply),
        }
    }
}

impl Outside for Fake {
    type Stream = Steps;

    fn send(&mut self, request: &Request<'_>) -> Result<Response, Error> {
        match self.reply(request)? {
            Reply::Answer(status, body) => Ok(Response { status, headers: vec![], body: body.into_bytes() }),
            Reply::Dated(date, body) => {
                let headers = vec![("date".to_owned(), date.to_owned())];
                Ok(Response { status: 200, headers, body: body.into_bytes() })
            }
            _ => panic!("no watch was asked for"),
        }
    }

    fn open(&mut self, request: &Request<'_>) -> Result<Steps, Error> {
        match self.reply(request)? {
            Reply::Watch(steps) => Ok(Steps(steps.into(), Rc::clone(&self.time))),
            _ => panic!("a watch was asked for"),
        }
    }

    fn now(&self) -> u64 {
        1_000_000_000 + u64::try_from(self.time.get().as_micros()).unwrap()
    }

    fn monotonic(&self) -> Duration {
        self.time.get()
    }

    fn warn(&mut self, text: &str) {
        self.warnings.push(text.to_owned());
    }
}

impl Stream for Steps {
    fn status(&self) -> u16 {
        200
    }

    fn read(&mut self, wait: Duration) -> Result<Part, Error> {
        match self.0.pop_front() {
            Some(Step::Bytes(bytes)) => Ok(Part::Bytes(bytes)),
            Some(Step::End) => Ok(Part::End),
            Some(Step::Break) => Err(Error::Lost("reset by peer".to_owned())),
            Some(Step::Quiet) | None => {
                self.1.set(self.1.get() + wait);
                Ok(Part::Nothing)
            }
        }
    }
}

fn fake(peers: &str, replies: Vec<Reply>) -> Backend<Fake> {
    let settings = Settings::read(|key| (key == "peers").then(|| peers.replace(' ', "\n"))).unwrap();
    let fake = Fake { replies: replies.into(), calls: vec![], time: Rc::default(), warnings: vec![] };
    Backend::new(fake, &settings)
}

fn asked(backend: &Backend<Fake>) -> Vec<String> {
    let host = |url: &String| url.split('/').nth(2).unwrap().to_owned();
    backend.outside.calls.iter().map(|(url, _)| host(url)).collect()
}

fn answer(body: &str) -> Reply {
    Reply::Answer(200, body.to_owned())
}

fn at(revision: u64) -> Reply {
    answer(&format!(r#"{{"header":{{"revision":"{revision}"}}}}"#))
}

fn done(revision: u64) -> Reply {
    answer(&format!(r#"{{"header":{{"revision":"{revision}"}},"succeeded":true}}"#))
}

fn refuse(status: u16, text: &str) -> Reply {
    Reply::Answer(status, format!(r#"{{"error":"{text}","message":"{text}","code":14}}"#))
}

fn put() -> [Operation; 1] {
    [Operation::Put { key: "/a".to_owned(), value: vec![1], expires: None }]
}

fn unavailable<T: std::fmt::Debug>(outcome: Result<T, Failure>) -> String {
    match outcome {
        Err(Failure::Unavailable(text)) => text,
        other => panic!("{other:?}"),
    }
}

const THREE: &str = "http://a:1 http://b:1 http://c:1";

#[test]
fn a_read_goes_to_the_next_and_stays_there() {
    for fault in [
        Reply::Hang,
        Reply::Fault(Error::NotSent("refused".to_owned())),
        Reply::Fault(Error::Lost("reset".to_owned())),
        refuse(503, "etcdserver: request timed out"),
        refuse(503, "etcdserver: no leader"),
        Reply::Answer(502, "<html>".to_owned()),
    ] {
        let mut backend = fake(THREE, vec![fault, at(7), at(8)]);
        assert_eq!(backend.current(), Ok(7));
        assert_eq!(backend.current(), Ok(8));
        assert_eq!(asked(&backend), ["a:1", "b:1", "b:1"]);
    }
}

#[test]
fn when_all_hang_the_time_is_kept_and_each_is_named() {
    let mut backend = fake(THREE, vec![Reply::Hang, Reply::Hang, Reply::Hang]);
    let text = unavailable(backend.current());
    assert!(["a:1", "b:1", "c:1", "peers"].iter().all(|part| text.contains(part)), "{text}");
    assert!(backend.outside.time.get() <= Duration::from_secs(10));
}

#[test]
fn a_write_that_may_have_arrived_is_never_made_twice() {
    for fault in [
        Reply::Hang,
        Reply::Fault(Error::Lost("reset".to_owned())),
        refuse(503, "etcdserver: leader changed"),
        Reply::Answer(503, String::new()),
    ] {
        let mut backend = fake(THREE, vec![fault, at(9)]);
        assert!(unavailable(backend.write(&[], &put())).contains("not known"));
        assert_eq!(asked(&backend), ["a:1"]);
        assert_eq!(backend.current(), Ok(9));
        assert_eq!(asked(&backend), ["a:1", "b:1"], "the next call does not wait for it again");
        assert!(backend.outside.time.get() <= Duration::from_secs(10));
    }
}

#[test]
fn a_write_that_surely_did_not_arrive_goes_elsewhere() {
    let replies = vec![
        Reply::Fault(Error::NotSent("refused".to_owned())),
        refuse(503, "etcdserver: no leader"),
        done(5),
    ];
    let mut backend = fake(THREE, replies);
    assert_eq!(backend.write(&[], &put()), Ok(5));
    assert_eq!(asked(&backend), ["a:1", "b:1", "c:1"]);
}

#[test]
fn what_the_host_refuses_is_said_as_it_is() {
    let mut backend = fake(THREE, vec![Reply::Fault(Error::Denied("grant it".to_owned()))]);
    assert!(
        matches!(backend.current(), Err(Failure::Denied(text)) if text.contains("grant it") && text.contains("a:1"))
    );
}

#[test]
fn nonsense_is_no_answer() {
    for body in ["", "<html>", "[]", "{}", r#"{"header":{"revision":"x"}}"#] {
        assert!(matches!(fake(THREE, vec![answer(body)]).current(), Err(Failure::Corrupt(_))), "{body}");
        assert!(
            matches!(fake(THREE, vec![answer(body)]).write(&[], &put()), Err(Failure::Corrupt(_))),
            "{body}"
        );
        assert!(fake(THREE, vec![answer(body)]).range("/", None, 10).is_err(), "{body}");
    }
    let own = r#"{"header":{"revision":"3"},"kvs":[{"key":"L2E=","value":"AQ=="}]}"#;
    assert!(
        matches!(fake(THREE, vec![answer(own)]).range("/", None, 10), Err(Failure::Corrupt(_))),
        "not our key"
    );
}

/// An answer to a transaction whose comparisons did not hold.
fn read(revision: u64, lease: u64, value: &[u8]) -> Reply {
    let key = text(b"/teleport/a");
    answer(&format!(
        r#"{{"header":{{"revision":"9"}},"responses":[{{"response_range":{{"kvs":[{{"key":"{key}","mod_revision":"{revision}","lease":"{lease}","value":"{}"}}]}}}}]}}"#,
        text(value)
    ))
}

#[test]
fn what_has_expired_and_still_lies_there_is_not_there() {
    let (past, future) = (envelope::seal(Some(5), b"x"), envelope::seal(Some(u64::MAX), b"x"));
    let absent = [Condition::Absent("/a".to_owned())];
    let unchanged = [Condition::Unchanged("/a".to_owned(), 4)];
    let mut backend = fake(THREE, vec![read(4, 77, &past), done(10)]);
    assert_eq!(backend.write(&absent, &put()), Ok(10), "compared with exactly what was read");
    assert!(backend.outside.calls[1].1.contains(r#""mod_revision":"4""#));
    assert_eq!(fake(THREE, vec![read(4, 77, &past)]).write(&unchanged, &put()), Err(Failure::Conflict(0)));
    assert_eq!(fake(THREE, vec![read(4, 77, &future)]).write(&absent, &put()), Err(Failure::Conflict(0)));
    assert_eq!(fake(THREE, vec![read(4, 77, &future), done(10)]).write(&unchanged, &put()), Ok(10));
}

/// The first is what the fake's clock has, the second an hour later.
const DATE: &str = "Thu, 01 Jan 1970 00:16:40 GMT";
const LATER: &str = "Thu, 01 Jan 1970 01:16:40 GMT";

#[test]
fn where_clocks_disagree_etcds_decides_what_has_expired() {
    let item = |expires: u64| {
        let (key, value) = (text(b"/teleport/a"), text(&envelope::seal(Some(expires), b"x")));
        format!(
            r#"{{"header":{{"revision":"3"}},"kvs":[{{"key":"{key}","value":"{value}","mod_revision":"2","lease":"1"}}]}}"#
        )
    };
    // Between the two, and after both.
    let (between, late) = (item(2_000_000_000), item(9_000_000_000));
    for (date, body, is_there) in
        [(DATE, &between, true), (DATE, &late, true), (LATER, &between, false), (LATER, &late, true)]
    {
        let mut backend =
            fake("http://a:1", vec![Reply::Dated(date, body.clone()), Reply::Dated(date, body.clone())]);
        assert_eq!(backend.get("/a").unwrap().is_some(), is_there, "{date}");
        assert_eq!(backend.range("/", None, 9).unwrap().items.len(), usize::from(is_there), "{date}");
        let warnings = &backend.outside.warnings;
        assert_eq!(warnings.len(), usize::from(date == LATER), "{warnings:?}");
        assert!(warnings.iter().all(|text| text.contains("3600 s behind that of etcd at http://a:1")));
    }
}

#[test]
fn a_lease_lasts_by_the_clock_that_decides() {
    let grant = |id: u64| Reply::Dated(LATER, format!(r#"{{"ID":"{id}","TTL":"99999"}}"#));
    // Ten minutes after etcd's time, seventy after this machine's.
    let expires = Some(1_000_000_000 + 4_200_000_000);
    let operations = [Operation::Put { key: "/a".to_owned(), value: vec![1], expires }];
    let mut backend = fake("http://a:1", vec![grant(1), grant(2), done(5), done(6)]);
    assert_eq!(backend.write(&[], &operations), Ok(5));
    assert_eq!(backend.write(&[], &operations), Ok(6));
    let body = |call: usize| backend.outside.calls[call].1.as_str();
    assert_eq!((body(0), body(1)), (r#"{"TTL":"4211"}"#, r#"{"TTL":"611"}"#));
    assert!(body(2).contains(r#""lease":"2""#) && body(3).contains(r#""lease":"2""#));
}

#[test]
fn a_lease_is_measured_anew_when_a_clock_is_set_and_the_new_time_told() {
    let dated = |date, id: u64| Reply::Dated(date, format!(r#"{{"ID":"{id}","TTL":"99999"}}"#));
    let status = || Reply::Dated(LATER, "{}".to_owned());
    let much_later = "Thu, 01 Jan 1970 03:16:40 GMT";
    // Ten minutes after the last of the times: what was off by an hour is off by three.
    let put = |expires| [Operation::Put { key: "/a".to_owned(), value: vec![1], expires: Some(expires) }];
    let replies = vec![status(), dated(much_later, 1), dated(much_later, 2), done(5)];
    let mut backend = fake("http://a:1", replies);
    assert!(backend.call(STATUS, "{}", Repeat::Freely, SMALL).is_ok());
    assert_eq!(backend.write(&[], &put(1_000_000_000 + 11_400_000_000)), Ok(5));
    let bodies: Vec<_> = backend.outside.calls.iter().map(|(_, body)| body.as_str()).collect();
    assert_eq!(bodies[1..3], [r#"{"TTL":"7811"}"#, r#"{"TTL":"611"}"#]);
    assert!(bodies[3].contains(r#""lease":"2""#));
    let warnings = &backend.outside.warnings;
    assert!(warnings[0].contains("3600 s behind") && warnings[1].contains("10800 s behind"), "{warnings:?}");
}

/// Each with its date; the first is what somebody asks for.
fn three(dates: [&'static str; 3]) -> Vec<Reply> {
    dates
        .iter()
        .map(|date| Reply::Dated(date, r#"{"header":{"revision":"7"}}"#.to_owned()))
        .chain([at(8)])
        .collect()
}

#[test]
fn one_wrong_member_of_three_is_named_and_not_gone_by() {
    let mut backend = fake(THREE, three([LATER, DATE, DATE]));
    assert_eq!(backend.current(), Ok(7));
    assert_eq!(backend.now(), backend.outside.now());
    assert_eq!(backend.current(), Ok(8), "of the member that is asked, wrong as its clock may be");
    assert_eq!(asked(&backend), ["a:1", "b:1", "c:1", "a:1"]);
    let warnings = &backend.outside.warnings;
    assert!(
        warnings.len() == 1 && warnings[0].contains("3600 s behind that of etcd at http://a:1,"),
        "{warnings:?}"
    );
}

#[test]
fn what_members_agree_on_is_gone_by_at_the_first_answer() {
    for (dates, warned) in [([LATER; 3], 1), ([LATER, DATE, LATER], 2)] {
        let mut backend = fake(THREE, three(dates));
        assert_eq!(backend.current(), Ok(7));
        assert!(backend.now() > backend.outside.now() + 3_599_000_000, "{dates:?}");
        assert_eq!(backend.outside.warnings.len(), warned, "{:?}", backend.outside.warnings);
        assert!(backend.outside.warnings[0].contains("http://c:1, which is gone by"));
    }
    // A member that does not answer says nothing.
    let mut replies = three([LATER; 3]);
    replies[1] = Reply::Hang;
    let mut backend = fake(THREE, replies);
    assert_eq!(backend.current(), Ok(7));
    assert!(backend.outside.time.get() <= OTHER_MAX && backend.time.off() != Off::default());
}

#[test]
fn very_many_conditions_are_asked_for_when_one_does_not_hold() {
    let absent: Vec<_> = (0..128).map(|number| Condition::Absent(format!("/{number}"))).collect();
    let nothing: Vec<_> = (0..128).map(|number| Operation::Delete(format!("/{number}"))).collect();
    let to_come = || refuse(400, "etcdserver: mvcc: required revision is a future revision");
    let there = || {
        let key = text(b"/teleport/7");
        answer(&format!(
            r#"{{"header":{{"revision":"9"}},"succeeded":true,"responses":[{{"response_range":{{"kvs":[{{"key":"{key}","mod_revision":"4"}}]}}}}]}}"#
        ))
    };
    let mut backend = fake(THREE, vec![done(5), to_come(), there()]);
    assert_eq!(backend.write(&absent, &nothing), Ok(5));
    assert_eq!(backend.write(&absent, &nothing), Err(Failure::Conflict(7)));
    // It was gone again before it could be read.
    let nobody = done(9);
    let mut backend = fake(THREE, vec![to_come(), nobody, done(10)]);
    assert_eq!(backend.write(&absent, &nothing), Ok(10));
}

#[test]
fn records_that_never_hold_still_end_in_an_error() {
    let future = envelope::seal(Some(u64::MAX), b"x");
    let replies = (0..40).map(|_| read(4, 77, &future)).collect();
    let mut backend = fake(THREE, replies);
    let text = unavailable(backend.write(&[Condition::Present("/a".to_owned())], &put()));
    assert!(text.contains("nothing was changed") && backend.outside.calls.len() < 20, "{text}");
}

#[test]
fn a_lease_that_is_over_is_asked_for_anew_once() {
    let grant = |id: u64| answer(&format!(r#"{{"ID":"{id}","TTL":"600"}}"#));
    let over = || refuse(404, "etcdserver: requested lease not found");
    let operations = [Operation::Put { key: "/a".to_owned(), value: vec![1], expires: Some(1_100_000_000) }];
    let mut backend = fake(THREE, vec![grant(1), done(5), over(), grant(2), done(6)]);
    assert_eq!(backend.write(&[], &operations), Ok(5));
    assert_eq!(backend.write(&[], &operations), Ok(6), "without a grant where one is known");
    assert!(backend.outside.calls[4].1.contains(r#""lease":"2""#));
    let mut backend = fake(THREE, vec![grant(1), over(), grant(2), over()]);
    unavailable(backend.write(&[], &operations));
}

#[test]
fn a_page_too_large_is_asked_for_in_smaller_parts() {
    let key = text(b"/teleport/a");
    let page = format!(
        r#"{{"header":{{"revision":"3"}},"kvs":[{{"key":"{key}","value":"AQ==","mod_revision":"2"}}],"more":true}}"#
    );
    let mut backend =
        fake(THREE, vec![Reply::Fault(Error::TooLarge(1)), Reply::Fault(Error::TooLarge(1)), answer(&page)]);
    let page = backend.range("/", None, 5000).unwrap();
    assert!(page.more && page.items.len() == 1);
    let asked: Vec<_> =
        backend.outside.calls.iter().map(|(_, body)| body.contains(r#""limit":"1000""#)).collect();
    assert_eq!(asked, [true, false, false]);
}

#[test]
fn an_etcd_too_old_is_refused() {
    let mut backend = fake(THREE, vec![answer(r#"{"version":"3.3.27"}"#)]);
    assert!(
        matches!(backend.open(), Err(Failure::Invalid(text)) if text.contains("3.3.27") && text.contains("upgrade"))
    );
}

#[test]
fn an_etcd_that_takes_small_values_only_says_how_small() {
    let too_large = || refuse(400, "etcdserver: request is too large");
    let status = answer(r#"{"version":"3.5.1"}"#);
    let about = fake(THREE, vec![status, at(3), too_large(), too_large(), done(3)]).open().unwrap();
    assert_eq!(about.value_max, 256 * 1024);
    assert!(about.description.contains("3.5.1"));
}

fn bytes(text: &str) -> Step {
    Step::Bytes(text.as_bytes().to_vec())
}

const BEGUN: &str = "{\"result\":{\"header\":{\"revision\":\"50\"},\"created\":true}}\n";

fn event(revision: u64) -> String {
    let (key, value) = (text(b"/teleport/a"), text(&envelope::seal(None, b"x")));
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
        let batch = backend.next(5, 10, SECOND).unwrap();
        assert_eq!(heard(&batch), [(6, "+/a=x".to_owned())]);
        let batch = backend.next(batch.up_to, 10, SECOND).unwrap();
        assert_eq!(heard(&batch), [(7, "+/a=x".to_owned())], "neither lost nor told twice");
        assert!(backend.outside.calls[3].1.contains(r#""start_revision":"6""#));
        assert_eq!(asked(&backend), ["a:1", "a:1", "b:1", "b:1"]);
    }
}

#[test]
fn a_watch_is_kept_open_from_call_to_call() {
    let steps = vec![bytes(BEGUN), bytes(&event(6)), Step::Quiet, bytes(&event(8))];
    let mut backend = fake(THREE, vec![at(50), Reply::Watch(steps)]);
    assert_eq!(backend.next(5, 10, SECOND).unwrap().up_to, 6);
    assert_eq!(backend.next(6, 10, SECOND).unwrap(), Batch { events: vec![], up_to: 6 });
    assert_eq!(backend.next(6, 10, SECOND).unwrap().up_to, 8);
    assert_eq!(backend.outside.calls.len(), 2);
}

#[test]
fn a_watch_asked_from_elsewhere_begins_anew() {
    let watch = || Reply::Watch(vec![bytes(BEGUN), bytes(&event(6))]);
    let mut backend = fake(THREE, vec![at(50), watch(), at(50), watch()]);
    assert_eq!(backend.next(5, 10, SECOND).unwrap().up_to, 6);
    assert_eq!(backend.next(5, 10, SECOND).unwrap().up_to, 6);
}

#[test]
fn a_watch_that_falls_silent_is_begun_anew() {
    let watch = || Reply::Watch(vec![bytes(BEGUN)]);
    let mut backend = fake("http://a:1", vec![at(50), watch(), at(50), watch()]);
    for _ in 0..4 {
        assert_eq!(backend.next(5, 10, 20 * SECOND).unwrap().up_to, 5);
    }
    assert_eq!(backend.outside.calls.len(), 2, "a minute of silence may be a quiet cluster");
    backend.next(5, 10, SECOND).unwrap();
    assert_eq!(backend.outside.calls.len(), 4);
}

#[test]
fn a_watch_from_what_is_gone_or_to_come_is_refused_at_once() {
    for text in [
        "etcdserver: mvcc: required revision has been compacted",
        "etcdserver: mvcc: required revision is a future revision",
    ] {
        let mut backend = fake(THREE, vec![refuse(400, text), at(40)]);
        assert_eq!(backend.next(5, 10, Duration::ZERO), Err(Failure::Compacted(40)));
    }
    // Compacted between the look and the watch.
    let canceled =
        "{\"result\":{\"header\":{\"revision\":\"50\"},\"canceled\":true,\"compact_revision\":\"30\"}}\n";
    let mut backend = fake(THREE, vec![at(50), Reply::Watch(vec![bytes(BEGUN), bytes(canceled)]), at(50)]);
    assert_eq!(backend.next(5, 10, SECOND), Err(Failure::Compacted(50)));
}

#[test]
fn watches_that_end_again_and_again_are_an_error() {
    let replies = (0..20).flat_map(|_| [at(50), Reply::Watch(vec![bytes(BEGUN), Step::End])]).collect();
    let mut backend = fake(THREE, replies);
    assert!(unavailable(backend.next(5, 10, SECOND)).contains("ends every watch"));
    assert!(backend.outside.calls.len() <= 8);
}

#[test]
fn a_watch_that_never_begins_is_an_error_in_time() {
    let mut backend = fake(THREE, vec![at(50), Reply::Watch(vec![])]);
    assert!(unavailable(backend.next(5, 10, Duration::ZERO)).contains("does not begin"));
    assert!(backend.outside.time.get() <= Duration::from_secs(11));
    let garbage = vec![bytes(BEGUN), bytes("garbage\n")];
    let mut backend = fake(THREE, vec![at(50), Reply::Watch(garbage)]);
    assert!(matches!(backend.next(5, 10, SECOND), Err(Failure::Corrupt(_))));
}

#[test]
fn versions_are_numbers_not_texts() {
    for new in ["3.4.0", "3.4.23", "3.10.1", "4.0.0-rc.1", "3.5"] {
        assert!(is_new_enough(new), "{new}");
    }
    for old in ["3.3.27", "2.9", "", "x.y", "3"] {
        assert!(!is_new_enough(old), "{old}");
    }
}
