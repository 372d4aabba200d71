//! Killed with SIGKILL at random points, fifty times on one data directory: what was acknowledged is
//! there afterwards, and nothing is there by halves.
//!
//! The test starts itself again as the process to be killed; an environment variable tells which
//! of the two it is.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test fails by panicking"
)]

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fake::FakeRandom;
use port::clock::SystemClock;
use port::random::Random;
use port::store::{Condition, Item, Key, Prefix, Revision, Store, Transaction};
use teleport_storage::{Settings, SqliteStore};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

const ROUNDS: u64 = 50;
const WRITERS: u64 = 8;
const CHILD: &str = "TELEPORT_STORAGE_KILL_CHILD";
const SEED: &str = "TELEPORT_STORAGE_KILL_SEED";

/// One write: which round, which writer, its how manieth.
type Id = (u64, u64, u64);

#[test]
fn nothing_acknowledged_is_lost_and_nothing_is_half_written() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    match std::env::var_os(CHILD) {
        Some(told) => runtime.block_on(write_until_killed(&told.into_string().unwrap())),
        None => runtime.block_on(kill_and_check()),
    }
}

/// A small history, so that kills also fall into forgetting.
async fn open(folder: &Path) -> SqliteStore {
    let settings = Settings { history: 256, ..Settings::default() };
    SqliteStore::open_with(folder, Arc::new(SystemClock), settings).await.unwrap()
}

fn left(id: Id) -> Key {
    Key::of(&["left", &name(id)])
}

fn right(id: Id) -> Key {
    Key::of(&["right", &name(id)])
}

fn name((round, writer, count): Id) -> String {
    format!("{round:04}-{writer:02}-{count:06}")
}

fn id_of(name: &str) -> Id {
    let parts: Vec<u64> = name.split('-').map(|part| part.parse().unwrap()).collect();
    let [round, writer, count] = parts.try_into().unwrap();
    (round, writer, count)
}

/// Bytes that only this write has, from none to several pages of the database.
fn value((round, writer, count): Id) -> Bytes {
    let mut state = round << 40 ^ writer << 32 ^ count;
    let mut draw = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state >> 33
    };
    let length = draw() % if draw() % 8 == 0 { 30_000 } else { 600 };
    (0..length).map(|_| draw().to_le_bytes()[0]).collect()
}

// ---- the process to be killed

async fn write_until_killed(told: &str) {
    let (round, folder) = told.split_once(':').unwrap();
    let round: u64 = round.parse().unwrap();
    let store = Arc::new(open(Path::new(folder)).await);
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..WRITERS {
        writers.spawn(write_without_end(Arc::clone(&store), round, writer));
    }
    writers.join_all().await;
}

async fn write_without_end(store: Arc<SqliteStore>, round: u64, writer: u64) {
    for count in 0.. {
        let id = (round, writer, count);
        let transaction = Transaction::default()
            .when(Condition::Absent(left(id)))
            .put(left(id), value(id), None)
            .put(right(id), value(id), None)
            .put(Key::of(&["last", &writer.to_string()]), name(id), None);
        let revision = store.write(transaction).await.unwrap();
        println!("ack {} {revision}", name(id));
    }
}

// ---- the one that kills and checks

struct Killer {
    random: FakeRandom,
    folder: PathBuf,
    acknowledged: BTreeMap<Id, Revision>,
}

async fn kill_and_check() {
    let told = std::env::var_os(SEED).and_then(|seed| seed.to_str()?.parse().ok());
    let seed = told.unwrap_or_else(|| RandomState::new().hash_one("seed"));
    println!("seed {seed}; the same kills again with {SEED}={seed}");
    let scratch = tempfile::tempdir().unwrap();
    // Not made beforehand: the first kills may fall into making it.
    let folder = scratch.path().join("data");
    let mut killer = Killer { random: FakeRandom::new(seed), folder, acknowledged: BTreeMap::new() };
    for round in 0..ROUNDS {
        killer.kill(round).await;
        // Every other time the next child recovers from the kill by itself.
        if round % 2 == 1 || round == ROUNDS - 1 {
            killer.check().await;
        }
    }
    let acknowledged = killer.acknowledged.len();
    println!("{acknowledged} acknowledged writes survived {ROUNDS} kills");
    assert!(acknowledged > 1000, "too few writes ({acknowledged}) to have proven anything");
}

