//! A proxy makes itself known to the cluster: at start, and every minute or so.
//!
//! By that, `tctl` tells users and new hosts where it is.

use std::sync::Arc;
use std::time::Duration;

use client::AuthClient;
use domain::backoff::around;
use domain::node::HEARTBEAT;
use domain::server::ProxySpec;
use port::random::Random;
use tokio_util::sync::CancellationToken;

/// The wait after a heartbeat did not arrive; one that was refused will be again.
const RETRY: Duration = Duration::from_secs(5);

/// How long taking leave may take.
const LEAVE: Duration = Duration::from_secs(2);

/// The heartbeats of a proxy.
pub(crate) struct Presence {
    pub(crate) client: AuthClient,
    pub(crate) spec: ProxySpec,
    pub(crate) random: Arc<dyn Random>,
}

impl Presence {
    /// Announces the proxy until it takes no more users, then takes it off the list.
    pub(crate) async fn run(self, accept: CancellationToken) {
        tokio::select! {
            () = self.announce() => {}
            () = accept.cancelled() => {}
        }
        // A proxy that cannot take leave is forgotten when its record expires.
        let _ = tokio::time::timeout(LEAVE, self.client.heartbeat(&self.spec, true)).await;
    }

    async fn announce(&self) {
        loop {
            let wait = match self.client.heartbeat(&self.spec, false).await {
                Ok(_) => HEARTBEAT,
                Err(error) => {
                    let reason = ssh::refuse::chain(&error);
                    tracing::warn!(%reason, "the heartbeat of the proxy did not arrive");
                    if error.is_temporary() { RETRY } else { HEARTBEAT }
                }
            };
            tokio::time::sleep(around(wait, self.random.uniform())).await;
        }
    }
}
