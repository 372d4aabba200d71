use std::collections::{HashMap, HashSet};
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering::SeqCst};

use domain::Timestamp;
use domain::health::State;
use parking_lot::{Condvar, Mutex};
use port::audit::{AuditError, AuditLog};
use port::clock::{Clock, SystemClock};
use serde_json::{Map, Value, json};
use telemetry::health::HealthHandle;
use telemetry::metrics::Metrics;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::folder::{DiskFolder, Folder, LogFile};
use super::{FileLog, Writer};
use crate::metrics::LogMetrics;

/// A clock that tests set by hand.
struct HandClock(AtomicI64);

impl HandClock {
    fn at(time: &str) -> Arc<Self> {
        let clock = Self(AtomicI64::new(0));
        clock.set(time);
        Arc::new(clock)
    }

    fn set(&self, time: &str) {
        self.0.store(time.parse::<Timestamp>().unwrap().as_second(), SeqCst);
    }
}

impl Clock for HandClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_second(self.0.load(SeqCst)).unwrap()
    }
}

/// What tests do to a disk, and what they see of it.
#[derive(Default)]
struct Disk {
    syncs: AtomicUsize,
    /// How many more bytes fit; none when there is room without end.
    room: Mutex<Option<usize>>,
    sync_fails: AtomicBool,
    truncate_fails: AtomicBool,
    /// While closed, syncs wait.
    gate_closed: Mutex<bool>,
    gate: Condvar,
}

impl Disk {
    fn close_gate(&self) {
        *self.gate_closed.lock() = true;
    }

    fn open_gate(&self) {
        *self.gate_closed.lock() = false;
        self.gate.notify_all();
    }
}

struct FaultyFolder(Box<dyn Folder>, Arc<Disk>);

impl Folder for FaultyFolder {
    fn open(&mut self, day: &str) -> io::Result<Box<dyn LogFile>> {
        Ok(Box::new(FaultyFile(self.0.open(day)?, Arc::clone(&self.1))))
    }

    fn probe(&mut self) -> io::Result<()> {
        let well = self.1.room.lock().is_none() && !self.1.sync_fails.load(SeqCst);
        if well { self.0.probe() } else { Err(ErrorKind::StorageFull.into()) }
    }
}

struct FaultyFile(Box<dyn LogFile>, Arc<Disk>);

impl LogFile for FaultyFile {
    fn lock(&mut self) -> io::Result<Option<u64>> {
        self.0.lock()
    }

    fn unlock(&mut self) -> io::Result<()> {
        self.0.unlock()
    }

    fn byte_before(&mut self, end: u64) -> io::Result<u8> {
        self.0.byte_before(end)
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let room = *self.1.room.lock();
        match room {
            Some(room) if room < bytes.len() => {
                self.0.append(&bytes[..room])?;
                Err(ErrorKind::StorageFull.into())
            }
            _ => self.0.append(bytes),
        }
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        if self.1.truncate_fails.load(SeqCst) {
            return Err(io::Error::other("EIO"));
        }
        self.0.truncate(length)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.1.syncs.fetch_add(1, SeqCst);
        let mut closed = self.1.gate_closed.lock();
        self.1.gate.wait_while(&mut closed, |closed| *closed);
        if self.1.sync_fails.load(SeqCst) { Err(io::Error::other("EIO")) } else { self.0.sync() }
    }
}

/// A running log on a real folder, with a disk that can be made to fail.
struct Running {
    log: Arc<FileLog>,
    disk: Arc<Disk>,
    health: HealthHandle,
    shutdown: CancellationToken,
    task: JoinHandle<()>,
}

