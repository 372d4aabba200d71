//! Lines on their way to the output, and the thread that writes them.
//!
//! Whoever logs copies its line into a buffer of bounded size and goes on. The thread takes the
//! whole buffer at once and writes it, so a burst costs few system calls. While the output is slow
//! the buffer fills, further lines are dropped and counted, and the count is logged as soon as the
//! output takes lines again.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use port::clock::Clock;
use prometheus_client::metrics::counter::Counter;
use tracing::Level;

use super::encode::Encoder;
use super::record::{Fields, Record};
use super::sink::Sink;

/// How many bytes may wait. A session's worth of debug lines; more means the output stands still.
pub(super) const QUEUE_BYTES: usize = 1024 * 1024;

/// A buffer that grew beyond this in a burst is given back.
const KEPT_BYTES: usize = 64 * 1024;

/// Lines that wait.
#[derive(Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    filled: Condvar,
    settled: Condvar,
    dropped: Counter,
}

#[derive(Default)]
struct State {
    waiting: Vec<u8>,
    /// Lines dropped since the last notice.
    dropped: u64,
    writing: bool,
    closed: bool,
}

impl Queue {
    /// Adds a line, or drops it when there is no room. Never waits for the output.
    pub(super) fn push(&self, line: &str) {
        let mut state = self.state.lock();
        if state.waiting.len() + line.len() >= QUEUE_BYTES {
            state.dropped += 1;
            self.dropped.inc();
            return;
        }
        state.waiting.extend_from_slice(line.as_bytes());
        state.waiting.push(b'\n');
        self.filled.notify_one();
    }

    /// Waits until nothing waits any more, at most this long. Says whether that is so.
    pub(super) fn flush(&self, at_most: Duration) -> bool {
        let mut state = self.state.lock();
        let busy = |state: &mut State| state.writing || !state.waiting.is_empty();
        !self.settled.wait_while_for(&mut state, busy, at_most).timed_out()
    }

    /// How many lines were dropped or lost so far.
    pub(super) fn dropped(&self) -> &Counter {
        &self.dropped
    }

    fn close(&self) {
        self.state.lock().closed = true;
        self.filled.notify_one();
    }

    /// Swaps the waiting lines into `batch` and returns how many were dropped; none at the end.
    fn take(&self, batch: &mut Vec<u8>) -> Option<u64> {
        let mut state = self.state.lock();
        state.writing = false;
        if state.waiting.is_empty() {
            self.settled.notify_all();
        }
        while state.waiting.is_empty() {
            if state.closed {
                return None;
            }
            self.filled.wait(&mut state);
        }
        state.writing = true;
        batch.clear();
        if batch.capacity() > KEPT_BYTES {
            *batch = Vec::new();
        }
        std::mem::swap(&mut state.waiting, batch);
        Some(std::mem::take(&mut state.dropped))
    }
}

/// Keeps the writer thread: when it goes, the thread writes what is left and ends.
pub(super) struct Owner(Arc<Queue>);

impl Owner {
    pub(super) fn new(queue: Arc<Queue>) -> Self {
        Self(queue)
    }

    pub(super) fn push(&self, line: &str) {
        self.0.push(line);
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// Starts the writer thread.
pub(super) fn start(sink: Sink, encoder: Encoder, clock: Arc<dyn Clock>) -> std::io::Result<Arc<Queue>> {
    let queue = Arc::new(Queue::default());
    let writer = Writer { queue: Arc::clone(&queue), sink, encoder, clock };
    std::thread::Builder::new().name("log".into()).spawn(move || writer.run())?;
    Ok(queue)
}

struct Writer {
    queue: Arc<Queue>,
    sink: Sink,
    encoder: Encoder,
    clock: Arc<dyn Clock>,
}

impl Writer {
    fn run(mut self) {
        let mut batch = Vec::new();
        let mut unsaid = 0;
        while let Some(dropped) = self.queue.take(&mut batch) {
            let lost = self.sink.write(&batch);
            self.queue.dropped.inc_by(lost);
            unsaid += dropped + lost;
            if unsaid > 0 && self.sink.write(self.notice(unsaid).as_bytes()) == 0 {
                unsaid = 0;
            }
        }
    }

    /// Says how many lines are missing.
    fn notice(&self, count: u64) -> String {
        let fields = Fields {
            message: "log records are missing here: the output was too slow or failed".into(),
            component: Some("log".into()),
            pairs: vec![("count", count.into())],
        };
        let record = Record { time: self.clock.now(), level: Level::WARN, target: "", caller: None, fields };
        self.encoder.line(&record) + "\n"
    }
}
