//! A storage backend that does its worst: what it is asked ends in time and is an error the store knows,
//! the next question is answered, and the suite of all stores catches what no single answer shows.

use std::error::Error as _;
use std::sync::Arc;
use std::time::Duration;

use domain::plugin::configuration::Written;
use domain::plugin::{Grant, PluginName};
use futures::future::join_all;
use plugin_host::StoragePlugin;
use port::backend::Backend as _;
use port::clock::SystemClock;
use port::random::SystemRandom;
use port::store::{Key, Prefix, Revision, Store as _, StoreError, Transaction};
use storage::conformance::{self, Subject};
use storage::{RemoteSettings, RemoteStore};
use tokio::time::{Instant, timeout};

use crate::bed::{Bed, LONG, Running, guest, label, manifest};

pub(crate) const NAME: &str = "backend";

/// A bed whose backend does this deed; none for an honest one.
pub(crate) fn bed(deed: &str) -> Bed {
    let mut bed = Bed::new();
    let manifest = manifest(NAME).replace("label-provider", "storage-backend")
        + "[[needs]]\ncapability = \"kv\"\nreason = \"keeps the records\"\n\
           [config.deed]\ntype = \"text\"\ndefault = \"\"\ndescription = \"what it does instead\"\n";
    bed.install(NAME, &guest(NAME), &manifest);
    bed.pin(NAME);
    bed.settings.storage = Some(PluginName::new(NAME).unwrap());
    let plugin = bed.plugin(NAME);
    plugin.grants.push(Grant::kv());
    plugin.config.insert("deed".to_owned(), Written::One(deed.to_owned()));
    bed.limit(NAME, "kv_bytes", "1MiB");
    bed
}

pub(crate) fn backend(host: &Running) -> StoragePlugin {
    host.storage(PluginName::new(NAME).unwrap())
}

pub(crate) fn key() -> Key {
    Key::of(&["t", "a"])
}

pub(crate) fn put() -> Transaction {
    Transaction::default().put(key(), "1", None)
}

/// Asks a function of the contract, and gives the text of its error.
async fn ask(backend: &StoragePlugin, function: &str) -> Result<(), StoreError> {
    let asking = async {
        match function {
            "open" => backend.open().await.map(drop),
            "get" => backend.get(&key()).await.map(drop),
            "range" => backend.range(&Prefix::all(), None, 10).await.map(drop),
            "write" => backend.write(&put()).await.map(drop),
            "current" => backend.current().await.map(drop),
            "next" => backend.tail(Revision(0)).await?.next(10, Duration::ZERO).await.map(drop),
            other => panic!("there is no function {other}"),
        }
    };
    timeout(LONG, asking).await.expect("every question ends")
}

const FUNCTIONS: [&str; 6] = ["open", "get", "range", "write", "current", "next"];

/// Each function, in a host of its own, does this deed, and the error is of the kind and has the words. All others
/// answer before and after.
async fn each(functions: &[&str], deed: &str, limits: &[(&str, &str)], says: &str) {
    let mut all = Vec::new();
    for bad in functions {
        let mut bed = bed(&format!("{bad} {deed}"));
        limits.iter().for_each(|(key, value)| bed.limit(NAME, key, value));
        let host = bed.host();
        // Compiled one after the other, and asked at the same time: some take all the time they may.
        assert!(host.check([NAME]).await.is_empty());
        all.push(async move {
            let backend = backend(&host);
            for function in FUNCTIONS {
                match ask(&backend, function).await {
                    Ok(()) => assert_ne!(function, *bad, "{deed}"),
                    Err(StoreError::Unavailable(text)) => {
                        assert_eq!(function, *bad, "{deed}: {text}");
                        assert!(text.contains(says), "{bad} {deed}: {text}");
                    }
                    Err(other) => panic!("{bad} {deed}: {other:?}"),
                }
            }
        });
    }
    join_all(all).await;
}

#[tokio::test]
async fn an_honest_one_answers_everything() {
    let host = bed("").host();
    for function in FUNCTIONS {
        ask(&backend(&host), function).await.unwrap_or_else(|error| panic!("{function}: {error}"));
    }
}