impl Running {
    fn start(folder: &Path, clock: Arc<dyn Clock>) -> Self {
        let metrics = LogMetrics::register(&Metrics::default());
        let health = HealthHandle::new(Arc::clone(&clock));
        let disk = Arc::<Disk>::default();
        let folder = DiskFolder::create(folder).unwrap();
        let writer = Writer::open(folder, 1000, clock, metrics.clone()).unwrap();
        let writer = writer.with_folder(|folder| Box::new(FaultyFolder(folder, Arc::clone(&disk))));
        let (log, queue) = FileLog::new("one".into());
        let shutdown = CancellationToken::new();
        let task = tokio::spawn(super::run(writer, queue, metrics, health.clone(), shutdown.clone()));
        Self { log: Arc::new(log), disk, health, shutdown, task }
    }

    async fn append(&self, events: Vec<Map<String, Value>>) -> Result<(), AuditError> {
        self.log.append(events).await
    }

    async fn stop(self) {
        self.shutdown.cancel();
        self.task.await.unwrap();
    }
}

fn event(number: u128) -> Map<String, Value> {
    let event = json!({"event": "exec", "uid": Uuid::from_u128(number).to_string(), "n": number as u64});
    event.as_object().unwrap().clone()
}

const TODAY: &str = "2026-11-21.00:00:00.log";

fn lines(folder: &Path, name: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(folder.join(name)).unwrap();
    assert!(text.ends_with('\n') || text.is_empty());
    text.lines().map(|line| serde_json::from_str(line).unwrap_or(Value::Null)).collect()
}

fn numbers(folder: &Path, name: &str) -> Vec<u64> {
    lines(folder, name).iter().filter_map(|line| line["n"].as_u64()).collect()
}

#[tokio::test]
async fn an_append_is_a_line_in_the_file_of_the_day() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    let running = Running::start(&path, HandClock::at("2026-11-21T23:59:59Z"));
    let mut named = event(2);
    named.insert("cluster_name".into(), "other".into());
    running.append(vec![event(1), named]).await.unwrap();
    running.stop().await;
    let lines = lines(&path, TODAY);
    assert_eq!(lines.len(), 2);
    assert_eq!((&lines[0]["cluster_name"], &lines[1]["cluster_name"]), (&json!("one"), &json!("other")));
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    // The test's own umask may take bits away, none may be added.
    assert_eq!((mode(&path) & !0o750, mode(&path.join(TODAY)) & !0o640), (0, 0));
    assert_eq!(std::fs::read_link(path.join("events.log")).unwrap(), Path::new(TODAY));
}

#[tokio::test]
async fn midnight_begins_a_new_file() {
    let folder = tempfile::tempdir().unwrap();
    let clock = HandClock::at("2026-11-21T23:59:59Z");
    let running = Running::start(folder.path(), Arc::clone(&clock) as Arc<dyn Clock>);
    running.append(vec![event(1)]).await.unwrap();
    clock.set("2026-11-22T00:00:00Z");
    running.append(vec![event(2)]).await.unwrap();
    running.append(vec![event(1)]).await.unwrap();
    running.stop().await;
    assert_eq!(numbers(folder.path(), TODAY), [1]);
    assert_eq!(numbers(folder.path(), "2026-11-22.00:00:00.log"), [2], "and what came yesterday is known");
    let link = std::fs::read_link(folder.path().join("events.log")).unwrap();
    assert_eq!(link, Path::new("2026-11-22.00:00:00.log"));
}

