//! An etcd that hangs, refuses, breaks off, answers nonsense: what each costs, and that nothing is written
//! twice.

use std::cell::Cell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use teleport_plugin_sdk::http::{Error, Part, Request, Response};
use teleport_plugin_sdk::storage_backend::{Batch, Condition, Operation};

use super::*;
use crate::outside::Stream;
use crate::revision::last_of;

mod clock;
mod many;
mod watch;

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
        assert_eq!(backend.current(), Ok(last_of(7)));
        assert_eq!(backend.current(), Ok(last_of(8)));
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
        assert_eq!(backend.current(), Ok(last_of(9)));
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
    assert_eq!(backend.write(&[], &put()), Ok(last_of(5)));
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
    let (past, future) = (envelope::seal(0, Some(5), b"x"), envelope::seal(0, Some(u64::MAX), b"x"));
    let absent = [Condition::Absent("/a".to_owned())];
    let unchanged = [Condition::Unchanged("/a".to_owned(), last_of(4))];
    let mut backend = fake(THREE, vec![read(4, 77, &past), done(10)]);
    assert_eq!(backend.write(&absent, &put()), Ok(last_of(10)), "compared with exactly what was read");
    assert!(backend.outside.calls[1].1.contains(r#""mod_revision":"4""#));
    assert_eq!(fake(THREE, vec![read(4, 77, &past)]).write(&unchanged, &put()), Err(Failure::Conflict(0)));
    assert_eq!(fake(THREE, vec![read(4, 77, &future)]).write(&absent, &put()), Err(Failure::Conflict(0)));
    assert_eq!(fake(THREE, vec![read(4, 77, &future), done(10)]).write(&unchanged, &put()), Ok(last_of(10)));
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
    assert_eq!(backend.write(&absent, &nothing), Ok(last_of(5)));
    assert_eq!(backend.write(&absent, &nothing), Err(Failure::Conflict(7)));
    // It was gone again before it could be read.
    let nobody = done(9);
    let mut backend = fake(THREE, vec![to_come(), nobody, done(10)]);
    assert_eq!(backend.write(&absent, &nothing), Ok(last_of(10)));
}

#[test]
fn records_that_never_hold_still_end_in_an_error() {
    let future = envelope::seal(0, Some(u64::MAX), b"x");
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
    assert_eq!(backend.write(&[], &operations), Ok(last_of(5)));
    assert_eq!(backend.write(&[], &operations), Ok(last_of(6)), "without a grant where one is known");
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

#[test]
fn versions_are_numbers_not_texts() {
    for new in ["3.4.0", "3.4.23", "3.10.1", "4.0.0-rc.1", "3.5"] {
        assert!(is_new_enough(new), "{new}");
    }
    for old in ["3.3.27", "2.9", "", "x.y", "3"] {
        assert!(!is_new_enough(old), "{old}");
    }
}
