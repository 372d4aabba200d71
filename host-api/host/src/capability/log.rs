//! `teleport:host/log` and the guest's standard output and error: bounded lines in the daemon's
//! log.
//!
//! A line is cut at its limit, stripped of what could steer a terminal, and counted against the
//! call and against the plugin's rate. What is over is dropped; the first dropped line of a call is
//! said, and the sum is in the call's report.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use domain::plugin::Limits;
use domain::printable;
use parking_lot::{Mutex, MutexGuard};
use tokio::time::Instant;
use tracing::{debug, error, info, warn};

use super::v1::teleport::host::log::{Host, Level};
use crate::call::{CallState, Identity};
use crate::diary::Diary;
use crate::rehearsal::Outside;

/// Lines per second, over all calls of a plugin, with bursts of this many seconds' worth.
const BURST: f64 = 5.0;

/// Lines of standard error remembered for the report of a crash.
const LAST_ERRORS: usize = 3;

/// Lets so many lines through per second.
pub(crate) struct Rate {
    state: Mutex<Bucket>,
}

struct Bucket {
    per_second: f64,
    left: f64,
    filled: Option<Instant>,
    /// Whether it has been said that lines are dropped.
    dropping: bool,
}

impl Rate {
    /// A full bucket.
    pub(crate) fn new(per_second: u64) -> Self {
        // Limits of lines are small numbers; precision is no concern.
        let per_second = u32::try_from(per_second).map_or(f64::from(u32::MAX), f64::from);
        Self {
            state: Mutex::new(Bucket { per_second, left: per_second * BURST, filled: None, dropping: false }),
        }
    }

    /// Whether this is the first line to be dropped since lines went through: what is said of it must
    /// not itself be more than the plugin may write.
    fn begins_to_drop(&self) -> bool {
        !std::mem::replace(&mut self.state.lock().dropping, true)
    }

    fn take(&self, now: Instant) -> bool {
        let mut bucket = self.state.lock();
        let since = bucket.filled.map_or(Duration::ZERO, |filled| now.saturating_duration_since(filled));
        let most = bucket.per_second * BURST;
        bucket.left = (bucket.left + since.as_secs_f64() * bucket.per_second).min(most);
        bucket.filled = Some(now);
        let fits = bucket.left >= 1.0;
        if fits {
            bucket.left -= 1.0;
        }
        // Once there is room for a burst again, it is news when there is none.
        if bucket.left >= bucket.per_second {
            bucket.dropping = false;
        }
        fits
    }
}

/// Where one call's lines go.
pub(crate) struct Sink {
    plugin: Arc<Identity>,
    rate: Arc<Rate>,
    line_max: usize,
    state: Mutex<Lines>,
    /// Whether the plugin has written anything in this call. Most calls of a kept instance do not, and to look
    /// at this costs them less than the lock.
    is_written: AtomicBool,
    heard_by: Option<Arc<dyn Outside>>,
    kept_in: Option<Arc<Diary>>,
}

struct Lines {
    left: u64,
    written: u64,
    dropped: u64,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    last_errors: VecDeque<String>,
}

/// Which standard stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stream {
    /// Standard output.
    Out,
    /// Standard error.
    Err,
}

impl Sink {
    /// An empty sink for one call.
    pub(crate) fn new(plugin: Arc<Identity>, rate: Arc<Rate>, limits: &Limits) -> Self {
        let line_max = usize::try_from(limits.log_line).unwrap_or(usize::MAX);
        let state = Lines {
            left: limits.log_lines,
            written: 0,
            dropped: 0,
            stdout: Vec::new(),
            stderr: Vec::new(),
            last_errors: VecDeque::new(),
        };
        let (state, is_written) = (Mutex::new(state), AtomicBool::new(false));
        Self { plugin, rate, line_max, state, is_written, heard_by: None, kept_in: None }
    }

    /// Has the last lines remembered.
    pub(crate) fn kept_in(&mut self, diary: Arc<Diary>) {
        self.kept_in = Some(diary);
    }

    /// Lets somebody beside the daemon's log hear the lines.
    pub(crate) fn heard_by(&mut self, outside: Option<Arc<dyn Outside>>) {
        self.heard_by = outside;
    }

    /// Begins the next call of an instance that is kept.
    pub(crate) fn renew(&self, limits: &Limits) {
        if !self.is_written.load(Ordering::Acquire) {
            return;
        }
        let mut lines = self.state.lock();
        (lines.left, lines.written, lines.dropped) = (limits.log_lines, 0, 0);
        lines.last_errors.clear();
        // What it began to write while it was made is finished with this call.
        let has_begun = !lines.stdout.is_empty() || !lines.stderr.is_empty();
        self.is_written.store(has_begun, Ordering::Release);
    }