#[tokio::test]
async fn a_crash_in_each_function_is_an_error_of_that_question_alone() {
    each(&FUNCTIONS, "trap", &[], "plugin backend 0.0.1 crashed: ").await;
}

#[tokio::test]
async fn one_that_crashes_again_and_again_rests_before_it_is_begun_anew() {
    let host = bed("get trap").host();
    assert!(host.check([NAME]).await.is_empty());
    let (backend, began) = (backend(&host), Instant::now());
    for crash in 0..9 {
        assert!(ask(&backend, "get").await.is_err(), "{crash}");
    }
    // 10, 20, 40, 80 and 160 ms.
    assert!(began.elapsed() >= Duration::from_millis(310), "{:?}", began.elapsed());
    ask(&backend, "current").await.unwrap();
}

#[tokio::test]
async fn a_function_that_hangs_is_given_up() {
    // Time enough for those that answer.
    each(&FUNCTIONS, "hang", &[("wall", "5s")], "did not answer within 5s").await;
}

#[tokio::test]
async fn a_function_that_loops_is_stopped() {
    each(&FUNCTIONS, "loop", &[("cpu", "200ms")], "used up 200ms of processor time").await;
}

#[tokio::test]
async fn an_answer_of_very_many_bytes_is_not_taken() {
    let limits = [("host_call", "16MiB"), ("cpu", "20s"), ("wall", "1m")];
    each(&["open", "get", "range", "next"], "swell", &limits, "more bytes in one host call than 16MiB").await;
}

#[tokio::test]
async fn an_answer_of_more_bytes_than_it_may_have_is_not_taken() {
    let limits = [("output", "1MiB"), ("cpu", "20s"), ("wall", "1m")];
    each(&["range", "next"], "many", &limits, "more bytes in one answer than 1MiB").await;
}

#[tokio::test]
async fn one_that_does_not_rest_while_it_waits_is_found_out() {
    let honest = bed("").host();
    conformance::waits(&backend(&honest)).await.unwrap();
    let mut restless = bed("next restless");
    restless.limit(NAME, "cpu", "200ms");
    let said = conformance::waits(&backend(&restless.host())).await.unwrap_err();
    assert!(said.contains("used up 200ms of processor time"), "{said}");
}

#[tokio::test]
async fn others_are_answered_while_one_function_hangs() {
    let mut bed = bed("get hang");
    bed.limit(NAME, "wall", "1m");
    bed.install("good", &guest("hostile"), &manifest("good"));
    bed.pin("good");
    let host = bed.host();
    // What compiling takes is not to come from the time they hang.
    assert!(host.check([NAME, "good"]).await.is_empty());
    let backend = Arc::new(backend(&host));
    ask(&backend, "write").await.unwrap();
    // Fewer than there are turns.
    let hanging: Vec<_> = (0..4)
        .map(|_| {
            let backend = Arc::clone(&backend);
            tokio::spawn(async move { backend.get(&key()).await })
        })
        .collect();
    for _ in 0..20 {
        ask(&backend, "range").await.unwrap();
        assert_eq!(host.call(&label("good", "echo well")).await.unwrap().result.unwrap(), "well");
    }
    assert!(hanging.iter().all(|question| !question.is_finished()), "they hang for a minute");
    hanging.iter().for_each(tokio::task::JoinHandle::abort);
    // What was given up gives its turn back.
    let began = Instant::now();
    for _ in 0..40 {
        let given_up = timeout(Duration::from_millis(5), backend.get(&key())).await;
        assert!(given_up.is_err());
    }
    ask(&backend, "range").await.unwrap();
    assert!(began.elapsed() < LONG);
}

#[tokio::test]
async fn a_storage_backend_computes_no_labels() {
    let host = bed("").host();
    let report = host.call(&label(NAME, "x")).await.unwrap();
    let text = report.result.unwrap_err().to_string();
    assert_eq!(text, "plugin backend is no teleport:label-provider; name one that is");
}

