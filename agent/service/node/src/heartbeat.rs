//! The node makes itself known: at start, every minute or so, and soon after a label changed.

use std::sync::Arc;
use std::time::Duration;

use domain::backoff::around;
use domain::node::NodeSpec;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::labels::LabelState;
use crate::service::NodeService;

/// How long changes of labels are gathered before they are announced.
const GATHER: Duration = Duration::from_secs(1);
/// How long the first announcement waits for the labels to be tried once.
const FIRST_LABELS: Duration = Duration::from_secs(2);
/// The wait after an announcement failed.
const RETRY: Duration = Duration::from_secs(5);
/// How long taking leave may take: an auth server on a busy machine has to write to its disk. With as much again for
/// the last audit events, a process stops within ten seconds of an auth server that does not answer.
const LEAVE: Duration = Duration::from_secs(5);

/// How the last announcement went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Announced {
    /// None was made yet.
    NotYet,
    /// The node is listed under this name.
    As(String),
    /// The last one did not arrive.
    Failed(String),
}

/// Waits until a label has changed, and for others that do so soon after.
async fn gathered(labels: &mut watch::Receiver<LabelState>) {
    // The sender lives as long as the service.
    let _ = labels.changed().await;
    tokio::time::sleep(GATHER).await;
}

impl NodeService {
    /// Announces the node until told to stop, then takes it off the list.
    pub(crate) async fn announce(self: Arc<Self>, shutdown: CancellationToken) {
        let mut labels = self.labels.subscribe();
        tokio::select! {
            () = self.first_labels(labels.clone()) => {}
            () = shutdown.cancelled() => return,
        }
        loop {
            let spec = self.spec(&labels.borrow_and_update().clone());
            let outcome = tokio::select! {
                outcome = self.deps.presence.announce(&spec) => outcome,
                () = shutdown.cancelled() => break,
            };
            let wait = match outcome {
                Ok(name) => self.announced_as(name),
                Err(error) => self.announcement_failed(error.to_string()),
            };
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = gathered(&mut labels) => {}
                () = shutdown.cancelled() => break,
            }
        }
        let spec = self.spec(&self.labels.borrow().clone());
        // A node that cannot take leave is forgotten when its record expires.
        let _ = tokio::time::timeout(LEAVE, self.deps.presence.leave(&spec)).await;
    }

    /// Waits until every label was tried once, so that the first listing shows them; not for long.
    async fn first_labels(&self, mut labels: watch::Receiver<LabelState>) {
        let wanted = self.settings.dynamic_labels.len();
        let tried = labels.wait_for(|state| state.tried >= wanted);
        let _ = tokio::time::timeout(FIRST_LABELS, tried).await;
    }

    fn announced_as(&self, name: String) -> Duration {
        let changed = self.announced.send_if_modified(|announced| {
            let now = Announced::As(name.clone());
            let changed = *announced != now;
            *announced = now;
            changed
        });
        if changed && name != self.settings.hostname {
            tracing::warn!(nodename = %self.settings.hostname, listed_as = %name, "the name is not a valid host name; the node is listed under its UUID, change nodename");
        }
        around(self.settings.heartbeat, self.deps.random.uniform())
    }

    fn announcement_failed(&self, reason: String) -> Duration {
        self.deps.metrics.failed_heartbeats.inc();
        tracing::warn!(%reason, "the heartbeat did not arrive");
        self.announced.send_replace(Announced::Failed(reason));
        RETRY.mul_f64(0.5 + self.deps.random.uniform())
    }

    fn spec(&self, labels: &LabelState) -> NodeSpec {
        NodeSpec {
            hostname: self.settings.hostname.clone(),
            addr: self.settings.address.clone(),
            use_tunnel: self.settings.use_tunnel,
            labels: self.settings.labels.clone(),
            cmd_labels: labels.values.clone(),
            cmd_label_errors: labels.errors.clone(),
            version: self.settings.version.clone(),
        }
    }
}