    /// Writes one line, if it may be written.
    pub(crate) fn line(&self, level: Level, text: &str) {
        let mut lines = self.write();
        self.admit(&mut lines, level, text);
    }

    /// Takes what the guest wrote to a standard stream; whole lines go out, the rest waits for its end.
    pub(crate) fn stream(&self, stream: Stream, bytes: &[u8]) {
        let mut lines = self.write();
        let mut pieces = bytes.split(|byte| *byte == b'\n');
        let last = pieces.next_back().unwrap_or_default();
        for piece in pieces {
            self.gather(&mut lines, stream, piece);
            self.end_line(&mut lines, stream);
        }
        self.gather(&mut lines, stream, last);
    }

    /// Writes out unfinished lines. Called once, when the call is over.
    pub(crate) fn finish(&self) {
        if !self.is_written.load(Ordering::Acquire) {
            return;
        }
        let mut lines = self.state.lock();
        for stream in [Stream::Out, Stream::Err] {
            self.end_line(&mut lines, stream);
        }
    }

    /// Lines written and dropped.
    pub(crate) fn counts(&self) -> (u64, u64) {
        let lines = self.state.lock();
        (lines.written, lines.dropped)
    }

    /// The last lines of standard error, where a plugin says why it gives up; nothing when it said
    /// nothing.
    pub(crate) fn last_errors(&self) -> Option<String> {
        let lines = self.state.lock();
        let said: Vec<&str> = lines.last_errors.iter().map(String::as_str).collect();
        (!said.is_empty()).then(|| said.join(" "))
    }

    fn write(&self) -> MutexGuard<'_, Lines> {
        let lines = self.state.lock();
        self.is_written.store(true, Ordering::Release);
        lines
    }

    /// Adds to an unfinished line; never holds more of it than can be written.
    fn gather(&self, lines: &mut Lines, stream: Stream, bytes: &[u8]) {
        let buffer = lines.buffer(stream);
        let room = self.line_max.saturating_add(1).saturating_sub(buffer.len());
        buffer.extend(bytes.iter().take(room));
    }

    fn end_line(&self, lines: &mut Lines, stream: Stream) {
        let bytes = std::mem::take(lines.buffer(stream));
        if bytes.is_empty() {
            return;
        }
        let text = String::from_utf8_lossy(&bytes);
        // Rust's advice on backtraces is for whoever can set variables, and a plugin has none.
        if stream == Stream::Err && !text.starts_with("note: run with `RUST_BACKTRACE") {
            let line = printable::escape(printable::clip(&text, self.line_max)).into_owned();
            lines.last_errors.push_back(line);
            if lines.last_errors.len() > LAST_ERRORS {
                lines.last_errors.pop_front();
            }
        }
        let level = if stream == Stream::Err { Level::Warn } else { Level::Info };
        self.admit(lines, level, &text);
    }

    fn admit(&self, lines: &mut Lines, level: Level, text: &str) {
        if lines.left == 0 || !self.rate.take(Instant::now()) {
            if lines.dropped == 0 && self.rate.begins_to_drop() {
                self.emit(Level::Warn, "the plugin logs more than it may, further lines are dropped");
            }
            lines.dropped += 1;
            return;
        }
        lines.left -= 1;
        lines.written += 1;
        let cut = printable::clip(text, self.line_max);
        let line = cut.replace(['\n', '\r'], " ");
        let mark = if cut.len() < text.len() { "…" } else { "" };
        self.emit(level, &format!("{}{mark}", printable::escape(&line)));
    }

    fn emit(&self, level: Level, line: &str) {
        if let Some(outside) = &self.heard_by {
            outside.line(key(level), line);
        }
        if let Some(diary) = &self.kept_in {
            diary.line(key(level), line);
        }
        let Identity { name, version } = &*self.plugin;
        // A field, and so in quotes: what it says cannot be taken for what the host says.
        match level {
            Level::Debug => debug!(plugin = %name, %version, said = line, "{LOGGED}"),
            Level::Info => info!(plugin = %name, %version, said = line, "{LOGGED}"),
            Level::Warn => warn!(plugin = %name, %version, said = line, "{LOGGED}"),
            Level::Error => error!(plugin = %name, %version, said = line, "{LOGGED}"),
        }
    }
}

/// What the daemon's log says of a plugin's line.
const LOGGED: &str = "a plugin logged";

fn key(level: Level) -> &'static str {
    match level {
        Level::Debug => "debug",
        Level::Info => "info",
        Level::Warn => "warn",
        Level::Error => "error",
    }
}

