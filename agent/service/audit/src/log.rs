//! The audit log: a file per day, a line per event, on disk before an append is answered.
//!
//! Appends wait in a bounded queue while the group before them is on its way to disk, and then go
//! together: one write, one fsync, all answered. So a hundred callers at once cost little more than
//! one. [`FileLog`] is the side callers see, [`writer::Writer`] the one that owns the files.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use port::audit::{AuditError, AuditLog};
use serde_json::{Map, Value};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use crate::line::{Line, encode};

pub(crate) mod folder;
mod recent;
mod run;
#[cfg(test)]
mod tests;
mod writer;

pub(crate) use run::{COMPONENT, run};
pub(crate) use writer::Writer;

/// How many appends may wait.
const QUEUE: usize = 4096;

/// How many KiB of lines may wait, over all appends.
const QUEUE_KIB: u32 = 32 * 1024;

/// The largest single append, in bytes of lines.
const APPEND_MAX: usize = 8 * 1024 * 1024;

/// How long a caller waits for the disk. Beyond it, whether its events were written is not known.
const TIMEOUT: Duration = Duration::from_secs(30);

/// One append on its way to disk.
pub(crate) struct Request {
    lines: Vec<Line>,
    answer: oneshot::Sender<Result<(), AuditError>>,
    /// Its share of the memory that waiting lines may take.
    _room: OwnedSemaphorePermit,
}

/// The log as its callers see it.
pub(crate) struct FileLog {
    cluster_name: String,
    requests: mpsc::Sender<Request>,
    room: Arc<Semaphore>,
}

impl FileLog {
    /// The caller's side, and the queue that [`run()`] serves.
    pub(crate) fn new(cluster_name: String) -> (Self, mpsc::Receiver<Request>) {
        let (requests, receiver) = mpsc::channel(QUEUE);
        let room = Arc::new(Semaphore::new(QUEUE_KIB as usize));
        (Self { cluster_name, requests, room }, receiver)
    }

    fn line(&self, mut event: Map<String, Value>) -> Line {
        let named = event.get("cluster_name").and_then(Value::as_str).is_some_and(|name| !name.is_empty());
        if !named {
            event.insert("cluster_name".into(), self.cluster_name.clone().into());
        }
        encode(event)
    }

    async fn submit(&self, lines: Vec<Line>, kib: u32) -> Result<(), AuditError> {
        let room = Arc::clone(&self.room).acquire_many_owned(kib).await.map_err(|_| AuditError::Closed)?;
        let (answer, answered) = oneshot::channel();
        let request = Request { lines, answer, _room: room };
        self.requests.send(request).await.map_err(|_| AuditError::Closed)?;
        answered.await.map_err(|_| AuditError::Closed)?
    }
}

#[async_trait]
impl AuditLog for FileLog {
    async fn append(&self, events: Vec<Map<String, Value>>) -> Result<(), AuditError> {
        if events.is_empty() {
            return Ok(());
        }
        let lines: Vec<_> = events.into_iter().map(|event| self.line(event)).collect();
        let bytes: usize = lines.iter().map(|line| line.bytes.len()).sum();
        if bytes > APPEND_MAX {
            let text = format!("{bytes} bytes of events in one append, {APPEND_MAX} are allowed; send fewer");
            return Err(AuditError::Write(text));
        }
        let kib = u32::try_from(bytes.div_ceil(1024)).unwrap_or(QUEUE_KIB);
        let answer = tokio::time::timeout(TIMEOUT, self.submit(lines, kib)).await;
        answer.unwrap_or_else(|_| {
            let text = format!("no answer from the disk within {} s; is it overloaded?", TIMEOUT.as_secs());
            Err(AuditError::Write(text))
        })
    }
}
