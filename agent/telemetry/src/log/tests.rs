use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::time::Duration;

use domain::Timestamp;
use domain::printable::is_printable;
use proptest::prelude::*;
use serde_json::{Value, json};
use tracing::Level;

use super::encode::Encoder;
use super::record::{Fields, Record};
use super::*;

struct FixedClock;

impl Clock for FixedClock {
    fn now(&self) -> Timestamp {
        "2026-11-21T02:30:00.123456Z".parse().unwrap()
    }
}

const LONG: Duration = Duration::from_secs(30);

fn settings(output: Output, encoding: Encoding) -> Settings {
    Settings { output, encoding, ..Settings::default() }
}

fn file_log(path: &Path, severity: Severity, encoding: Encoding) -> (tracing::Dispatch, LogHandle) {
    let settings = Settings { severity, ..settings(Output::File(path.into()), encoding) };
    build(&settings, Arc::new(FixedClock)).unwrap()
}

/// What is written to a file while `speak` runs.
fn written(severity: Severity, encoding: Encoding, speak: impl FnOnce()) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("teleport.log");
    let (dispatch, handle) = file_log(&path, severity, encoding);
    tracing::dispatcher::with_default(&dispatch, speak);
    assert!(handle.flush(LONG));
    std::fs::read_to_string(path).unwrap().lines().map(str::to_owned).collect()
}

#[derive(Debug, thiserror::Error)]
#[error("cannot dial node turing")]
struct DialFailed(#[source] std::io::Error);

#[test]
fn a_text_line_has_time_level_room_message_and_fields() {
    let lines = written(Severity::Info, Encoding::Text, || {
        tracing::info!(target: "teleport_service_node::shell", user = "joe", status = 0, "session ended");
        tracing::warn!(target: "teleport_process", component = "auth", path = "/a b", empty = "", "odd");
    });
    assert_eq!(
        lines,
        [
            "2026-11-21T02:30:00.123Z INFO [NODE] session ended user=joe status=0",
            r#"2026-11-21T02:30:00.123Z WARN [AUTH] odd path="/a b" empty="""#,
        ]
    );
}

#[test]
fn a_json_line_keeps_types_and_its_own_keys() {
    let lines = written(Severity::Info, Encoding::Json, || {
        tracing::info!(target: "teleport_config", count = 3, good = true, level = "mine", "read \"it\"");
    });
    let expected = concat!(
        r#"{"timestamp":"2026-11-21T02:30:00.123Z","level":"info","component":"config","#,
        r#""message":"read \"it\"","count":3,"good":true,"field.level":"mine"}"#
    );
    assert_eq!(lines, [expected]);
}

#[test]
fn only_the_chosen_extra_fields_are_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    let extra_fields = vec![ExtraField::Caller];
    let settings = Settings { extra_fields, ..settings(Output::File(path.clone()), Encoding::Text) };
    let (dispatch, handle) = build(&settings, Arc::new(FixedClock)).unwrap();
    let line = line!() + 1;
    tracing::dispatcher::with_default(&dispatch, || tracing::error!("gone"));
    assert!(handle.flush(LONG));
    let expected = format!("gone agent/telemetry/src/log/tests.rs:{line}\n");
    assert_eq!(std::fs::read_to_string(path).unwrap(), expected);
}

#[test]
fn fields_of_the_spans_around_are_carried_and_the_inner_word_wins() {
    let lines = written(Severity::Info, Encoding::Text, || {
        let outer =
            tracing::info_span!("proxy.connect", component = "proxy", client = "1.2.3.4:5", user = "?");
        let _outer = outer.enter();
        let inner = tracing::info_span!("proxy.dial", node = tracing::field::Empty);
        inner.record("node", "turing");
        let _inner = inner.enter();
        tracing::info!(user = "joe", "connected");
    });
    assert_eq!(
        lines,
        ["2026-11-21T02:30:00.123Z INFO [PROXY] connected client=1.2.3.4:5 user=joe node=turing"]
    );
}

