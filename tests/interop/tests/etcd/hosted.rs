//! The component in the plugin host, as the daemon runs it: the suite unchanged, records written, read and
//! watched over the host's HTTP and under its limits. A component's clock is the machine's, so where the
//! suite moves time, time is waited for.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use domain::Timestamp;
use domain::plugin::configuration::Written;
use domain::plugin::{Destination, Digest, Grant, PluginName};
use plugin_host::{Compiler, PluginHost, PluginSettings, Settings};
use port::clock::{Clock, SystemClock};
use port::random::SystemRandom;
use port::store::{
    Change, Key, Operation, Prefix, Revision, Store, StoreError, Transaction, VALUE_MAX, Watch,
};
use storage::conformance::Subject;
use storage::{RemoteSettings, RemoteStore};
use teleport_tests_interop::PATIENCE;
use tempfile::TempDir;
use tokio::task::spawn_blocking;

use crate::forgetful::{FORGETS_AFTER, Forgetful};
use crate::native::MovedClock;
use crate::server::Etcd;

const NAME: &str = "storage-etcd";

/// The component, built once per run.
fn component() -> &'static [u8] {
    static BUILT: OnceLock<Vec<u8>> = OnceLock::new();
    BUILT.get_or_init(|| {
        let plugins = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../plugins");
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args([
            "build",
            "--quiet",
            "--release",
            "--locked",
            "--target",
            "wasm32-wasip2",
            "--package",
            NAME,
        ]);
        for foreign in ["CARGO_ENCODED_RUSTFLAGS", "CARGO_TARGET_DIR", "RUSTC_WORKSPACE_WRAPPER", "RUSTFLAGS"]
        {
            cargo.env_remove(foreign);
        }
        let built = cargo.current_dir(&plugins).output().unwrap();
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
        std::fs::read(plugins.join("target/wasm32-wasip2/release/storage_etcd.wasm")).unwrap()
    })
}

/// Longer than any item of the suite lives.
const WAIT_MAX: Duration = Duration::from_secs(61);

async fn subject() -> Subject {
    let Hosted { store, etcd, folder } = open(1).await;
    let etcd = Arc::new(etcd);
    Subject {
        store: Arc::new(Forgetful::new(store, Arc::clone(&etcd))),
        clock: Arc::new(MovedClock::default()),
        advance: Box::new(|by| {
            #[allow(clippy::disallowed_methods, reason = "another process's time is waited for")]
            tokio::task::block_in_place(|| std::thread::sleep(by.min(WAIT_MAX)));
        }),
        forgets_after: FORGETS_AFTER,
        keep: Box::new((etcd, folder)),
    }
}

mod suite {
    storage::conformance!(super::subject);
}

struct Hosted {
    store: RemoteStore,
    etcd: Etcd,
    folder: TempDir,
}

fn settings(folder: &Path, etcd: &Etcd) -> Settings {
    let place = |name: &str| -> PathBuf {
        let path = folder.join(name);
        std::fs::create_dir_all(&path).unwrap();
        path
    };
    let directory = place("plugins");
    let plugin = directory.join(NAME);
    std::fs::create_dir(&plugin).unwrap();
    std::fs::write(plugin.join("plugin.wasm"), component()).unwrap();
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../plugins/storage-etcd/plugin.toml");
    std::fs::copy(manifest, plugin.join("plugin.toml")).unwrap();
    let mut settings = Settings::new(place("data"));
    settings.directory = Some(directory);
    settings.compiler = Compiler::InProcess;
    settings.storage = true;
    let grant = |url: &str| Grant::http(Destination::parse(url).unwrap(), true);
    let urls: Vec<_> = etcd.urls().lines().map(str::to_owned).collect();
    let of_plugin = PluginSettings {
        digests: vec![Digest::of(component())],
        grants: urls.iter().map(|url| grant(url)).collect(),
        config: BTreeMap::from([("peers".to_owned(), Written::Many(urls))]),
        ..PluginSettings::default()
    };
    settings.plugins.insert(PluginName::new(NAME).unwrap(), of_plugin);
    settings
}

async fn open(members: usize) -> Hosted {
    open_with(members, |_| {}).await
}

async fn open_with(members: usize, set: impl Fn(&mut PluginSettings)) -> Hosted {
    let (etcd, folder, mut settings) = spawn_blocking(move || {
        let (etcd, folder) = (Etcd::start(members), tempfile::tempdir().unwrap());
        let settings = settings(folder.path(), &etcd);
        (etcd, folder, settings)
    })
    .await
    .unwrap();
    settings.plugins.get_mut(&PluginName::new(NAME).unwrap()).into_iter().for_each(set);
    let host = Arc::new(PluginHost::new(settings).unwrap());
    let backend = Arc::new(host.storage(PluginName::new(NAME).unwrap()));
    let remote = RemoteSettings { history: 1024, wait: Duration::from_secs(2), ..RemoteSettings::default() };
    let store = RemoteStore::open(backend, Arc::new(SystemRandom), remote).await.unwrap();
    Hosted { store, etcd, folder }
}

fn key(name: &str) -> Key {
    Key::of(&["t", name])
}

/// The next change, as `+name` or `-name`.
async fn heard(watch: &mut Watch) -> String {
    let event = tokio::time::timeout(PATIENCE, watch.next()).await.unwrap().unwrap().unwrap();
    match event.change {
        Change::Put(item) => format!("+{}", item.key.last_segment()),
        Change::Delete(key) => format!("-{}", key.last_segment()),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_component_keeps_records_over_the_hosts_http() {
    let hosted = open(1).await;
    let store = &hosted.store;
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
    let hosted = open_with(1, few).await;
    for round in 0..300 {
        let written = hosted.store.put(key("a"), round.to_string().into(), None).await;
        assert!(written.is_ok(), "call {round}: {written:?}");
        let read = hosted.store.get(&key("a")).await;
        assert!(read.is_ok(), "call {round}: {read:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_of_large_values_stay_within_the_components_memory() {
    let hosted = open(1).await;
    let store = &hosted.store;
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
    let mut hosted = open(3).await;
    let mut watch = hosted.store.watch(Prefix::of(&["t"]), None).await.unwrap();
    hosted.store.put(key("before"), "1".into(), None).await.unwrap();
    assert_eq!(heard(&mut watch).await, "+before");
    hosted.etcd.members[0].kill();
    let store = &hosted.store;
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
