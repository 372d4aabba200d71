use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use async_trait::async_trait;
use domain::Timestamp;
use domain::audit::{Context, Detail, Event, Outcome};
use domain::health::State;
use parking_lot::Mutex;
use port::audit::{AuditError, AuditSink};
use port::clock::SystemClock;
use port::random::Random;
use proptest::prelude::*;
use serde_json::{Map, Value};
use telemetry::health::HealthHandle;
use telemetry::metrics::Metrics;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{Forward, ForwardError, Reader, Spool};
use crate::metrics::SpoolMetrics;
use crate::service::{SpoolPorts, SpoolService};
use crate::settings::SpoolSettings;

/// Draws the highest number each time, so that every wait is the whole of its step.
struct Highest;

impl Random for Highest {
    fn fill(&self, buffer: &mut [u8]) {
        buffer.fill(u8::MAX);
    }
}

/// An auth server that takes events, or not.
struct Auth {
    taken: mpsc::Sender<Vec<u64>>,
    /// How many batches are refused before one is taken.
    refuses: AtomicUsize,
    /// When each batch came.
    tries: Mutex<Vec<Instant>>,
}

impl Auth {
    fn new() -> (Arc<Self>, mpsc::Receiver<Vec<u64>>) {
        let (taken, received) = mpsc::channel(100_000);
        let auth = Self { taken, refuses: AtomicUsize::new(0), tries: Mutex::default() };
        (Arc::new(auth), received)
    }
}

#[async_trait]
impl Forward for Auth {
    async fn send(&self, events: Vec<Map<String, Value>>) -> Result<(), ForwardError> {
        self.tries.lock().push(Instant::now());
        if self.refuses.load(SeqCst) > 0 {
            self.refuses.fetch_sub(1, SeqCst);
            return Err(ForwardError::new("connection refused"));
        }
        let numbers = events.iter().map(number_of).collect();
        self.taken.send(numbers).await.map_err(ForwardError::new)
    }
}

/// An auth server that never answers.
struct Silent(AtomicUsize);

#[async_trait]
impl Forward for Silent {
    async fn send(&self, _: Vec<Map<String, Value>>) -> Result<(), ForwardError> {
        self.0.fetch_add(1, SeqCst);
        std::future::pending().await
    }
}

fn event(number: u64) -> Event {
    let detail = Detail::Resize { size: "80:25".into() };
    let uid = Uuid::from_u128(number.into());
    Event { uid, time: Timestamp::UNIX_EPOCH, context: Context::default(), detail }
}

fn number_of(event: &Map<String, Value>) -> u64 {
    let uid: Uuid = event["uid"].as_str().unwrap().parse().unwrap();
    uid.as_u128() as u64
}

fn settings(folder: &Path) -> SpoolSettings {
    SpoolSettings { folder: folder.to_owned(), max_bytes: 1 << 20, segment_bytes: 8 * 1024 }
}

fn open(folder: &Path) -> Arc<Spool> {
    Spool::open(settings(folder), SpoolMetrics::default()).unwrap()
}

fn read(spool: &Arc<Spool>) -> Reader {
    Reader::open(Arc::clone(spool), Arc::new(SystemClock)).unwrap()
}

/// The beginning of the session of this number, which is its place too.
fn begins(session: u64) -> Event {
    let detail = Detail::SessionStart { size: None, interactive: false, initial_command: Vec::new() };
    let context = Context { sid: Uuid::from_u128(session.into()).to_string(), ..Context::default() };
    Event { detail, context, ..event(300) }
}

async fn record(sink: &dyn AuditSink, numbers: impl IntoIterator<Item = u64>) {
    for number in numbers {
        sink.record(event(number)).await.unwrap();
    }
}

/// Everything that waits in a folder whose process is gone; it waits still.
fn waiting(folder: &Path) -> Vec<u64> {
    drain(folder, false)
}

/// The same, acknowledged.
fn taken(folder: &Path) -> Vec<u64> {
    drain(folder, true)
}