#[tokio::test]
async fn appends_that_wait_go_to_disk_together() {
    let folder = tempfile::tempdir().unwrap();
    let running = Running::start(folder.path(), HandClock::at("2026-11-21T12:00:00Z"));
    running.disk.close_gate();
    let append = |number| {
        let log = Arc::clone(&running.log);
        tokio::spawn(async move { log.append(vec![event(number)]).await })
    };
    let first = append(0);
    while running.disk.syncs.load(SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    let rest: Vec<_> = (1..=100).map(append).collect();
    while running.log.requests.capacity() > running.log.requests.max_capacity() - 100 {
        tokio::task::yield_now().await;
    }
    assert!(rest.iter().all(|append| !append.is_finished()), "nothing is answered before it is on disk");
    running.disk.open_gate();
    first.await.unwrap().unwrap();
    for append in rest {
        append.await.unwrap().unwrap();
    }
    assert_eq!(running.disk.syncs.load(SeqCst), 2);
    running.stop().await;
    assert_eq!(numbers(folder.path(), TODAY), (0..=100).collect::<Vec<_>>());
}

#[tokio::test]
async fn an_event_delivered_again_is_written_once_also_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let clock = HandClock::at("2026-11-21T23:00:00Z");
    let running = Running::start(folder.path(), Arc::clone(&clock) as Arc<dyn Clock>);
    running.append(vec![event(1), event(2), event(1)]).await.unwrap();
    running.append(vec![event(2), event(3)]).await.unwrap();
    running.stop().await;
    clock.set("2026-11-22T01:00:00Z");
    let running = Running::start(folder.path(), clock);
    running.append(vec![event(3), event(1), event(4)]).await.unwrap();
    running.stop().await;
    assert_eq!(numbers(folder.path(), TODAY), [1, 2, 3]);
    assert_eq!(numbers(folder.path(), "2026-11-22.00:00:00.log"), [4]);
}

#[tokio::test]
async fn events_without_an_identifier_are_written_each_time() {
    let folder = tempfile::tempdir().unwrap();
    let running = Running::start(folder.path(), HandClock::at("2026-11-21T12:00:00Z"));
    let anonymous: Map<String, Value> =
        json!({"event": "x", "uid": "?", "n": 7}).as_object().unwrap().clone();
    running.append(vec![anonymous.clone(), anonymous]).await.unwrap();
    running.stop().await;
    assert_eq!(numbers(folder.path(), TODAY), [7, 7]);
}

#[tokio::test]
async fn a_full_disk_is_an_error_that_leaves_nothing_and_passes_by_itself() {
    let folder = tempfile::tempdir().unwrap();
    let running = Running::start(folder.path(), HandClock::at("2026-11-21T12:00:00Z"));
    running.append(vec![event(1)]).await.unwrap();
    *running.disk.room.lock() = Some(20);
    let error = running.append(vec![event(2)]).await.unwrap_err().to_string();
    assert!(
        error.contains("cannot append to the file of 2026-11-21") && error.contains("no storage space"),
        "{error}"
    );
    assert_eq!(running.health.overall(), State::Degraded);
    assert_eq!(numbers(folder.path(), TODAY), [1]);
    *running.disk.room.lock() = None;
    running.append(vec![event(2)]).await.unwrap();
    assert_eq!(running.health.overall(), State::Recovering);
    running.stop().await;
    assert_eq!(lines(folder.path(), TODAY).len(), 2, "no part of the failed group is left");
}

#[tokio::test]
async fn events_that_could_not_be_synced_are_written_again() {
    let folder = tempfile::tempdir().unwrap();
    let running = Running::start(folder.path(), HandClock::at("2026-11-21T12:00:00Z"));
    running.disk.sync_fails.store(true, SeqCst);
    let error = running.append(vec![event(1)]).await.unwrap_err().to_string();
    assert!(error.contains("cannot sync the file of 2026-11-21") && error.contains("EIO"), "{error}");
    running.disk.sync_fails.store(false, SeqCst);
    running.append(vec![event(1)]).await.unwrap();
    running.stop().await;
    assert_eq!(numbers(folder.path(), TODAY), [1]);
}

#[tokio::test]
async fn what_could_not_be_taken_back_never_runs_into_the_next_line() {
    let folder = tempfile::tempdir().unwrap();
    let running = Running::start(folder.path(), HandClock::at("2026-11-21T12:00:00Z"));
    *running.disk.room.lock() = Some(20);
    running.disk.truncate_fails.store(true, SeqCst);
    running.append(vec![event(1)]).await.unwrap_err();
    *running.disk.room.lock() = None;
    running.append(vec![event(1)]).await.unwrap();
    running.stop().await;
    let lines = lines(folder.path(), TODAY);
    assert_eq!((lines.len(), &lines[0], &lines[1]["n"]), (2, &Value::Null, &json!(1)));
}

