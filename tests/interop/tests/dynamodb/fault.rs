//! A DynamoDB that throttles, loses answers, hangs and talks nonsense.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use storage_dynamodb::backend::Backend;
use storage_dynamodb::outside::Outside;
use storage_dynamodb::settings::Settings;
use teleport_plugin_sdk::http::{Error, Request, Response};
use teleport_plugin_sdk::storage_backend::{Condition, Failure, Instance as _, Operation};
use teleport_tests_interop::storage::MovedClock;
use tokio::task::block_in_place;

use crate::backend::settings;
use crate::native::{Native, client};
use crate::server::Dynamo;

/// What becomes of a request.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Fault {
    /// It is refused with this status and kind.
    Refused(u16, &'static str),
    /// It does not arrive.
    Lost,
    /// It arrives, its answer does not.
    Unheard,
    /// Nothing comes.
    Silent,
    /// Something else answers.
    Garbage,
    /// Of a batch only so many are done; the rest comes back, as it does beyond the table's capacity.
    Partly(usize),
}

/// The world outside with faults: each for the next request of an operation.
pub(crate) struct Faulty {
    native: Native,
    faults: Faults,
}

impl Outside for Faulty {
    fn send(&mut self, request: &Request<'_>) -> Result<Response, Error> {
        let target = request.headers.iter().find(|(name, _)| *name == "x-amz-target").unwrap().1;
        let fault = {
            let mut faults = self.faults.lock().unwrap();
            let is_next = faults.front().is_some_and(|(operation, _)| target.ends_with(operation));
            is_next.then(|| faults.pop_front().unwrap().1)
        };
        let answer = |status, body: String| Response { status, headers: Vec::new(), body: body.into_bytes() };
        match fault {
            None => self.native.send(request),
            Some(Fault::Refused(status, kind)) => Ok(answer(
                status,
                format!(r#"{{"__type":"com.amazonaws.dynamodb.v20120810#{kind}","message":"no"}}"#),
            )),
            Some(Fault::Lost) => Err(Error::NotSent("refused".to_owned())),
            Some(Fault::Unheard) => {
                self.native.send(request)?;
                Err(Error::Lost("closed".to_owned()))
            }
            Some(Fault::Silent) => Err(Error::TimedOut),
            Some(Fault::Garbage) => Ok(answer(200, "<html>".to_owned())),
            Some(Fault::Partly(count)) => self.partly(request, count),
        }
    }

    fn now(&self) -> u64 {
        self.native.now()
    }

    fn monotonic(&self) -> Duration {
        self.native.monotonic()
    }

    // How long it waits is not looked at here.
    fn sleep(&mut self, _: Duration) {}

    fn random(&mut self) -> u64 {
        self.native.random()
    }
}

impl Faulty {
    fn partly(&mut self, request: &Request<'_>, count: usize) -> Result<Response, Error> {
        let mut body: Value = serde_json::from_slice(request.body).unwrap();
        let mut rest = body["RequestItems"].clone();
        let list = |all: &mut Value| -> Vec<Value> {
            let asked = &mut all["teleport"];
            let list = if asked.is_array() { asked } else { &mut asked["Keys"] };
            list.as_array().unwrap().clone()
        };
        let all = list(&mut rest);
        let (now, later) = all.split_at(count.min(all.len()));
        let set = |all: &mut Value, list: &[Value]| {
            let asked = &mut all["teleport"];
            if asked.is_array() { *asked = json!(list) } else { asked["Keys"] = json!(list) }
        };
        let is_write = rest["teleport"].is_array();
        set(&mut rest, later);
        let mut answer = json!({ "Responses": { "teleport": [] } });
        if !now.is_empty() {
            set(&mut body["RequestItems"], now);
            let body = body.to_string();
            let sent = self.native.send(&Request { body: body.as_bytes(), ..*request })?;
            answer = serde_json::from_slice(&sent.body).unwrap();
        }
        answer[if is_write { "UnprocessedItems" } else { "UnprocessedKeys" }] = rest;
        Ok(Response { status: 200, headers: Vec::new(), body: answer.to_string().into_bytes() })
    }
}

struct Bed {
    _server: Dynamo,
    instance: Backend<Faulty>,
    faults: Faults,
}

type Faults = Arc<Mutex<VecDeque<(&'static str, Fault)>>>;

/// An instance that meets faults.
pub(crate) fn faulty(settings: &Settings) -> (Backend<Faulty>, Faults) {
    let faults = Faults::default();
    let native = Native::new(&MovedClock::default(), &client());
    let outside = Faulty { native, faults: Arc::clone(&faults) };
    (Backend::new(outside, settings), faults)
}

impl Bed {
    fn new() -> Self {
        let server = Dynamo::start();
        let (mut instance, faults) = faulty(&settings(&server.url()));
        // The table is there after a moment, for which nobody waits here.
        assert!((0..1000).any(|_| instance.open().is_ok()), "the table is made");
        Self { _server: server, instance, faults }
    }

    fn next(&self, operation: &'static str, faults: &[Fault]) {
        self.faults.lock().unwrap().extend(faults.iter().map(|fault| (operation, *fault)));
    }

    fn create(&mut self, key: &str) -> Result<u64, Failure> {
        let put = Operation::Put { key: key.to_owned(), value: b"1".to_vec(), expires: None };
        self.instance.write(&[Condition::Absent(key.to_owned())], &[put])
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_passes_is_waited_out() {
    block_in_place(|| {
        let mut bed = Bed::new();
        let slow = Fault::Refused(400, "ProvisionedThroughputExceededException");
        bed.next(
            "PutItem",
            &[slow, Fault::Refused(500, "InternalServerError"), Fault::Lost, slow, Fault::Silent],
        );
        assert_eq!(bed.create("/a"), Ok(1));
        bed.next("GetItem", &[Fault::Refused(503, ""), slow, Fault::Unheard]);
        assert_eq!(bed.instance.get("/a").unwrap().unwrap().revision, 1);
        assert!(bed.faults.lock().unwrap().is_empty(), "all of it was met");
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_whose_answer_was_lost_happens_once() {
    block_in_place(|| {
        let mut bed = Bed::new();
        for (name, revision) in [("/a", 1), ("/b", 2)] {
            bed.next("PutItem", &[Fault::Unheard]);
            assert_eq!(bed.create(name), Ok(revision), "its own first try is no one else's write");
        }
        assert_eq!(bed.instance.current(), Ok(2));
        assert_eq!(bed.create("/a"), Err(Failure::Conflict(0)));
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_does_not_pass_is_said() {
    block_in_place(|| {
        let mut bed = Bed::new();
        bed.next("PutItem", &[Fault::Silent; 8]);
        let hanging = bed.create("/a").unwrap_err();
        assert!(
            matches!(&hanging, Failure::Unavailable(text) if text.contains("no answer in time")),
            "{hanging}"
        );
        bed.next("Query", &[Fault::Garbage]);
        assert!(matches!(bed.create("/a"), Err(Failure::Corrupt(_))));
        bed.next("PutItem", &[Fault::Refused(400, "AccessDeniedException")]);
        assert!(matches!(bed.create("/a"), Err(Failure::Invalid(text)) if text.contains("policy")));
        bed.next("PutItem", &[Fault::Refused(400, "ExpiredTokenException")]);
        assert!(matches!(bed.create("/a"), Err(Failure::Invalid(text)) if text.contains("credentials")));
        assert_eq!(bed.create("/a"), Ok(1), "and it goes on when it can");
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_batch_left_undone_is_done_after_it() {
    block_in_place(|| {
        let mut bed = Bed::new();
        let keys = ["/a", "/b", "/c", "/d"];
        let put = |key: &str, value| Operation::Put { key: key.to_owned(), value, expires: None };
        bed.instance.write(&[], &keys.map(|key| put(key, vec![1]))).unwrap();
        // Conditions are read in one batch, which is cut short three times.
        let present = keys.map(|key| Condition::Present(key.to_owned()));
        bed.next("BatchGetItem", &[Fault::Partly(1), Fault::Partly(0), Fault::Partly(2)]);
        assert_eq!(bed.instance.write(&present, &[put("/a", vec![2])]), Ok(2));
        assert!(bed.faults.lock().unwrap().is_empty(), "all of it was met");
        // A large value goes in parts.
        bed.next("BatchWriteItem", &[Fault::Partly(1), Fault::Partly(0), Fault::Partly(1)]);
        let value: Vec<u8> = (0..=255).cycle().take(1 << 20).collect();
        assert_eq!(bed.instance.write(&[], &[put("/large", value.clone())]), Ok(3));
        assert!(bed.faults.lock().unwrap().is_empty(), "all of it was met");
        assert_eq!(bed.instance.get("/large").unwrap().unwrap().value, value);
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_without_capacity_is_said_and_nothing_is_half_done() {
    block_in_place(|| {
        let mut bed = Bed::new();
        let put = |value| Operation::Put { key: "/a".to_owned(), value, expires: None };
        for (operation, fault) in [
            ("BatchWriteItem", Fault::Partly(0)),
            ("BatchWriteItem", Fault::Refused(400, "ProvisionedThroughputExceededException")),
        ] {
            bed.next(operation, &[fault; 80]);
            let Err(Failure::Unavailable(text)) = bed.instance.write(&[], &[put(vec![1; 1 << 20])]) else {
                panic!("written in spite of {fault:?}")
            };
            assert!(text.contains("the table's capacity"), "{text}");
            bed.faults.lock().unwrap().clear();
            assert_eq!(bed.instance.get("/a"), Ok(None));
        }
        assert_eq!(bed.instance.write(&[], &[put(vec![1])]), Ok(1));
    });
}

/// The end of the log need not be read when this instance has just written, and whoever comes between is
/// noticed all the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_leans_on_the_one_before_and_misses_nobody() {
    block_in_place(|| {
        let mut bed = Bed::new();
        let (mut other, _) = faulty(&settings(&bed._server.url()));
        let put = |key: &str| Operation::Put { key: key.to_owned(), value: vec![], expires: None };
        for revision in 1..=4 {
            assert_eq!(bed.instance.write(&[], &[put("/a")]), Ok(revision));
        }
        // Between two of the first's writes the second makes what the first wants absent.
        assert_eq!(other.write(&[], &[put("/b")]), Ok(5));
        assert_eq!(bed.create("/b"), Err(Failure::Conflict(0)));
        assert_eq!(other.write(&[], &[Operation::Delete("/b".to_owned())]), Ok(6));
        assert_eq!(bed.create("/b"), Ok(7), "and no refusal rests on what is over");
        let unchanged = Condition::Unchanged("/a".to_owned(), 4);
        assert_eq!(other.write(std::slice::from_ref(&unchanged), &[put("/a")]), Ok(8));
        assert_eq!(bed.instance.write(&[unchanged], &[put("/a")]), Err(Failure::Conflict(0)));
    });
}