#[test]
fn an_error_is_written_with_what_caused_it() {
    let lines = written(Severity::Info, Encoding::Text, || {
        let error = DialFailed(std::io::Error::other("connection refused"));
        tracing::error!(error = &error as &dyn std::error::Error, "session refused");
    });
    assert!(lines[0].ends_with(r#"session refused error="cannot dial node turing: connection refused""#));
}

#[test]
fn what_a_client_writes_into_a_field_stays_in_its_field() {
    let evil = "joe\n2026-11-21T02:30:00.123Z INFO [AUTH] forged \u{1b}[2J\u{9b}31m\" ok=true";
    for encoding in [Encoding::Text, Encoding::Json] {
        let lines = written(Severity::Info, encoding, || tracing::info!(user = evil, "login {evil}"));
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(lines[0].chars().all(is_printable), "{lines:?}");
    }
    let lines = written(Severity::Info, Encoding::Json, || tracing::info!(user = evil, "login"));
    let parsed: Value = serde_json::from_str(&lines[0]).unwrap();
    assert_eq!(parsed["user"], evil, "JSON loses nothing of it");
}

#[test]
fn a_huge_value_is_cut_and_a_line_has_an_end() {
    let huge = "é".repeat(100_000);
    for encoding in [Encoding::Text, Encoding::Json] {
        let lines = written(Severity::Info, encoding, || {
            tracing::info!(a = huge, b = huge, c = huge, d = huge, e = huge, f = 1, "much");
        });
        assert!(lines[0].len() < 17 * 1024 && lines[0].contains("truncated"), "{}", lines[0].len());
    }
}

#[test]
fn the_level_changes_at_run_time() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    let (dispatch, handle) = file_log(&path, Severity::Info, Encoding::Text);
    tracing::dispatcher::with_default(&dispatch, || {
        let speak = |message| tracing::debug!(target: "teleport_auth", "{message}");
        speak("hidden");
        handle.set_severity(Severity::Debug).unwrap();
        speak("shown");
        handle.set_severity(Severity::Error).unwrap();
        speak("hidden again");
    });
    assert!(handle.flush(LONG));
    assert_eq!(handle.severity(), Severity::Error);
    let text = std::fs::read_to_string(path).unwrap();
    assert!(text.contains("shown") && !text.contains("hidden"), "{text}");
}

#[test]
fn a_moved_file_is_left_when_the_log_is_reopened() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    let moved = folder.path().join("log.1");
    let (dispatch, handle) = file_log(&path, Severity::Info, Encoding::Text);
    let speak = |message: &str| {
        tracing::dispatcher::with_default(&dispatch, || tracing::error!("{message}"));
        assert!(handle.flush(LONG));
    };
    speak("first");
    std::fs::rename(&path, &moved).unwrap();
    speak("second");
    handle.reopen().unwrap();
    speak("third");
    assert_eq!(std::fs::read_to_string(&moved).unwrap().lines().count(), 2);
    let now = std::fs::read_to_string(&path).unwrap();
    assert!(now.contains("third") && now.lines().count() == 1, "{now}");
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o037, 0);
}

#[test]
fn an_output_that_cannot_be_opened_says_which_and_what_to_do() {
    let missing = Output::File("/nowhere/at/all/log".into());
    let error = build(&settings(missing, Encoding::Text), Arc::new(FixedClock)).unwrap_err().to_string();
    assert!(error.contains("/nowhere/at/all/log") && error.contains("folder must exist"), "{error}");
    let folder = tempfile::tempdir().unwrap();
    let socket = Output::Syslog(folder.path().join("log"));
    let error = build(&settings(socket, Encoding::Text), Arc::new(FixedClock)).unwrap_err().to_string();
    assert!(error.contains("start a syslog daemon or set teleport.log.output"), "{error}");
}

/// A log whose lines go into a pipe that nobody reads until the test does.
fn piped() -> (tracing::Dispatch, LogHandle, std::io::PipeReader) {
    let (reader, writer) = std::io::pipe().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    let (dispatch, handle) = file_log(&path, Severity::Info, Encoding::Text);
    *handle.0.reopened.lock() = Some(File::from(OwnedFd::from(writer)));
    (dispatch, handle, reader)
}

#[test]
fn a_reader_that_stands_still_stalls_nobody_and_learns_what_it_missed() {
    let (dispatch, handle, mut reader) = piped();
    let total = 40_000u64;
    // Ten times what the pipe and the queue hold: were anything to wait, this would not return.
    let filler = "x".repeat(200);
    tracing::dispatcher::with_default(&dispatch, || {
        for _ in 0..total {
            tracing::error!(filler, "line");
        }
    });
    assert!(!handle.flush(Duration::from_millis(10)), "nobody has read yet");
    let dropped = handle.0.queue.dropped().get();
    assert!(dropped > total / 2, "{dropped}");
    drop(dispatch);
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    let kept = text.lines().filter(|line| line.contains("filler=xxx")).count() as u64;
    let missing: u64 = text
        .lines()
        .filter_map(|line| line.split_once("failed count="))
        .map(|(_, n)| n.parse::<u64>().unwrap())
        .sum();
    assert_eq!((kept + dropped, missing), (total, dropped));
}

