//! The component in the plugin host, as the daemon runs it: the suite unchanged, records written, read and
//! watched over the host's HTTP, signed by it, and under its limits. A component's clock is the machine's,
//! so where the suite moves time, time is waited for.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use domain::plugin::configuration::Written;
use domain::plugin::{Destination, Grant};
use domain::secret::Secret;
use plugin_host::{AwsKeys, PlaceSettings, PluginSettings, ServerAuthority, SignSettings};
use port::clock::{Clock as _, SystemClock};
use port::store::{Operation, Prefix, Store, StoreError, Transaction, VALUE_MAX};
use storage::conformance::{self, Subject};
use storage::{OpenError, RemoteStore};
use teleport_tests_interop::storage::{MovedClock, backend, heard, key, wait};
use tokio::task::spawn_blocking;

use crate::server::Dynamo;
use crate::suite::FORGETS_AFTER;

/// The plugin that the host carries, told where to go.
fn settings(url: &str, keys: AwsKeys) -> PluginSettings {
    let destination = Destination::parse(url).unwrap();
    let sign = Some(SignSettings { service: "dynamodb".to_owned(), region: "eu-north-1".to_owned(), keys });
    PluginSettings {
        grants: vec![Grant::http(destination.clone(), true)],
        http: vec![PlaceSettings {
            destination,
            authority: ServerAuthority::Machine,
            certificate: None,
            sign,
        }],
        config: BTreeMap::from([
            ("endpoint".to_owned(), Written::One(url.to_owned())),
            ("table_name".to_owned(), Written::One("teleport".to_owned())),
        ]),
        ..PluginSettings::default()
    }
}

fn keys() -> AwsKeys {
    AwsKeys::Given { access_key: "AKIDEXAMPLE".to_owned(), secret_key: Secret::from("s3cret"), session: None }
}

async fn open(server: &Dynamo) -> RemoteStore {
    teleport_tests_interop::storage::open("storage-dynamodb", settings(&server.url(), keys())).await.unwrap()
}

async fn subject() -> Subject {
    let server = spawn_blocking(Dynamo::start).await.unwrap();
    let store = open(&server).await;
    Subject {
        store: Arc::new(store),
        clock: Arc::new(MovedClock::default()),
        advance: Box::new(wait),
        forgets_after: FORGETS_AFTER,
        keep: Box::new(server),
    }
}

mod suite {
    storage::conformance!(super::subject);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_component_waits_as_long_as_the_daemon_asks_it_to() {
    let server = spawn_blocking(Dynamo::start).await.unwrap();
    let backend = backend("storage-dynamodb", settings(&server.url(), keys()));
    conformance::waits(&backend).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hosts_on_one_table_are_one_store() {
    let server = spawn_blocking(Dynamo::start).await.unwrap();
    let (one, other) = tokio::join!(open(&server), open(&server));
    assert!(one.about().description.contains("DynamoDB table teleport"), "{:?}", one.about());
    let mut watch = other.watch(Prefix::of(&["t"]), None).await.unwrap();
    let first = one.create(key("a"), "1".into(), None).await.unwrap();
    assert_eq!(other.create(key("a"), "2".into(), None).await, Err(StoreError::Conflict(key("a"))));
    let value = vec![7; VALUE_MAX];
    other.compare_and_swap(key("a"), first, value.clone().into(), None).await.unwrap();
    assert_eq!(one.get(&key("a")).await.unwrap().unwrap().value, value);
    let steps = Transaction::default()
        .put(key("b"), "1", None)
        .then(Operation::DeleteRange(Prefix::of(&["t"])))
        .put(key("b"), "2", None);
    one.write(steps).await.unwrap();
    for expected in ["+a", "+a", "+b", "-a", "-b", "+b"] {
        assert_eq!(heard(&mut watch).await, expected);
    }
    // A heartbeat that ends is removed by whoever keeps up the table, and told to all.
    let end = SystemClock.now().checked_add(Duration::from_secs(1)).unwrap();
    one.put(key("beat"), "1".into(), Some(end)).await.unwrap();
    assert_eq!([heard(&mut watch).await, heard(&mut watch).await], ["+beat", "-beat"]);
    assert_eq!(one.get(&key("beat")).await, Ok(None));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_largest_writes_fit_into_one_call() {
    let server = spawn_blocking(Dynamo::start).await.unwrap();
    let store = open(&server).await;
    let put = |all: Transaction, number: usize| all.put(key(&format!("{number:03}")), vec![1; 60_000], None);
    store.write((0..128).fold(Transaction::default(), put)).await.unwrap();
    let large =
        |all: Transaction, number: usize| all.put(key(&format!("{number:03}")), vec![2; VALUE_MAX], None);
    store.write((0..8).fold(Transaction::default(), large)).await.unwrap();
    let (mut sizes, mut from) = (Vec::new(), None);
    loop {
        let page = store.range(&Prefix::all(), from.as_ref(), 1000).await.unwrap();
        sizes.extend(page.items.iter().map(|item| item.value.len()));
        from = page.next;
        if from.is_none() {
            break;
        }
    }
    assert_eq!(sizes, [vec![VALUE_MAX; 8], vec![60_000; 120]].concat());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_keys_it_does_not_open_and_says_so() {
    let server = spawn_blocking(Dynamo::start).await.unwrap();
    let nowhere = AwsKeys::Machine { url: "http://127.0.0.1:1".to_owned() };
    let refused =
        teleport_tests_interop::storage::open("storage-dynamodb", settings(&server.url(), nowhere)).await;
    let Err(OpenError::Backend { source: StoreError::Unavailable(text), .. }) = refused else {
        panic!("opened without keys")
    };
    assert!(text.contains("the keys to sign with are missing"), "{text}");
}
