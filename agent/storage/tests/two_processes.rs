//! Two processes on one data directory: neither loses a write of the other, each hears of the
//! other's changes, and neither is shut out while the other is busy.
//!
//! The test starts itself again as the second process; an environment variable tells which it is.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test fails by panicking, and its child speaks through its output"
)]

use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use port::clock::SystemClock;
use port::store::{Change, Key, Prefix, Revision, Store, StoreError};
use teleport_storage::{Settings, SqliteStore};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::task::JoinSet;

const CHILD: &str = "TELEPORT_STORAGE_SECOND_PROCESS";
const INCREMENTS: u64 = 150;
const CALLERS: u64 = 4;
const PATIENCE: Duration = Duration::from_secs(120);

#[test]
fn share_a_counter() {
    twice("share_a_counter", async |folder| increment(folder).await, count_together);
}

#[test]
fn both_get_their_turn() {
    twice("both_get_their_turn", async |folder| flood(folder).await, write_beside_a_flood);
}

/// Runs `second` in a child process, which is this test again, and `first` here.
fn twice(test: &'static str, second: impl AsyncFnOnce(&Path), first: impl AsyncFnOnce(&'static str)) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    match std::env::var_os(CHILD) {
        Some(folder) => runtime.block_on(second(Path::new(&folder))),
        None => runtime.block_on(async {
            tokio::time::timeout(PATIENCE, first(test)).await.expect("the two come to an end");
        }),
    }
}

async fn open(folder: &Path) -> Arc<SqliteStore> {
    let settings = Settings { poll: Duration::from_millis(20), ..Settings::default() };
    Arc::new(SqliteStore::open_with(folder, Arc::new(SystemClock), settings).await.unwrap())
}

fn start(test: &str, folder: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args([test, "--exact", "--nocapture"])
        .env(CHILD, folder)
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap()
}

// ---- a counter both raise

fn counter() -> Key {
    Key::of(&["shared", "counter"])
}

/// Raises the counter by compare-and-swap, from several tasks; the revisions are told.
async fn increment(folder: &Path) {
    let store = open(folder).await;
    let mut callers = JoinSet::new();
    for _ in 0..CALLERS {
        callers.spawn(raise(Arc::clone(&store)));
    }
    for revision in callers.join_all().await.into_iter().flatten() {
        println!("raised {revision}");
    }
}

async fn raise(store: Arc<SqliteStore>) -> Vec<Revision> {
    let mut revisions = Vec::new();
    while revisions.len() < usize::try_from(INCREMENTS / CALLERS).unwrap() {
        let item = store.get(&counter()).await.unwrap().unwrap();
        let next = number(&item.value) + 1;
        match store.compare_and_swap(counter(), item.revision, next.to_string().into(), None).await {
            Ok(revision) => revisions.push(revision),
            Err(StoreError::Conflict(_)) => {}
            Err(error) => unreachable!("{error}"),
        }
    }
    revisions
}

fn number(value: &[u8]) -> u64 {
    std::str::from_utf8(value).unwrap().parse().unwrap()
}

async fn count_together(test: &'static str) {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    store.put(counter(), "0".into(), None).await.unwrap();
    let mut watch = store.watch(Prefix::of(&["shared"]), None).await.unwrap();
    let child = start(test, folder.path());
    let mut own = raise(Arc::clone(&store)).await;
    let output = child.wait_with_output().await.unwrap();
    assert!(output.status.success());
    let printed = String::from_utf8(output.stdout).unwrap();
    let theirs: Vec<_> = printed
        .lines()
        .filter_map(|line| line.split_once("raised "))
        .map(|(_, revision)| Revision(revision.parse().unwrap()))
        .collect();

    let per_caller = INCREMENTS / CALLERS;
    assert_eq!(u64::try_from(theirs.len()).unwrap(), per_caller * CALLERS);
    let total = per_caller * (CALLERS + 1);
    let last = store.get(&counter()).await.unwrap().unwrap();
    assert_eq!(number(&last.value), total, "no increment is lost");

    // The watcher heard every step of both, in order.
    own.extend(theirs);
    own.sort_unstable();
    let mut heard = Vec::new();
    for step in 1..=total {
        let event = watch.next().await.unwrap().unwrap();
        let Change::Put(item) = event.change else { unreachable!("nobody deletes") };
        assert_eq!(number(&item.value), step);
        heard.push(event.revision);
    }
    assert_eq!(heard, own);
}

// ---- one that writes without pause

async fn flood(folder: &Path) {
    let store = open(folder).await;
    let mut callers = JoinSet::new();
    for caller in 0..64 {
        let store = Arc::clone(&store);
        callers.spawn(async move {
            for count in 0_u64.. {
                let key = Key::of(&["flood", &caller.to_string()]);
                store.put(key, count.to_string().into(), None).await.unwrap();
                if caller == 0 && count == 5 {
                    println!("flooding");
                }
            }
        });
    }
    callers.join_all().await;
}

/// Beside a process that always has a commit under way, each write must get its turn: none may wait
/// for the whole ten seconds after which it would fail.
async fn write_beside_a_flood(test: &'static str) {
    let folder = tempfile::tempdir().unwrap();
    let mut child = start(test, folder.path());
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    while !lines.next_line().await.unwrap().expect("the child floods").ends_with("flooding") {}
    let store = open(folder.path()).await;
    let mut watch = store.watch(Prefix::of(&["flood"]), None).await.unwrap();
    let began = tokio::time::Instant::now();
    for count in 0..50 {
        store.put(Key::of(&["own", "key"]), count.to_string().into(), None).await.unwrap();
        assert!(watch.next().await.unwrap().is_ok(), "the flood is heard meanwhile");
    }
    println!("50 writes beside a flood in {:?}", began.elapsed());
    child.kill().await.unwrap();
}
