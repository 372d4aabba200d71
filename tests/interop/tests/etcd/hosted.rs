//! The component in the plugin host, as the daemon runs it: the suite unchanged, records written, read and
//! watched over the host's HTTP and under its limits. A component's clock is the machine's, so where the
//! suite moves time, time is waited for.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use domain::Timestamp;
use domain::plugin::configuration::Written;
use domain::plugin::{Destination, Grant};
use plugin_host::PluginSettings;
use port::clock::{Clock, SystemClock};
use port::store::{Operation, Prefix, Revision, Store, StoreError, Transaction, VALUE_MAX};
use storage::RemoteStore;
use storage::conformance::{self, Subject};
use teleport_tests_interop::PATIENCE;
use teleport_tests_interop::storage::{MovedClock, backend, heard, key, wait};
use tokio::task::{JoinSet, spawn_blocking};

use crate::forgetful::{FORGETS_AFTER, Forgetful};
use crate::server::Etcd;

/// The plugin that the host carries, told where to go.
fn settings(etcd: &Etcd) -> PluginSettings {
    let urls: Vec<_> = etcd.urls().lines().map(str::to_owned).collect();
    PluginSettings {
        grants: urls.iter().map(|url| Grant::http(Destination::parse(url).unwrap(), true)).collect(),
        config: BTreeMap::from([("peers".to_owned(), Written::Many(urls))]),
        ..PluginSettings::default()
    }
}

async fn open(members: usize) -> (Etcd, RemoteStore) {
    open_with(members, |_| {}).await
}

async fn open_with(members: usize, set: impl Fn(&mut PluginSettings)) -> (Etcd, RemoteStore) {
    let etcd = spawn_blocking(move || Etcd::start(members)).await.unwrap();
    let mut settings = settings(&etcd);
    set(&mut settings);
    let store = teleport_tests_interop::storage::open("storage-etcd", settings).await.unwrap();
    (etcd, store)
}

async fn subject() -> Subject {
    let (etcd, store) = open(1).await;
    let etcd = Arc::new(etcd);
    Subject {
        store: Arc::new(Forgetful::new(store, Arc::clone(&etcd))),
        clock: Arc::new(MovedClock::default()),
        advance: Box::new(wait),
        forgets_after: FORGETS_AFTER,
        keep: Box::new(etcd),
    }
}

mod suite {
    storage::conformance!(super::subject);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_component_waits_as_long_as_the_daemon_asks_it_to() {
    let etcd = spawn_blocking(|| Etcd::start(1)).await.unwrap();
    let backend = backend("storage-etcd", settings(&etcd));
    conformance::waits(&backend).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_component_keeps_records_over_the_hosts_http() {
    let (_etcd, store) = open(1).await;
    assert!(store.about().description.contains("etcd 3."), "{:?}", store.about());
    assert_eq!(store.about().value_max, VALUE_MAX);
    let mut watch = store.watch(Prefix::of(&["t"]), None).await.unwrap();
    let first = store.create(key("a"), "1".into(), None).await.unwrap();
    assert_eq!(store.create(key("a"), "2".into(), None).await, Err(StoreError::Conflict(key("a"))));
    let value = vec![7; VALUE_MAX];
    store.compare_and_swap(key("a"), first, value.clone().into(), None).await.unwrap();
    assert_eq!(store.get(&key("a")).await.unwrap().unwrap().value, value);
    let steps = Transaction::default()
        .put(key("b"), "1", None)
        .then(Operation::DeleteRange(Prefix::of(&["t"])))
        .put(key("b"), "2", None);
    store.write(steps).await.unwrap();
    for expected in ["+a", "+a", "+b", "-a", "-b", "+b"] {
        assert_eq!(heard(&mut watch).await, expected);
    }
    // A heartbeat that ends is removed by etcd and told.
    let end: Timestamp = SystemClock.now().checked_add(Duration::from_secs(1)).unwrap();
    store.put(key("beat"), "1".into(), Some(end)).await.unwrap();
    assert_eq!([heard(&mut watch).await, heard(&mut watch).await], ["+beat", "-beat"]);
    assert_eq!(store.get(&key("beat")).await, Ok(None));
    let mut again = store.watch(Prefix::of(&["t"]), Some(Revision(first.0 - 1))).await.unwrap();
    assert_eq!(heard(&mut again).await, "+a");
}

/// An instance is kept for thousands of calls, so each must let go of all it held.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_instance_that_is_kept_holds_no_more_handles_with_every_call() {
    let few = |plugin: &mut PluginSettings| {
        plugin.limits.insert("handles".to_owned(), "64".to_owned());
    };
    let (_etcd, store) = open_with(1, few).await;
    for round in 0..300 {
        let written = store.put(key("a"), round.to_string().into(), None).await;
        assert!(written.is_ok(), "call {round}: {written:?}");
        let read = store.get(&key("a")).await;
        assert!(read.is_ok(), "call {round}: {read:?}");
    }
}

/// What many ask at the same time goes to etcd together, and each is answered as if it had been alone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_at_once_are_asked_together_and_answered_each() {
    const MANY: usize = 300;
    let (etcd, store) = open(1).await;
    let store = Arc::new(store);
    let before = etcd.now();
    let mut watch = store.watch(Prefix::of(&["t"]), None).await.unwrap();
    let name = |number: usize| key(&format!("{number:03}"));
    let mut putting = JoinSet::new();
    for number in 0..MANY {
        let store = Arc::clone(&store);
        // Every tenth is as large as may be.
        let value = vec![7; if number % 10 == 0 { VALUE_MAX } else { number }];
        putting.spawn(async move { store.put(name(number), value.into(), None).await.unwrap() });
    }
    let revisions: BTreeSet<_> = putting.join_all().await.into_iter().collect();
    assert_eq!(revisions.len(), MANY, "each write takes a revision of its own");
    let of_etcd = etcd.now() - before;
    assert!(of_etcd < MANY as u64 / 2, "{MANY} writes were {of_etcd} of etcd's");
    let mut told = BTreeSet::new();
    for _ in 0..MANY {
        assert!(told.insert(heard(&mut watch).await), "each is told once");
    }
    let mut getting = JoinSet::new();
    for number in 0..=MANY {
        let store = Arc::clone(&store);
        getting.spawn(async move { (number, store.get(&name(number)).await.unwrap()) });
    }
    for (number, item) in getting.join_all().await {
        let size = item.as_ref().map(|item| item.value.len());
        let expected = if number % 10 == 0 { VALUE_MAX } else { number };
        assert_eq!(size, (number < MANY).then_some(expected), "{number}");
        assert!(item.is_none_or(|item| item.key == name(number) && revisions.contains(&item.revision)));
    }
}

