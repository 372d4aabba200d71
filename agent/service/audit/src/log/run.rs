//! Serves the queue: gathers what waits into a group, writes it, answers.

use domain::health::{CHECK_PERIOD, State};
use port::audit::AuditError;
use telemetry::health::HealthHandle;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use super::Request;
use super::writer::{WriteError, Writer};
use crate::error::sentence;
use crate::metrics::LogMetrics;

/// The name of this room in `/readyz`.
pub(crate) const COMPONENT: &str = "audit";

/// How many bytes of lines go to disk at once. More would only make everybody wait longer.
const GROUP_BYTES: usize = 4 * 1024 * 1024;

/// How many appends go to disk at once.
const GROUP_MAX: usize = 4096;

/// Writes what is queued until shutdown, and then what is queued still.
pub(crate) async fn run(
    mut writer: Writer,
    mut queue: mpsc::Receiver<Request>,
    metrics: LogMetrics,
    health: HealthHandle,
    shutdown: CancellationToken,
) {
    let mut state = health.worked(COMPONENT);
    loop {
        let first = tokio::select! {
            first = next(&mut queue, state) => first,
            () = shutdown.cancelled(), if !queue.is_closed() => {
                queue.close();
                continue;
            }
        };
        let group = match first {
            Next::Request(first) => gather(first, &mut queue),
            Next::Probe => Vec::new(),
            Next::End => return,
        };
        let began = Instant::now();
        let Ok((back, group, outcome)) = tokio::task::spawn_blocking(move || {
            let outcome = writer.write(&group);
            (writer, group, outcome)
        })
        .await
        else {
            // The writer is gone with its panic; callers learn it from their closed answers.
            health.failed(COMPONENT, "the audit log has stopped; restart teleport");
            return;
        };
        writer = back;
        metrics.group_seconds.observe(began.elapsed().as_secs_f64());
        state = report(&outcome, state, &metrics, &health);
        answer(group, &outcome);
    }
}

enum Next {
    Request(Request),
    /// Nothing to write, but time to see whether the disk is well again.
    Probe,
    End,
}

/// The next request. While the disk is not known to be well, looks at it now and then: otherwise a
/// daemon that is sent nothing because it is not ready would never find out that it is.
async fn next(queue: &mut mpsc::Receiver<Request>, state: State) -> Next {
    let end_or = |request: Option<Request>| request.map_or(Next::End, Next::Request);
    if state == State::Ok {
        return end_or(queue.recv().await);
    }
    timeout(CHECK_PERIOD, queue.recv()).await.map_or(Next::Probe, end_or)
}

/// Everything that waits, as far as it fits into one group.
fn gather(first: Request, queue: &mut mpsc::Receiver<Request>) -> Vec<Request> {
    let size = |request: &Request| request.lines.iter().map(|line| line.bytes.len()).sum::<usize>();
    let mut bytes = size(&first);
    let mut group = vec![first];
    while bytes < GROUP_BYTES
        && group.len() < GROUP_MAX
        && let Ok(request) = queue.try_recv()
    {
        bytes += size(&request);
        group.push(request);
    }
    group
}

fn report(
    outcome: &Result<(), WriteError>,
    state: State,
    metrics: &LogMetrics,
    health: &HealthHandle,
) -> State {
    match outcome {
        Ok(()) if state == State::Ok => State::Ok,
        Ok(()) => health.worked(COMPONENT),
        Err(error) => {
            metrics.failures.inc();
            health.failed(COMPONENT, sentence(error))
        }
    }
}

fn answer(group: Vec<Request>, outcome: &Result<(), WriteError>) {
    for request in group {
        let answer = outcome.as_ref().copied().map_err(|error| AuditError::Write(sentence(error)));
        // Whoever stopped waiting does not want to know.
        let _ = request.answer.send(answer);
    }
}