#[test]
fn a_descriptor_someone_made_non_blocking_is_waited_for() {
    let (dispatch, handle, mut reader) = piped();
    let writer_side = {
        let slot = handle.0.reopened.lock();
        slot.as_ref().unwrap().as_fd().try_clone_to_owned().unwrap()
    };
    rustix::fs::fcntl_setfl(&writer_side, rustix::fs::OFlags::NONBLOCK).unwrap();
    drop(writer_side);
    tracing::dispatcher::with_default(&dispatch, || {
        (0..1_000).for_each(|_| tracing::error!(filler = "x".repeat(200), "line"))
    });
    drop(dispatch);
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    assert_eq!(text.lines().count(), 1_000);
    assert_eq!(handle.0.queue.dropped().get(), 0);
}

struct SyslogDaemon {
    folder: tempfile::TempDir,
    socket: UnixDatagram,
}

impl SyslogDaemon {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let socket = UnixDatagram::bind(folder.path().join("log")).unwrap();
        Self { folder, socket }
    }

    fn log(&self) -> (tracing::Dispatch, LogHandle) {
        let settings = settings(Output::Syslog(self.folder.path().join("log")), Encoding::Text);
        build(&settings, Arc::new(FixedClock)).unwrap()
    }

    /// The old socket is gone and the new one there before the next line is written.
    fn restart(&mut self) {
        let path = self.folder.path().join("new");
        self.socket = UnixDatagram::bind(&path).unwrap();
        std::fs::rename(path, self.folder.path().join("log")).unwrap();
    }

    fn receive(&self) -> String {
        let mut buffer = [0; 64 * 1024];
        self.socket.set_read_timeout(Some(LONG)).unwrap();
        let length = self.socket.recv(&mut buffer).unwrap();
        String::from_utf8(buffer[..length].to_vec()).unwrap()
    }
}

fn say(dispatch: &tracing::Dispatch, message: &str) {
    tracing::dispatcher::with_default(dispatch, || tracing::error!(target: "teleport_auth", "{message}"));
}

#[test]
fn syslog_takes_one_datagram_per_record_and_may_restart() {
    let mut daemon = SyslogDaemon::start();
    let (dispatch, handle) = daemon.log();
    say(&dispatch, "one\ntwo");
    let header = format!("<27>teleport[{}]: ", std::process::id());
    let line = "2026-11-21T02:30:00.123Z ERROR [AUTH] one\\ntwo";
    assert_eq!(daemon.receive(), format!("{header}{line}"));
    daemon.restart();
    say(&dispatch, "after");
    assert!(daemon.receive().ends_with("after"));
    assert!(handle.flush(LONG));
    assert_eq!(handle.0.queue.dropped().get(), 0);
}

#[test]
fn a_syslog_daemon_that_stays_away_is_told_later_what_it_missed() {
    let mut daemon = SyslogDaemon::start();
    let (dispatch, handle) = daemon.log();
    std::fs::remove_file(daemon.folder.path().join("log")).unwrap();
    daemon.socket = UnixDatagram::unbound().unwrap();
    say(&dispatch, "nobody hears this");
    assert!(handle.flush(LONG));
    daemon.restart();
    say(&dispatch, "heard");
    assert!(daemon.receive().ends_with("heard"));
    assert!(daemon.receive().ends_with("count=1"));
}

#[test]
fn a_full_disk_loses_lines_but_never_joins_them() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    let (dispatch, handle) = file_log(&path, Severity::Info, Encoding::Text);
    *handle.0.reopened.lock() = Some(std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap());
    say(&dispatch, "lost");
    assert!(handle.flush(LONG));
    handle.reopen().unwrap();
    say(&dispatch, "kept");
    assert!(handle.flush(LONG));
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.contains("kept\n") && text.contains("count=1") && !text.contains("lost"), "{text}");
}

fn record(message: String, name: &'static str, value: Value) -> Record<'static> {
    let fields = Fields { message, component: None, pairs: vec![(name, value)] };
    Record { time: FixedClock.now(), level: Level::INFO, target: "teleport_x", caller: None, fields }
}

proptest! {
    #[test]
    fn every_record_is_one_printable_line(message in any::<String>(), value in any::<String>()) {
        for encoding in [Encoding::Text, Encoding::Json] {
            let encoder = Encoder::new(&settings(Output::Stderr, encoding));
            let line = encoder.line(&record(message.clone(), "value", json!(value)));
            prop_assert!(line.chars().all(is_printable), "{line:?}");
        }
    }

    #[test]
    fn json_gives_back_what_went_in(message in any::<String>(), value in any::<String>()) {
        let encoder = Encoder::new(&settings(Output::Stderr, Encoding::Json));
        let line = encoder.line(&record(message.clone(), "value", json!(value)));
        let parsed: Value = serde_json::from_str(&line).unwrap();
        prop_assert_eq!(&parsed["message"], &message);
        prop_assert_eq!(&parsed["value"], &value);
    }
}
