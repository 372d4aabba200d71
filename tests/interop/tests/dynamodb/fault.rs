//! A DynamoDB that throttles, loses answers, hangs and talks nonsense.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use storage_dynamodb::backend::Backend;
use storage_dynamodb::outside::Outside;
use teleport_plugin_sdk::http::{Error, Request, Response};
use teleport_plugin_sdk::storage_backend::{Condition, Failure, Instance as _, Operation};
use teleport_tests_interop::storage::MovedClock;
use tokio::task::block_in_place;

use crate::backend::settings;
use crate::native::{Native, client};
use crate::server::Dynamo;

/// What becomes of a request.
#[derive(Debug, Clone, Copy)]
enum Fault {
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
}

/// The world outside with faults: each for the next request of an operation.
struct Faulty {
    native: Native,
    faults: Arc<Mutex<VecDeque<(&'static str, Fault)>>>,
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

struct Bed {
    _server: Dynamo,
    instance: Backend<Faulty>,
    faults: Arc<Mutex<VecDeque<(&'static str, Fault)>>>,
}

impl Bed {
    fn new() -> Self {
        let server = Dynamo::start();
        let faults = Arc::new(Mutex::new(VecDeque::new()));
        let native = Native::new(&MovedClock::default(), &client());
        let outside = Faulty { native, faults: Arc::clone(&faults) };
        let mut instance = Backend::new(outside, &settings(&server.url()));
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