impl Lines {
    fn buffer(&mut self, stream: Stream) -> &mut Vec<u8> {
        match stream {
            Stream::Out => &mut self.stdout,
            Stream::Err => &mut self.stderr,
        }
    }
}

impl Host for CallState {
    fn write(&mut self, level: Level, message: String) {
        self.log.line(level, &message);
    }
}

#[cfg(test)]
mod tests {
    use domain::plugin::{ContractKind, PluginName};

    use super::*;

    fn sink(log_lines: u64, log_rate: u64) -> Sink {
        let limits = Limits { log_lines, log_line: 30, log_rate, ..Limits::of(ContractKind::LabelProvider) };
        let name = PluginName::new("label-x").unwrap();
        let plugin = Arc::new(Identity { name, version: "1.0.0".to_owned() });
        Sink::new(plugin, Arc::new(Rate::new(log_rate)), &limits)
    }

    #[tokio::test(start_paused = true)]
    async fn lines_beyond_the_calls_limit_are_dropped_and_counted() {
        let sink = sink(2, 100);
        for _ in 0..5 {
            sink.line(Level::Info, "x");
        }
        assert_eq!(sink.counts(), (2, 3));
    }

    #[tokio::test(start_paused = true)]
    async fn each_call_of_a_kept_instance_begins_with_nothing_written() {
        let sink = sink(2, 100);
        let limits = Limits { log_lines: 2, ..Limits::of(ContractKind::LabelProvider) };
        for call in 0..3 {
            sink.renew(&limits);
            assert_eq!((sink.counts(), sink.last_errors()), ((0, 0), None), "call {call}");
            // Every second one writes nothing.
            if call % 2 == 0 {
                sink.stream(Stream::Err, b"one\ntwo\nthree");
                sink.finish();
                assert_eq!(sink.counts(), (2, 1), "call {call}");
                continue;
            }
            sink.finish();
            assert_eq!(sink.counts(), (0, 0), "call {call}");
        }
        sink.stream(Stream::Err, b"half");
        sink.renew(&limits);
        sink.finish();
        assert_eq!((sink.counts(), sink.last_errors().as_deref()), ((1, 0), Some("half")));
    }

    #[tokio::test(start_paused = true)]
    async fn that_lines_are_dropped_is_not_said_at_every_call() {
        let rate = Rate::new(2);
        let now = Instant::now();
        while rate.take(now) {}
        assert_eq!((0..100).filter(|_| rate.begins_to_drop()).count(), 1);
        assert!(rate.take(now + Duration::from_secs(60)));
        assert!(rate.begins_to_drop(), "news again");
    }

    #[tokio::test(start_paused = true)]
    async fn the_rate_holds_over_calls_and_refills_with_time() {
        let rate = Rate::new(2);
        let mut now = Instant::now();
        let burst = (0..100).filter(|_| rate.take(now)).count();
        assert_eq!(burst, 10);
        now += Duration::from_secs(1);
        assert_eq!((0..100).filter(|_| rate.take(now)).count(), 2);
        now += Duration::from_secs(3600);
        assert_eq!((0..100).filter(|_| rate.take(now)).count(), 10, "an hour of silence earns one burst");
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_becomes_lines_however_it_is_cut() {
        let sink = sink(100, 100);
        sink.stream(Stream::Err, b"one\ntw");
        assert_eq!(sink.counts(), (1, 0));
        sink.stream(Stream::Err, b"o\n\n");
        assert_eq!(sink.counts(), (2, 0));
        assert_eq!(sink.last_errors().as_deref(), Some("one two"));
        sink.stream(Stream::Err, b"3\n4\nnote: run with `RUST_BACKTRACE=1`\n5\n");
        assert_eq!(sink.last_errors().as_deref(), Some("3 4 5"));
        sink.stream(Stream::Out, b"unfinished");
        sink.finish();
        assert_eq!(sink.counts(), (7, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn a_line_without_end_holds_no_memory() {
        let sink = sink(100, 100);
        for _ in 0..1000 {
            sink.stream(Stream::Err, &[b'a'; 4096]);
        }
        assert!(sink.state.lock().stderr.len() <= 31);
        sink.finish();
        assert_eq!(sink.last_errors().as_deref(), Some("a".repeat(30).as_str()));
    }

    #[tokio::test(start_paused = true)]
    async fn what_could_steer_a_terminal_is_spelled_out() {
        let sink = sink(100, 100);
        sink.stream(Stream::Err, b"\x1b[2J\n");
        assert_eq!(sink.last_errors().as_deref(), Some("\\u{1b}[2J"));
    }
}