/// A store over the backend.
async fn store(deed: &str) -> (RemoteStore, Running) {
    let host = bed(deed).host();
    let settings = RemoteSettings { wait: Duration::from_millis(200), ..RemoteSettings::default() };
    let store = RemoteStore::open(Arc::new(backend(&host)), Arc::new(SystemRandom), settings).await.unwrap();
    (store, host)
}

/// Whether this case of the suite holds on it.
async fn passes(case: &'static str, deed: &str) -> bool {
    let (store, host) = store(deed).await;
    let subject = Subject {
        store: Arc::new(store),
        clock: Arc::new(SystemClock),
        advance: Box::new(|_| panic!("the cases used here wait for nothing")),
        forgets_after: usize::MAX,
        keep: Box::new(host),
    };
    tokio::spawn(conformance::run(case, subject)).await.is_ok()
}

#[tokio::test]
async fn the_suite_catches_a_plugin_that_acknowledges_and_forgets() {
    for case in ["a_write_is_seen_by_the_next_read", "a_transaction_happens_whole"] {
        assert!(passes(case, "").await, "{case} holds on an honest one");
        assert!(!passes(case, "write forget").await, "{case} catches it");
    }
}

#[tokio::test]
async fn revisions_that_do_not_rise_are_damage() {
    let (store, _host) = store("write stand-still").await;
    store.put(key(), "1".into(), None).await.unwrap();
    store.put(key(), "2".into(), None).await.ok();
    let third = store.put(key(), "3".into(), None).await;
    assert!(matches!(third, Err(StoreError::Corrupt(_))), "{third:?}");
}

#[tokio::test]
async fn a_backend_that_cannot_be_followed_is_no_store_and_says_why() {
    for (deed, says) in
        [("next trap", "crashed: "), ("next backwards", "told changes up to 0 when asked for those after 1")]
    {
        let host = bed(deed).host();
        ask(&backend(&host), "write").await.unwrap();
        let settings = RemoteSettings::default();
        let opened = RemoteStore::open(Arc::new(backend(&host)), Arc::new(SystemRandom), settings).await;
        let error = opened.err().unwrap_or_else(|| panic!("{deed}: it is open"));
        let text = format!("{error}: {:?}", error.source());
        assert!(text.contains(says), "{deed}: {text}");
        // Reading and writing it is no worse for that.
        ask(&backend(&host), "write").await.unwrap();
        ask(&backend(&host), "get").await.unwrap();
    }
}

#[tokio::test]
async fn so_many_follow_the_changes_and_no_more() {
    let mut bed = bed("");
    bed.settings.tails = 2;
    let host = bed.host();
    let backend = backend(&host);
    let (first, _second) =
        (backend.tail(Revision(0)).await.unwrap(), backend.tail(Revision(0)).await.unwrap());
    let Err(error) = backend.tail(Revision(0)).await else { panic!("a third follows") };
    assert!(error.to_string().contains("2 calls were running all the time"), "{error}");
    drop(first);
    backend.tail(Revision(0)).await.unwrap();
}

#[tokio::test]
async fn one_that_was_switched_off_before_it_kept_the_records_serves_them() {
    let name = PluginName::new(NAME).unwrap();
    let mut bed = bed("");
    bed.settings.storage = None;
    let host = bed.host();
    assert!(host.disable(&name, "a test").await.unwrap());
    assert!(backend(&host).open().await.unwrap_err().to_string().contains("switched off"));
    bed.settings.storage = Some(name);
    backend(&bed.host()).open().await.unwrap();
}

#[tokio::test]
async fn only_the_plugin_that_keeps_the_records_cannot_be_switched_off() {
    let name = PluginName::new(NAME).unwrap();
    let mut bed = bed("");
    let host = bed.host();
    backend(&host).open().await.unwrap();
    let error = host.disable(&name, "a test").await.unwrap_err();
    assert!(matches!(error, plugin_host::LoadError::KeepsRecords(_)), "{error}");
    bed.settings.storage = Some(PluginName::new("another").unwrap());
    let host = bed.host();
    assert!(host.check([NAME]).await.is_empty());
    assert!(host.disable(&name, "a test").await.unwrap(), "nobody's records are in it");
}