/// The revision of a put that went with others is as good as that of any: it is told, compared and gone on from.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_of_puts_that_went_together_has_a_revision_to_rely_on() {
    const MANY: usize = 60;
    let (etcd, store) = open(1).await;
    let store = Arc::new(store);
    let before = etcd.now();
    let mut watch = store.watch(Prefix::of(&["t"]), None).await.unwrap();
    let mut putting = JoinSet::new();
    for number in 0..MANY {
        let (store, key) = (Arc::clone(&store), key(&format!("{number:02}")));
        putting.spawn(async move { (store.put(key.clone(), "1".into(), None).await.unwrap(), key) });
    }
    let mut acknowledged = putting.join_all().await;
    acknowledged.sort();
    assert!(etcd.now() - before < MANY as u64 / 2, "they did go together");
    let mut told = Vec::new();
    for _ in 0..MANY {
        let event = watch.next().await.unwrap().unwrap();
        told.push((event.revision, event.change.key().clone()));
    }
    assert_eq!(told, acknowledged);
    for pair in acknowledged.windows(2).step_by(7) {
        let [(revision, key), (next, next_key)] = pair else { panic!("two") };
        let mut from_here = store.watch(Prefix::of(&["t"]), Some(*revision)).await.unwrap();
        let event = from_here.next().await.unwrap().unwrap();
        assert_eq!((event.revision, event.change.key()), (*next, next_key));
        let swap = |revision| store.compare_and_swap(key.clone(), revision, "2".into(), None);
        assert_eq!(swap(*next).await, Err(StoreError::Conflict(key.clone())), "that of another");
        swap(*revision).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_of_large_values_stay_within_the_components_memory() {
    let (_etcd, store) = open(1).await;
    let start = store.range(&Prefix::all(), None, 1).await.unwrap().revision;
    for number in 0..40 {
        let value = vec![number; VALUE_MAX];
        store.put(key(&format!("{number:02}")), value.into(), None).await.unwrap();
    }
    let (mut count, mut from) = (0, None);
    loop {
        let page = store.range(&Prefix::all(), from.as_ref(), 1000).await.unwrap();
        count += page.items.len();
        from = page.next;
        if from.is_none() {
            break;
        }
    }
    assert_eq!(count, 40);
    let mut watch = store.watch(Prefix::all(), Some(start)).await.unwrap();
    for number in 0..40 {
        assert_eq!(heard(&mut watch).await, format!("+{number:02}"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_component_goes_on_when_a_member_is_lost() {
    let (mut etcd, store) = open(3).await;
    let mut watch = store.watch(Prefix::of(&["t"]), None).await.unwrap();
    store.put(key("before"), "1".into(), None).await.unwrap();
    assert_eq!(heard(&mut watch).await, "+before");
    etcd.members[0].kill();
    // A write whose answer was lost is not repeated by the store: its caller decides.
    let write = async {
        loop {
            match store.put(key("after"), "1".into(), None).await {
                Ok(revision) => return revision,
                Err(StoreError::Unavailable(_)) => {}
                Err(error) => panic!("{error}"),
            }
        }
    };
    tokio::time::timeout(PATIENCE, write).await.unwrap();
    assert_eq!(heard(&mut watch).await, "+after");
    assert!(store.get(&key("before")).await.unwrap().is_some());
}