fn drain(folder: &Path, acknowledge: bool) -> Vec<u64> {
    let copy = tempfile::tempdir().unwrap();
    let folder = if acknowledge {
        folder
    } else {
        for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
            fs::copy(entry.path(), copy.path().join(entry.file_name())).unwrap();
        }
        copy.path()
    };
    let mut reader = read(&open(folder));
    let mut numbers = Vec::new();
    while let Some(batch) = reader.next().unwrap() {
        numbers.extend(batch.events.iter().map(number_of));
        reader.acknowledge(&batch.position).unwrap();
    }
    numbers
}

fn segments(folder: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

struct Running {
    sink: Arc<dyn AuditSink>,
    health: HealthHandle,
    metrics: Metrics,
    shutdown: CancellationToken,
    task: JoinHandle<()>,
}

impl Running {
    fn start(folder: &Path, forward: Arc<dyn Forward>) -> Self {
        let health = HealthHandle::new(Arc::new(SystemClock));
        let metrics = Metrics::default();
        let ports = SpoolPorts {
            clock: Arc::new(SystemClock),
            random: Arc::new(Highest),
            metrics: metrics.clone(),
            health: health.clone(),
        };
        let service = SpoolService::new(settings(folder), ports).unwrap();
        let (sink, shutdown) = (service.sink(), CancellationToken::new());
        let task = tokio::spawn(service.run(forward, shutdown.clone()));
        Self { sink, health, metrics, shutdown, task }
    }

    async fn stop(self) {
        self.shutdown.cancel();
        self.task.await.unwrap();
    }
}

async fn receive(received: &mut mpsc::Receiver<Vec<u64>>, count: usize) -> Vec<u64> {
    let mut numbers = Vec::new();
    while numbers.len() < count {
        numbers.extend(received.recv().await.unwrap());
    }
    numbers
}

#[tokio::test]
async fn a_recorded_event_survives_the_process() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("spool");
    let spool = open(&path);
    record(&*spool, 0..500).await;
    drop(spool);
    assert_eq!(waiting(&path), (0..500).collect::<Vec<_>>());
    assert!(segments(&path).len() > 5, "segments are bounded");
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode();
    assert_eq!((mode(&path) & 0o077, mode(&segments(&path)[0]) & 0o077), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn events_of_a_moment_arrive_together_in_order_and_leave_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let (auth, mut received) = Auth::new();
    let running = Running::start(folder.path(), auth);
    let began = Instant::now();
    record(&*running.sink, [1]).await;
    assert_eq!(received.recv().await.unwrap(), [1]);
    assert_eq!(began.elapsed(), Duration::ZERO, "what is there at the start need not wait");
    // By then the forwarder has nothing more to do.
    while fs::metadata(&segments(folder.path())[0]).unwrap().len() > 33 {
        tokio::task::yield_now().await;
    }
    record(&*running.sink, [2]).await;
    tokio::time::sleep(Duration::from_millis(150)).await;
    record(&*running.sink, 3..1000).await;
    assert_eq!(receive(&mut received, 998).await, (2..1000).collect::<Vec<_>>());
    assert_eq!(began.elapsed().as_millis(), 200, "no event waits longer than this for another");
    let metrics = running.metrics.clone();
    running.stop().await;
    let left = segments(folder.path());
    assert_eq!(left.len(), 1);
    assert_eq!(fs::metadata(&left[0]).unwrap().len(), 33, "only the header is left");
    let text = metrics.encode().unwrap();
    for line in ["recorded_total 999", "forwarded_total 999", "bytes 33"] {
        assert!(text.contains(&format!("teleport_audit_spool_{line}\n")), "{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn events_recorded_while_a_batch_travels_go_together() {
    let folder = tempfile::tempdir().unwrap();
    let (auth, mut received) = Auth::new();
    auth.refuses.store(1, SeqCst);
    let running = Running::start(folder.path(), Arc::clone(&auth) as Arc<dyn Forward>);
    record(&*running.sink, [1]).await;
    while auth.tries.lock().is_empty() {
        tokio::task::yield_now().await;
    }
    record(&*running.sink, 2..=40).await;
    assert_eq!(received.recv().await.unwrap(), (1..=40).collect::<Vec<_>>());
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_auth_server_that_refuses_is_tried_ever_more_seldom() {
    let folder = tempfile::tempdir().unwrap();
    let (auth, mut received) = Auth::new();
    auth.refuses.store(8, SeqCst);
    let running = Running::start(folder.path(), Arc::clone(&auth) as Arc<dyn Forward>);
    record(&*running.sink, 1..=3).await;
    assert_eq!(receive(&mut received, 3).await, [1, 2, 3]);
    let tries = auth.tries.lock().clone();
    // To the nearest half second: the highest draw is a hair below the whole step.
    let half_seconds = |wait: Duration| (wait.as_millis() + 250) / 500;
    let waits: Vec<_> = tries.windows(2).map(|pair| half_seconds(pair[1] - pair[0])).collect();
    assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60]);
    auth.refuses.store(1, SeqCst);
    record(&*running.sink, [4]).await;
    assert_eq!(receive(&mut received, 1).await, [4]);
    let tries = auth.tries.lock().clone();
    let last = tries[tries.len() - 1] - tries[tries.len() - 2];
    assert!(last < Duration::from_secs(1), "a success starts the waits over: {last:?}");
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn failing_to_forward_shows_in_the_health_and_passes() {
    let folder = tempfile::tempdir().unwrap();
    let (auth, mut received) = Auth::new();
    auth.refuses.store(2, SeqCst);
    let running = Running::start(folder.path(), auth);
    let mut watch = running.health.subscribe();
    record(&*running.sink, [1]).await;
    watch.wait_for(|state| *state == State::Degraded).await.unwrap();
    let reason = running.health.shown()[0].reason.clone().unwrap();
    assert!(
        reason.contains("cannot forward audit events") && reason.contains("connection refused"),
        "{reason}"
    );
    receive(&mut received, 1).await;
    watch.wait_for(|state| *state == State::Recovering).await.unwrap();
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_auth_server_that_never_answers_is_given_up_and_tried_again() {
    let folder = tempfile::tempdir().unwrap();
    let auth = Arc::new(Silent(AtomicUsize::new(0)));
    let running = Running::start(folder.path(), Arc::clone(&auth) as Arc<dyn Forward>);
    record(&*running.sink, [1]).await;
    tokio::time::sleep(Duration::from_secs(100)).await;
    assert!(auth.0.load(SeqCst) >= 3);
    let began = Instant::now();
    running.stop().await;
    assert!(began.elapsed() < Duration::from_secs(60), "stopping does not wait for it for ever");
    assert_eq!(waiting(folder.path()), [1]);
}

#[tokio::test(start_paused = true)]
async fn stopping_sends_what_is_left() {
    let folder = tempfile::tempdir().unwrap();
    let (auth, mut received) = Auth::new();
    auth.refuses.store(1, SeqCst);
    let running = Running::start(folder.path(), Arc::clone(&auth) as Arc<dyn Forward>);
    record(&*running.sink, 0..20).await;
    while auth.tries.lock().is_empty() {
        tokio::task::yield_now().await;
    }
    running.stop().await;
    assert_eq!(receive(&mut received, 20).await, (0..20).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn a_restart_goes_on_where_the_auth_server_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let spool = open(folder.path());
    record(&*spool, 0..300).await;
    let mut reader = read(&spool);
    let first = reader.next().unwrap().unwrap();
    let arrived = first.events.len() as u64;
    reader.acknowledge(&first.position).unwrap();
    drop((reader, first, spool));

    let (auth, mut received) = Auth::new();
    let running = Running::start(folder.path(), auth);
    record(&*running.sink, 300..310).await;
    let count = 310 - arrived as usize;
    assert_eq!(receive(&mut received, count).await, (arrived..310).collect::<Vec<_>>());
    running.stop().await;
    assert_eq!(segments(folder.path()).len(), 1);
}

#[tokio::test]
async fn a_full_spool_refuses_and_takes_events_again_when_some_have_arrived() {
    let folder = tempfile::tempdir().unwrap();
    let settings = SpoolSettings { max_bytes: 20 * 1024, ..settings(folder.path()) };
    let spool = Spool::open(settings, SpoolMetrics::default()).unwrap();
    let mut kept = 0;
    let error = loop {
        match spool.record(event(kept)).await {
            Ok(()) => kept += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(error, AuditError::Full(bytes) if bytes <= 20 * 1024 && bytes > 19 * 1024), "{error}");
    let mut reader = read(&spool);
    let mut seen = Vec::new();
    while let Some(batch) = reader.next().unwrap() {
        seen.extend(batch.events.iter().map(number_of));
        reader.acknowledge(&batch.position).unwrap();
    }
    assert_eq!(seen, (0..kept).collect::<Vec<_>>());
    record(&*spool, [kept]).await;
}

#[tokio::test]
async fn strangers_fill_half_of_the_spool_and_users_the_rest() {
    let folder = tempfile::tempdir().unwrap();
    let settings = SpoolSettings { max_bytes: 20 * 1024, ..settings(folder.path()) };
    let spool = Spool::open(settings, SpoolMetrics::default()).unwrap();
    let refused = |number| {
        let detail = Detail::AuthFailure { outcome: Outcome::failed("no"), left_out: 0 };
        Event { detail, ..event(number) }
    };
    let mut numbers = 0..;
    let error = loop {
        if let Err(error) = spool.record(refused(numbers.next().unwrap())).await {
            break error;
        }
    };
    assert!(
        matches!(error, AuditError::Reserved(bytes) if (9 * 1024..=10 * 1024).contains(&bytes)),
        "{error}"
    );
    let mut kept = 0;
    while spool.record(event(numbers.next().unwrap())).await.is_ok() {
        kept += 1;
    }
    assert!(kept > 20, "{kept} events of users found room");
    assert!(matches!(spool.record(event(0)).await, Err(AuditError::Full(bytes)) if bytes > 19 * 1024));
}

#[tokio::test]
async fn what_a_dead_process_left_counts_towards_full() {
    let folder = tempfile::tempdir().unwrap();
    let spool = open(folder.path());
    record(&*spool, 0..100).await;
    drop(spool);
    let settings = SpoolSettings { max_bytes: 10 * 1024, ..settings(folder.path()) };
    let spool = Spool::open(settings, SpoolMetrics::default()).unwrap();
    let _reader = read(&spool);
    assert!(matches!(spool.record(event(100)).await, Err(AuditError::Full(_))));
}

#[tokio::test]
async fn the_end_of_a_session_whose_daemon_died_comes_behind_what_that_left_and_once() {
    let folder = tempfile::tempdir().unwrap();
    let spool = open(folder.path());
    record(&*spool, 0..300).await;
    spool.record(begins(7000)).await.unwrap();
    record(&*spool, [301]).await;
    let younger = open(folder.path());
    let mut reader = read(&younger);
    assert!(reader.next().unwrap().is_none(), "both are those of a daemon that lives");
    drop(spool);
    let mut numbers = Vec::new();
    while let Some(batch) = reader.next().unwrap() {
        numbers.extend(batch.events.iter().map(number_of));
        reader.acknowledge(&batch.position).unwrap();
    }
    assert_eq!(numbers, (0..=301).chain([7000]).collect::<Vec<_>>());
    drop((reader, younger));
    assert!(taken(folder.path()).is_empty());
}

#[tokio::test]
async fn the_end_of_such_a_session_that_finds_no_room_is_told_another_time() {
    let folder = tempfile::tempdir().unwrap();
    open(folder.path()).record(begins(7000)).await.unwrap();
    let full = SpoolSettings { max_bytes: 10, ..settings(folder.path()) };
    drop(read(&Spool::open(full, SpoolMetrics::default()).unwrap()));
    assert_eq!(taken(folder.path()), [300, 7000]);
}

#[tokio::test]
async fn segments_of_a_process_that_runs_are_left_to_it() {
    let folder = tempfile::tempdir().unwrap();
    let elder = open(folder.path());
    record(&*elder, [1]).await;
    let younger = open(folder.path());
    let mut reader = read(&younger);
    record(&*younger, [2]).await;
    let batch = reader.next().unwrap().unwrap();
    assert_eq!(batch.events.iter().map(number_of).collect::<Vec<_>>(), [2]);
    reader.acknowledge(&batch.position).unwrap();
    assert!(reader.next().unwrap().is_none() && reader.has_others());
    record(&*elder, [3]).await;
    drop((elder, batch));
    let batch = reader.next().unwrap().unwrap();
    assert_eq!(batch.events.iter().map(number_of).collect::<Vec<_>>(), [1, 3]);
    reader.acknowledge(&batch.position).unwrap();
    assert!(reader.next().unwrap().is_none() && !reader.has_others());
}

#[test]
fn a_death_while_a_segment_is_emptied_sends_nothing_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit-00000000000000000001.jsonl");
    fs::write(&path, "{\"acked\":\"00000000000000009999\"}\n").unwrap();
    assert_eq!(taken(folder.path()), [0u64; 0]);
    assert!(!path.exists());
}

#[test]
fn a_segment_without_a_readable_header_is_sent_from_its_beginning() {
    let folder = tempfile::tempdir().unwrap();
    let line = String::from_utf8(crate::line::encode(event(5).to_json()).bytes).unwrap();
    let header = "x".repeat(32) + "\n";
    fs::write(folder.path().join("audit-00000000000000000001.jsonl"), header + &line).unwrap();
    fs::write(folder.path().join("audit-00000000000000000002.jsonl"), "").unwrap();
    assert_eq!(taken(folder.path()), [5]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn whatever_follows_the_last_whole_line_costs_only_itself(
        garbage in prop::collection::vec(any::<u8>(), 0..600_000),
        cut in 0usize..200,
    ) {
        let folder = tempfile::tempdir().unwrap();
        let spool = open(folder.path());
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(record(&*spool, 0..5));
        drop(spool);
        let path = &segments(folder.path())[0];
        let mut bytes = fs::read(path).unwrap();
        // What a death leaves: the line that was being written, up to anywhere; or worse.
        let torn = crate::line::encode(event(99).to_json()).bytes;
        bytes.extend_from_slice(&torn[..cut.min(torn.len() - 1)]);
        bytes.extend(garbage.iter().filter(|byte| **byte != b'\n'));
        fs::write(path, bytes).unwrap();
        prop_assert_eq!(taken(folder.path()), [0, 1, 2, 3, 4]);
        prop_assert!(waiting(folder.path()).is_empty());
    }
}

/// The process that [`kill_9_loses_nothing_that_was_recorded`] kills.
#[test]
#[ignore = "is started by another test"]
fn records_until_it_is_killed() {
    let mut input = String::new();
    io::stdin().read_to_string(&mut input).unwrap();
    let Some((folder, first)) = input.split_once('\n') else { return };
    let first: u64 = first.parse().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let spool = open(Path::new(folder));
    for number in first.. {
        runtime.block_on(record(&*spool, [number]));
        writeln!(io::stdout().lock(), "recorded {number}").unwrap();
    }
}

fn killed_after(folder: &Path, first: u64, events: usize) -> u64 {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "spool::tests::records_until_it_is_killed", "--ignored", "--nocapture"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(format!("{}\n{first}", folder.display()).as_bytes()).unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let number = |line: String| line.strip_prefix("recorded ")?.parse::<u64>().ok();
    let before: Vec<u64> = output.by_ref().filter_map(number).take(events).collect();
    child.kill().unwrap();
    let last = output.filter_map(number).last().or(before.last().copied()).unwrap();
    child.wait().unwrap();
    last
}

#[test]
fn kill_9_loses_nothing_that_was_recorded() {
    let folder = tempfile::tempdir().unwrap();
    let mut next = 0;
    for round in 0..20 {
        let last = killed_after(folder.path(), next, 1 + round * 5);
        let found = waiting(folder.path());
        let recorded: Vec<_> = (0..=last).collect();
        // The event whose record had not returned yet may be there too.
        assert!(found.starts_with(&recorded) && found.len() <= recorded.len() + 1, "round {round}");
        next = found.len() as u64;
    }
    assert_eq!(taken(folder.path()), (0..next).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_host_that_records_nothing_writes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (auth, _received) = Auth::new();
    let running = Running::start(folder.path(), auth);
    running.stop().await;
    assert!(segments(folder.path()).is_empty());
}