impl Killer {
    fn draw(&self, bound: u64) -> u64 {
        self.random.serial() % bound
    }

    /// Lets a child write and kills it: after a while, or after so many acknowledged writes.
    async fn kill(&mut self, round: u64) {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["nothing_acknowledged_is_lost_and_nothing_is_half_written", "--exact", "--nocapture"])
            .env(CHILD, format!("{round}:{}", self.folder.display()))
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        if self.draw(3) == 0 {
            tokio::time::sleep(Duration::from_millis(self.draw(60))).await;
        } else {
            for _ in 0..=self.draw(400) {
                assert!(self.note(&mut lines).await, "the child came to an end by itself");
            }
        }
        child.start_kill().unwrap();
        // What it had printed before it died counts.
        while self.note(&mut lines).await {}
        let status = child.wait().await.unwrap();
        assert_eq!(status.code(), None, "it was killed, and had not failed before");
    }

    /// Takes note of one line of the child; false when it prints no more.
    async fn note(&mut self, lines: &mut BufReader<tokio::process::ChildStdout>) -> bool {
        let mut line = String::new();
        let read = tokio::time::timeout(Duration::from_secs(60), lines.read_line(&mut line));
        if read.await.expect("the child writes in time").unwrap() == 0 {
            return false;
        }
        // The last line may be cut; the test harness prints lines of its own.
        let told = line.strip_suffix('\n').and_then(|line| line.split_once("ack ")).map(|(_, told)| told);
        if let Some((name, revision)) = told.and_then(|told| told.split_once(' ')) {
            self.acknowledged.insert(id_of(name), Revision(revision.parse().unwrap()));
        }
        true
    }

    async fn check(&self) {
        let store = open(&self.folder).await;
        let lefts = list(&store, "left").await;
        let rights = list(&store, "right").await;
        for (id, revision) in &self.acknowledged {
            assert_eq!(lefts.get(id).map(|item| item.revision), Some(*revision), "{id:?} is lost");
        }
        assert!(lefts.keys().eq(rights.keys()), "a transaction is there by half");
        for (id, item) in &lefts {
            assert_eq!(item.value, value(*id), "{id:?} is damaged");
            assert_eq!((&rights[id].value, rights[id].revision), (&item.value, item.revision));
        }
        self.check_position(&store, &lefts).await;
        store.shutdown().await;
        check_file(&self.folder);
    }

    /// The last of each writer is the last there is; watching goes on from the present.
    async fn check_position(&self, store: &SqliteStore, lefts: &BTreeMap<Id, Item>) {
        let page = store.range(&Prefix::of(&["last"]), None, usize::MAX).await.unwrap();
        for item in &page.items {
            let last = id_of(std::str::from_utf8(&item.value).unwrap());
            assert_eq!(lefts[&last].revision, item.revision);
        }
        let newest = lefts.values().map(|item| item.revision).max().unwrap_or_default();
        assert_eq!(page.revision, newest, "the position is that of the last write");
        store.watch(Prefix::all(), Some(page.revision)).await.unwrap();
    }
}

async fn list(store: &SqliteStore, folder: &str) -> BTreeMap<Id, Item> {
    let page = store.range(&Prefix::of(&[folder]), None, usize::MAX).await.unwrap();
    page.items.into_iter().map(|item| (id_of(item.key.last_segment()), item)).collect()
}

/// SQLite's own opinion of the file.
fn check_file(folder: &Path) {
    let connection = rusqlite::Connection::open(folder.join("backend/sqlite.db")).unwrap();
    let verdict: String = connection.pragma_query_value(None, "integrity_check", |row| row.get(0)).unwrap();
    assert_eq!(verdict, "ok");
}
