//! Brings the spool to the auth server.
//!
//! Events wait a moment for others: a short session begins, runs its command and ends within it, and
//! costs one message, one commit on the auth server's disk, and one look at ours.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use domain::backoff::Backoff;
use domain::health::{CHECK_PERIOD, State};
use parking_lot::Mutex;
use port::random::Random;
use serde_json::{Map, Value};
use telemetry::health::HealthHandle;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::reader::Batch;
use super::{Reader, Spool};
use crate::error::sentence;
use crate::log::COMPONENT;

/// How long the auth server may take for one batch.
const SEND_TIMEOUT: Duration = Duration::from_secs(30);

/// How long the first event of a batch waits for others. It is on disk meanwhile.
const GATHER: Duration = Duration::from_millis(200);

/// Waits after failures.
const FIRST_WAIT: Duration = Duration::from_millis(500);
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// How long the last events may take when the daemon stops. The rest stays in the spool.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// The auth server did not take a batch.
#[derive(Debug, thiserror::Error)]
#[error("the auth server did not take the audit events")]
pub struct ForwardError(#[source] Box<dyn std::error::Error + Send + Sync>);

impl ForwardError {
    /// It failed for this reason.
    pub fn new(reason: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self(reason.into())
    }
}

/// Reaches the audit log of the auth server.
#[async_trait]
pub trait Forward: Send + Sync + 'static {
    /// Sends events, in order, and returns when they are on the auth server's disk. Sent again
    /// after a failure, also when only the answer was lost.
    ///
    /// # Errors
    /// [`ForwardError`]; then all of them are sent again later.
    async fn send(&self, events: Vec<Map<String, Value>>) -> Result<(), ForwardError>;
}

/// Brings events from the spool to the auth server.
pub(crate) struct Forwarder {
    pub(crate) spool: Arc<Spool>,
    pub(crate) reader: Arc<Mutex<Reader>>,
    pub(crate) forward: Arc<dyn Forward>,
    pub(crate) random: Arc<dyn Random>,
    pub(crate) health: HealthHandle,
}

/// How one step went.
enum Step {
    /// A batch has arrived; this one comes next.
    Sent(Option<Batch>),
    /// There was nothing to send.
    Idle,
    /// A batch has not arrived, or the spool could not be read.
    Failed(String),
}

impl Forwarder {
    /// Forwards until shutdown, and then for a moment what is left.
    pub(crate) async fn run(self, shutdown: CancellationToken) {
        let mut backoff = Backoff::new(FIRST_WAIT, LONGEST_WAIT);
        let mut state = self.health.worked(COMPONENT);
        let mut next = None;
        while !shutdown.is_cancelled() {
            match self.step(next.take()).await {
                Step::Sent(Some(batch)) => {
                    backoff.succeeded();
                    state = self.well(state);
                    next = Some(batch);
                }
                Step::Sent(None) | Step::Idle => {
                    backoff.succeeded();
                    state = self.well(state);
                    let patience = self.patience(state);
                    let events = async {
                        if timeout(patience, self.spool.fresh.notified()).await.is_ok() {
                            sleep(GATHER).await;
                        }
                    };
                    until(&shutdown, events).await;
                }
                Step::Failed(reason) => {
                    state = self.health.failed(COMPONENT, reason);
                    let wait = backoff.failed(self.random.uniform());
                    until(&shutdown, sleep(wait)).await;
                }
            }
        }
        let last_words = async {
            while let Step::Sent(batch @ Some(_)) = self.step(next.take()).await {
                next = batch;
            }
        };
        if timeout(LAST_WORDS, last_words).await.is_err() {
            tracing::warn!(component = COMPONENT, "audit events stay in the spool until the next start");
        }
    }

    /// Sends a batch, the next one unless there is one already.
    async fn step(&self, batch: Option<Batch>) -> Step {
        let batch = match batch {
            Some(batch) => Ok(Some(batch)),
            None => self.blocking(Reader::next).await,
        };
        let batch = match batch {
            Ok(Some(batch)) => batch,
            Ok(None) => return Step::Idle,
            Err(error) => return self.failed("cannot read the audit spool", &error),
        };
        let count = batch.events.len() as u64;
        match timeout(SEND_TIMEOUT, self.forward.send(batch.events)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return self.failed("cannot forward audit events", &error),
            Err(error) => return self.failed("cannot forward audit events", &error),
        }
        self.spool.metrics.forwarded.inc_by(count);
        let position = batch.position;
        let acknowledged = self.blocking(move |reader| {
            reader.acknowledge(&position)?;
            reader.next()
        });
        match acknowledged.await {
            Ok(next) => Step::Sent(next),
            Err(error) => self.failed("cannot go on in the audit spool", &error),
        }
    }

    fn failed(&self, what: &str, error: &(dyn std::error::Error + 'static)) -> Step {
        self.spool.metrics.failures.inc();
        Step::Failed(format!("{what}: {}", sentence(error)))
    }

    /// Works with the reader where waiting for a disk is allowed.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Reader) -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let reader = Arc::clone(&self.reader);
        tokio::task::spawn_blocking(move || work(&mut reader.lock())).await?
    }

    /// Reports that forwarding works, where that is news.
    fn well(&self, state: State) -> State {
        if state == State::Ok { state } else { self.health.worked(COMPONENT) }
    }

    /// How long to wait for an event. A component that recovers says so now and then, and another
    /// process's segments may be free by then; else there is nothing to wake up for.
    fn patience(&self, state: State) -> Duration {
        let look_again = state != State::Ok || self.reader.lock().has_others();
        if look_again { CHECK_PERIOD } else { Duration::MAX }
    }
}

/// Waits, but not beyond shutdown.
async fn until<T>(shutdown: &CancellationToken, wake: impl Future<Output = T>) {
    tokio::select! {
        _ = wake => {}
        () = shutdown.cancelled() => {}
    }
}