#[tokio::test(start_paused = true)]
async fn a_log_that_is_sent_nothing_finds_out_that_its_disk_is_well_again() {
    let folder = tempfile::tempdir().unwrap();
    let clock = HandClock::at("2026-11-21T12:00:00Z");
    let running = Running::start(folder.path(), Arc::clone(&clock) as Arc<dyn Clock>);
    *running.disk.room.lock() = Some(0);
    running.append(vec![event(1)]).await.unwrap_err();
    assert_eq!(running.health.overall(), State::Degraded);
    tokio::time::sleep(domain::health::CHECK_PERIOD * 3).await;
    assert_eq!(running.health.overall(), State::Degraded, "the disk is still full");
    *running.disk.room.lock() = None;
    let mut watch = running.health.subscribe();
    watch.wait_for(|state| *state == State::Recovering).await.unwrap();
    clock.set("2026-11-21T12:00:30Z");
    watch.wait_for(|state| *state == State::Ok).await.unwrap();
    running.stop().await;
    assert!(!folder.path().join(".probe").exists());
}

#[tokio::test]
async fn a_line_that_a_killed_process_left_unfinished_stays_alone() {
    let folder = tempfile::tempdir().unwrap();
    let torn = "{\"n\":1}\n{\"event\":\"ex";
    std::fs::write(folder.path().join(TODAY), torn).unwrap();
    let running = Running::start(folder.path(), HandClock::at("2026-11-21T12:00:00Z"));
    running.append(vec![event(2)]).await.unwrap();
    running.append(vec![event(3)]).await.unwrap();
    running.stop().await;
    let text = std::fs::read_to_string(folder.path().join(TODAY)).unwrap();
    assert!(text.starts_with(&format!("{torn}\n{{")), "{text}");
    assert_eq!(numbers(folder.path(), TODAY), [1, 2, 3]);
}

#[tokio::test]
async fn a_removed_file_is_made_again() {
    let folder = tempfile::tempdir().unwrap();
    let running = Running::start(folder.path(), HandClock::at("2026-11-21T12:00:00Z"));
    running.append(vec![event(1)]).await.unwrap();
    std::fs::remove_file(folder.path().join(TODAY)).unwrap();
    running.append(vec![event(2)]).await.unwrap();
    running.stop().await;
    assert_eq!(numbers(folder.path(), TODAY), [2]);
}

#[tokio::test]
async fn two_processes_do_not_mix_their_lines() {
    let folder = tempfile::tempdir().unwrap();
    let clock = HandClock::at("2026-11-21T12:00:00Z");
    let logs = [0, 1].map(|_| Running::start(folder.path(), Arc::clone(&clock) as Arc<dyn Clock>));
    let appends = (0..200u128).map(|number| {
        let log = Arc::clone(&logs[number as usize % 2].log);
        tokio::spawn(async move { log.append(vec![event(number)]).await })
    });
    for append in appends.collect::<Vec<_>>() {
        append.await.unwrap().unwrap();
    }
    for log in logs {
        log.stop().await;
    }
    let mut numbers = numbers(folder.path(), TODAY);
    numbers.sort_unstable();
    assert_eq!(numbers, (0..200).collect::<Vec<_>>());
}

#[tokio::test]
async fn an_append_has_a_largest_size() {
    let folder = tempfile::tempdir().unwrap();
    let running = Running::start(folder.path(), HandClock::at("2026-11-21T12:00:00Z"));
    let mut large = event(1);
    large.insert("command".into(), "x".repeat(60 * 1024).into());
    let error = running.append(vec![large; 200]).await.unwrap_err().to_string();
    assert!(error.contains("send fewer"), "{error}");
    running.append(vec![event(2)]).await.unwrap();
    running.stop().await;
    assert_eq!(numbers(folder.path(), TODAY), [2]);
}

