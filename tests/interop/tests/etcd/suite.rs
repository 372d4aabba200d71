//! The suite every store must pass, unchanged, on etcd: each case on a server of its own.
//!
//! etcd's clock cannot be moved, so when the suite moves the plugin's, the leases that would have ended
//! meanwhile are ended, in the order of their ends.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use port::random::SystemRandom;
use serde_json::{Value, json};
use storage::RemoteStore;
use storage::conformance::Subject;
use teleport_tests_interop::storage::{MovedClock, remote};
use tokio::task::spawn_blocking;

use crate::backend::guests;
use crate::forgetful::{FORGETS_AFTER, Forgetful};
use crate::server::Etcd;

/// How far time was moved since each lease was first seen.
#[derive(Default)]
struct Moved(HashMap<String, Duration>);

impl Moved {
    fn advance(&mut self, etcd: &Etcd, by: Duration) {
        let mut over = Vec::new();
        let leases = etcd.call("/v3/lease/leases", &json!({}))["leases"].clone();
        for lease in leases.as_array().unwrap_or(&Vec::new()) {
            let id = lease["ID"].as_str().unwrap().to_owned();
            let left = &etcd.call("/v3/lease/timetolive", &json!({ "ID": id }))["TTL"];
            let left = Duration::from_secs(left.as_str().unwrap_or("0").parse().unwrap_or(0) + 1);
            let moved = self.0.entry(id.clone()).or_default();
            *moved += by;
            if left <= *moved {
                over.push((left, id));
            }
        }
        over.sort();
        for (_, id) in over {
            let _: Value = etcd.call("/v3/lease/revoke", &json!({ "ID": id }));
        }
    }
}

async fn open() -> Subject {
    let etcd = Arc::new(spawn_blocking(|| Etcd::start(1)).await.unwrap());
    let clock = MovedClock::default();
    let guests = Arc::new(guests(&etcd, &clock));
    let settings = remote(Duration::from_millis(500));
    let store = RemoteStore::open(guests, Arc::new(SystemRandom), settings).await.unwrap();
    let (told, served, moved) = (clock.clone(), Arc::clone(&etcd), Mutex::new(Moved::default()));
    Subject {
        store: Arc::new(Forgetful::new(store, Arc::clone(&etcd))),
        clock: Arc::new(clock),
        advance: Box::new(move |by| {
            told.advance(by);
            moved.lock().unwrap().advance(&served, by);
        }),
        forgets_after: FORGETS_AFTER,
        keep: Box::new(etcd),
    }
}

storage::conformance!(open);
