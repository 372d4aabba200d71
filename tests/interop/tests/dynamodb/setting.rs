//! A table's settings, against the server that has them: time to live, backups, capacity, transactions.

use std::time::Duration;

use serde_json::{Value, json};
use storage_dynamodb::outside::Outside as _;
use storage_dynamodb::settings::Settings;
use teleport_plugin_sdk::storage_backend::{Change, Condition, Failure, Instance as _, Operation};
use teleport_tests_interop::storage::MovedClock;
use tokio::task::block_in_place;

use crate::backend::{Instance, settings};
use crate::direct::ask;
use crate::fault::{Fault, faulty};
use crate::native::{Native, client};
use crate::server::Dynamo;

fn table() -> Value {
    json!({ "TableName": "teleport" })
}

fn put(key: &str, expires: Option<u64>) -> Operation {
    Operation::Put { key: key.to_owned(), value: b"1".to_vec(), expires }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_is_made_as_the_operator_wants_it() {
    block_in_place(|| {
        let server = Dynamo::moto();
        let native = Native::new(&MovedClock::default(), &client());
        let wanted = Settings { backups: true, capacity: Some((7, 9)), ..settings(&server.url()) };
        let about = Instance::new(native.clone(), &wanted).open().unwrap();
        assert!(about.description.contains("made now"), "{about:?}");
        assert!(!about.description.contains("has no"), "{about:?}");
        let made = ask(&native, &server, "DescribeTable", &table());
        assert_eq!(made["Table"]["ProvisionedThroughput"]["WriteCapacityUnits"], 9);
        let backups = ask(&native, &server, "DescribeContinuousBackups", &table());
        let status = "/ContinuousBackupsDescription/PointInTimeRecoveryDescription/PointInTimeRecoveryStatus";
        assert_eq!(backups.pointer(status).unwrap(), "ENABLED");
        let lives = ask(&native, &server, "DescribeTimeToLive", &table());
        assert_eq!(
            lives["TimeToLiveDescription"],
            json!({ "TimeToLiveStatus": "ENABLED", "AttributeName": "t" })
        );
        // The next auth server finds all of it.
        let again = Instance::new(native, &wanted).open().unwrap();
        assert!(
            !again.description.contains("made now") && !again.description.contains("has no"),
            "{again:?}"
        );
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_ready_yet_or_not_allowed_is_told_apart() {
    block_in_place(|| {
        let server = Dynamo::moto();
        let wanted = Settings { backups: true, ..settings(&server.url()) };
        let (mut instance, faults) = faulty(&wanted);
        let next = |operation, refusals: &[&'static str]| {
            let refusals = refusals.iter().map(|kind| (operation, Fault::Refused(400, kind)));
            faults.lock().unwrap().extend(refusals);
        };
        // Another auth server turns it on at the same moment; the cloud has backups ready a moment later.
        next("UpdateTimeToLive", &["ValidationException"]);
        next("UpdateContinuousBackups", &["ContinuousBackupsUnavailableException"; 3]);
        assert!(!instance.open().unwrap().description.contains("has no"));
        assert!(faults.lock().unwrap().is_empty(), "all of it was met");
        for operation in ["DescribeTable", "DescribeTimeToLive", "DescribeContinuousBackups"] {
            next(operation, &["AccessDeniedException"]);
            let refused = instance.open();
            assert!(
                matches!(&refused, Err(Failure::Invalid(text)) if text.contains("policy")),
                "{operation}: {refused:?}"
            );
        }
        instance.open().unwrap();
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_follow_in_transactions_and_say_when_the_cloud_may_remove_them() {
    block_in_place(|| {
        let (server, clock) = (Dynamo::moto(), MovedClock::default());
        let native = Native::new(&clock, &client());
        let mut instance = Instance::new(native.clone(), &settings(&server.url()));
        instance.open().unwrap();
        let end = native.now() + 60_000_000;
        let mut operations: Vec<_> = (0..127).map(|at| put(&format!("/n/{at:03}"), None)).collect();
        operations.push(put("/beat", Some(end)));
        assert_eq!(instance.write(&[Condition::Absent("/beat".to_owned())], &operations), Ok(1));
        let follow = |instance: &mut Instance| {
            clock.pass(Duration::from_secs(5));
            for _ in 0..3 {
                let now = instance.current().unwrap();
                instance.next(now, 100, Duration::from_secs(1)).unwrap();
            }
        };
        follow(&mut instance);
        let key =
            json!({ "TableName": "teleport", "Key": { "p": { "S": "record" }, "s": { "S": "/beat" } } });
        let record = ask(&native, &server, "GetItem", &key);
        // A week after it is due, in whole seconds: only what no auth server came to remove.
        let due: u64 = record["Item"]["t"]["N"].as_str().unwrap().parse().unwrap();
        assert_eq!(due, end / 1_000_000 + 7 * 24 * 3600);
        assert_eq!(instance.range("/n/", None, 1000).unwrap().items.len(), 127);
        // Over: gone for readers at once, for watchers with the next round.
        clock.pass(Duration::from_secs(61));
        assert_eq!(instance.get("/beat"), Ok(None));
        follow(&mut instance);
        let batch = instance.next(1, 100, Duration::from_secs(5)).unwrap();
        assert_eq!(batch.events[0].change, Change::Delete("/beat".to_owned()));
    });
}
