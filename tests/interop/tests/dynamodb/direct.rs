//! What the plugin does beyond what the suite sees: clearing up, large things, other people's tables.

use std::time::Duration;

use serde_json::{Value, json};
use storage_dynamodb::outside::Outside as _;
use storage_dynamodb::settings::Settings;
use teleport_plugin_sdk::http::{Method, Request};
use teleport_plugin_sdk::storage_backend::{Condition, Failure, Instance as _, Operation};
use teleport_tests_interop::storage::MovedClock;
use tokio::task::block_in_place;

use crate::backend::{Instance, settings};
use crate::native::{Native, client};
use crate::server::Dynamo;

const HOUR: Duration = Duration::from_secs(3600);

fn put(key: &str, value: Vec<u8>) -> Operation {
    Operation::Put { key: key.to_owned(), value, expires: None }
}

/// Asks the server itself.
pub(crate) fn ask(native: &Native, server: &Dynamo, operation: &str, body: &Value) -> Value {
    let (url, body) = (format!("{}/", server.url()), body.to_string());
    let target = format!("DynamoDB_20120810.{operation}");
    let request = Request {
        method: Method::Post,
        url: &url,
        headers: &[("content-type", "application/x-amz-json-1.0"), ("x-amz-target", &target)],
        body: body.as_bytes(),
        connect: Duration::from_secs(5),
        timeout: Duration::from_secs(30),
        answer_max: usize::MAX,
    };
    serde_json::from_slice(&native.clone().send(&request).unwrap().body).unwrap()
}

/// How many items a partition has, by the beginning of its name.
fn count(native: &Native, server: &Dynamo, partition: &str) -> usize {
    let mut scan = json!({ "TableName": "teleport", "ProjectionExpression": "p", "ConsistentRead": true });
    let mut count = 0;
    loop {
        let answer = ask(native, server, "Scan", &scan);
        let items = answer["Items"].as_array().unwrap();
        count += items.iter().filter(|item| item["p"]["S"].as_str().unwrap().starts_with(partition)).count();
        match answer.get("LastEvaluatedKey") {
            Some(last) => scan["ExclusiveStartKey"] = last.clone(),
            None => return count,
        }
    }
}

/// Lets the watcher come round some times.
fn rounds(watcher: &mut Instance) {
    for _ in 0..3 {
        let now = watcher.current().unwrap();
        watcher.next(now, 100, Duration::from_secs(1)).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_nobody_needs_any_more_is_cleared_away() {
    block_in_place(|| {
        let (server, clock) = (Dynamo::start(), MovedClock::default());
        let native = Native::new(&clock, &client());
        let instance = || Instance::new(native.clone(), &settings(&server.url()));
        let (mut writer, mut watcher) = (instance(), instance());
        writer.open().unwrap();
        writer.write(&[], &[put("/large", vec![1; 1 << 20])]).unwrap();
        writer.write(&[], &[put("/large", vec![2; 1 << 20])]).unwrap();
        // An entry that is larger than an item may be, and a value of parts that no write came to refer to.
        writer
            .write(&[], &(0..8).map(|at| put(&format!("/{at}"), vec![0; 100_000])).collect::<Vec<_>>())
            .unwrap();
        let refused =
            writer.write(&[Condition::Present("/no".to_owned())], &[put("/never", vec![3; 1 << 20])]);
        assert_eq!(refused, Err(Failure::Conflict(0)));
        writer.write(&[], &[Operation::Delete("/0".to_owned())]).unwrap();
        let last = writer.current().unwrap();
        clock.pass(Duration::from_secs(5));
        rounds(&mut watcher);
        assert_eq!((count(&native, &server, "record"), count(&native, &server, "log")), (9, 4));
        assert_eq!((count(&native, &server, "mark"), count(&native, &server, "part/")), (4, 3 * 3 + 3));
        // What is kept of each write is told from the beginning as long as it is.
        assert_eq!(instance().next(0, 100, Duration::ZERO).unwrap().up_to, last);
        for _ in 0..4 {
            clock.pass(HOUR * 3);
            rounds(&mut watcher);
        }
        assert_eq!(count(&native, &server, "log"), 1, "the last stays");
        assert_eq!((count(&native, &server, "mark"), count(&native, &server, "part/")), (1, 3));
        assert_eq!(writer.get("/large").unwrap().unwrap().value, vec![2; 1 << 20]);
        assert!(
            matches!(instance().next(0, 100, Duration::ZERO), Err(Failure::Compacted(now)) if now == last)
        );
        assert_eq!(count(&native, &server, "record"), 9, "with the stone of what was removed");
        clock.pass(HOUR * 24);
        rounds(&mut watcher);
        assert_eq!(count(&native, &server, "record"), 8);
        assert_eq!(writer.write(&[], &[Operation::DeleteRange("/".to_owned())]).unwrap(), last + 1);
        assert!(instance().range("/", None, 10).unwrap().items.is_empty());
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_made_for_something_else_is_left_alone() {
    block_in_place(|| {
        let server = Dynamo::start();
        let native = Native::new(&MovedClock::default(), &client());
        let table = json!({
            "TableName": "teleport", "BillingMode": "PAY_PER_REQUEST",
            "AttributeDefinitions": [{ "AttributeName": "id", "AttributeType": "S" }],
            "KeySchema": [{ "AttributeName": "id", "KeyType": "HASH" }],
        });
        ask(&native, &server, "CreateTable", &table);
        let mut instance = Instance::new(native.clone(), &settings(&server.url()));
        assert!(matches!(instance.open(), Err(Failure::Invalid(text)) if text.contains("table_name")));
        let bought =
            Settings { table: "bought".to_owned(), capacity: Some((5, 6)), ..settings(&server.url()) };
        Instance::new(native.clone(), &bought).open().unwrap();
        let made = ask(&native, &server, "DescribeTable", &json!({ "TableName": "bought" }));
        assert_eq!(made["Table"]["ProvisionedThroughput"]["WriteCapacityUnits"], 6);
        let kept = Settings { backups: true, ..bought };
        let refused = Instance::new(native, &kept).open();
        assert!(matches!(refused, Err(Failure::Invalid(text)) if text.contains("continuous_backups")));
    });
}