#[tokio::test]
async fn what_waits_at_shutdown_is_written_and_what_comes_after_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let running = Running::start(folder.path(), HandClock::at("2026-11-21T12:00:00Z"));
    running.disk.close_gate();
    let appends: Vec<_> = (0..10)
        .map(|number| {
            let log = Arc::clone(&running.log);
            tokio::spawn(async move { log.append(vec![event(number)]).await })
        })
        .collect();
    while running.disk.syncs.load(SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    let log = Arc::clone(&running.log);
    running.disk.open_gate();
    running.stop().await;
    for append in appends {
        append.await.unwrap().unwrap();
    }
    assert!(matches!(log.append(vec![event(99)]).await, Err(AuditError::Closed)));
    assert_eq!(numbers(folder.path(), TODAY).len(), 10);
}

/// The process that [`kill_9_loses_nothing_that_was_acknowledged`] kills: appends for ever, and
/// prints the number of each event that was acknowledged.
#[test]
#[ignore = "is started by another test"]
fn appends_until_it_is_killed() {
    let mut input = String::new();
    io::stdin().read_to_string(&mut input).unwrap();
    let Some((folder, first)) = input.split_once('\n') else { return };
    let first: u128 = first.parse().unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let running = Running::start(Path::new(folder), Arc::new(SystemClock));
        let appenders = (0..8u128).map(|lane| {
            let log = Arc::clone(&running.log);
            tokio::spawn(async move {
                for number in (first + lane..).step_by(8) {
                    log.append(vec![event(number)]).await.unwrap();
                    writeln!(io::stdout().lock(), "acknowledged {number}").unwrap();
                }
            })
        });
        for appender in appenders.collect::<Vec<_>>() {
            appender.await.unwrap();
        }
    });
}

/// Runs the process above until it has acknowledged some events, and kills it. Returns them.
fn killed_after(folder: &Path, first: u64, events: usize) -> Vec<u64> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "log::tests::appends_until_it_is_killed", "--ignored", "--nocapture"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(format!("{}\n{first}", folder.display()).as_bytes()).unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let number = |line: String| line.strip_prefix("acknowledged ")?.parse().ok();
    let mut acknowledged: Vec<u64> = output.by_ref().filter_map(number).take(events).collect();
    child.kill().unwrap();
    acknowledged.extend(output.filter_map(number));
    child.wait().unwrap();
    acknowledged
}

#[test]
fn kill_9_loses_nothing_that_was_acknowledged() {
    const ROUNDS: u64 = 50;
    let folder = tempfile::tempdir().unwrap();
    let mut acknowledged = HashSet::new();
    for round in 0..ROUNDS {
        let events = 1 + (round as usize * 7) % 40;
        acknowledged.extend(killed_after(folder.path(), round * 1_000_000, events));
    }
    let mut written = HashMap::<u64, usize>::new();
    let mut torn = 0;
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        let entry = entry.unwrap();
        // Each file once: `events.log` leads to one of them.
        if !entry.file_type().unwrap().is_file() {
            continue;
        }
        let text = std::fs::read(entry.path()).unwrap();
        for line in text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            match serde_json::from_slice::<Value>(line) {
                Ok(event) => *written.entry(event["n"].as_u64().unwrap()).or_default() += 1,
                Err(_) => torn += 1,
            }
        }
    }
    assert!(acknowledged.len() as u64 >= ROUNDS);
    let lost: Vec<_> = acknowledged.iter().filter(|number| !written.contains_key(number)).collect();
    assert!(lost.is_empty(), "{lost:?}");
    assert!(written.values().all(|times| *times == 1), "an event is written once");
    assert!(torn <= ROUNDS, "at most one unfinished line for each death, none of them joined with another");
}
