//! Servers whose clocks are wrong beside one whose clock is right: etcd's decides, as each answer tells it.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::json;
use storage_etcd::backend::Backend;
use storage_etcd::outside::{Outside, Stream};
use teleport_plugin_sdk::http::{Error, Request, Response};
use teleport_plugin_sdk::storage_backend::{Condition, Failure, Operation};
use teleport_tests_interop::PATIENCE;

use crate::backend::settings;
use crate::native::Native;
use crate::server::Etcd;

const SECOND: u64 = 1_000_000;
const HOUR: i64 = 3_600_000_000;

/// A machine whose clock is off by so many microseconds, and whose answers carry etcd's date.
struct Machine {
    native: Native,
    off: i64,
}

/// What etcd says of the time.
fn date(url: &str) -> String {
    let authority = url.strip_prefix("http://").unwrap().split('/').next().unwrap();
    let mut socket = TcpStream::connect(authority).unwrap();
    let ask = format!("GET /version HTTP/1.1\r\nhost: {authority}\r\nconnection: close\r\n\r\n");
    socket.write_all(ask.as_bytes()).unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    answer.lines().find_map(|line| line.strip_prefix("Date: ")).unwrap().to_owned()
}

impl Outside for Machine {
    type Stream = <Native as Outside>::Stream;

    fn send(&mut self, request: &Request<'_>) -> Result<Response, Error> {
        let mut answer = self.native.send(request)?;
        answer.headers.push(("date".to_owned(), date(request.url)));
        Ok(answer)
    }

    fn open(&mut self, request: &Request<'_>) -> Result<Self::Stream, Error> {
        let stream = self.native.open(request)?;
        assert_eq!(stream.status(), 200);
        Ok(stream)
    }

    fn now(&self) -> u64 {
        self.native.now().saturating_add_signed(self.off)
    }

    fn monotonic(&self) -> Duration {
        self.native.monotonic()
    }
}

fn machine(etcd: &Etcd, off: i64) -> Backend<Machine> {
    let native = Native::new(&Default::default());
    Backend::new(Machine { native, off }, &settings(&etcd.urls(), "t"))
}

fn put(key: &str, expires: u64) -> Operation {
    Operation::Put { key: key.to_owned(), value: b"x".to_vec(), expires: Some(expires) }
}

#[test]
fn a_wrong_clock_neither_drops_what_lives_nor_sees_what_is_over() {
    let etcd = Etcd::start(1);
    let right = Native::new(&Default::default());
    let (mut good, mut fast, mut slow) = (machine(&etcd, 0), machine(&etcd, HOUR), machine(&etcd, -HOUR));
    // Early in its ten seconds, so that its lease goes on for long after its end; and not in those that come next,
    // so that it is seen before.
    let over = (right.now() / (10 * SECOND) + 2) * 10 * SECOND + 5 * SECOND / 10;
    let live = right.now() + 120 * SECOND;
    good.write(&[], &[put("/over", over), put("/live", live)]).unwrap();
    let absent = |key: &str| [Condition::Absent(key.to_owned())];
    for machine in [&mut fast, &mut slow] {
        assert!(machine.get("/live").unwrap().is_some());
        assert_eq!(machine.write(&absent("/live"), &[]), Err(Failure::Conflict(0)));
    }

    // A lease measured by a clock an hour ahead would be over at once.
    fast.write(&[], &[put("/fast", live)]).unwrap();
    machine(&etcd, HOUR).write(&[], &[put("/faster", live)]).unwrap();
    machine(&etcd, -HOUR).write(&[], &[put("/slow", live)]).unwrap();
    // All end two minutes from the beginning, whoever put them: in seconds from now, those each key is left.
    let left = || live.saturating_sub(right.now()) / SECOND;
    let (most, mut keys) = (left() + 14, Vec::new());
    for lease in etcd.call("/v3/lease/leases", &json!({}))["leases"].as_array().unwrap() {
        let answer = etcd.call("/v3/lease/timetolive", &json!({ "ID": lease["ID"], "keys": true }));
        for key in answer["keys"].as_array().into_iter().flatten() {
            keys.push((key.as_str().unwrap().to_owned(), answer["TTL"].as_str().unwrap().parse().unwrap()));
        }
    }
    // Two seconds for what is told of the time in whole ones.
    let least = left().saturating_sub(2);
    for key in ["/live", "/fast", "/faster", "/slow"] {
        let full = storage_etcd::key::text(format!("/t{key}").as_bytes());
        let lasts: Vec<u64> = keys.iter().filter(|(name, _)| *name == full).map(|(_, ttl)| *ttl).collect();
        assert!(lasts.len() == 1 && (least..=most).contains(&lasts[0]), "{key}: {lasts:?}, {least}..={most}");
    }

    let (end, mut seen) = (right.monotonic() + PATIENCE, 0);
    while good.get("/over").unwrap().is_some() {
        assert!(right.monotonic() < end);
        seen += 1;
    }
    assert!(seen > 0);
    // A second is what is told of the time, and another what that leaves open.
    while right.now() < over + 2 * SECOND {
        std::thread::yield_now();
    }
    for machine in [&mut slow, &mut fast] {
        assert_eq!(machine.get("/over").unwrap(), None);
        assert!(!machine.range("/", None, 10).unwrap().items.iter().any(|item| item.key == "/over"));
    }
    let lies = etcd.call("/v3/kv/range", &json!({ "key": storage_etcd::key::text(b"/t/over") }));
    assert_eq!(lies["count"], "1", "etcd has not removed it yet");
    assert!(slow.write(&absent("/over"), &[put("/over", live)]).is_ok());
}
