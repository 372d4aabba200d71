//! Keeping a link: making it again whenever it is lost, and not when another keeper has one to the same proxy.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use domain::backoff::Backoff;
use domain::name::HostId;
use tokio::sync::watch;
use tokio::time::Instant;

use super::connect::Ended;
use super::{Agent, Links, told};

/// The first wait after a link was lost.
const RETRY_FIRST: Duration = Duration::from_millis(500);
/// A link that lived this long was a success: the next wait is a short one again.
const LIVED: Duration = Duration::from_secs(30);
/// About when a proxy is dialled that was told of: those that are configured come first, and a whole fleet is told at
/// the same moment.
const TOLD: Duration = Duration::from_secs(4);

/// Keeps one link.
pub(super) struct Keeper {
    pub(super) agent: Arc<Agent>,
    /// Which one it is.
    pub(super) number: u64,
    /// What it is counted as.
    count: fn(&mut Links) -> &mut usize,
}

impl Keeper {
    pub(super) fn new(agent: &Arc<Agent>) -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        Self { agent: Arc::clone(agent), number, count: |links| &mut links.up }
    }

    /// Keeps a link to whatever proxy is at this address, for ever.
    pub(super) async fn keep(self, address: String) {
        let mut backoff = self.backoff();
        loop {
            let began = Instant::now();
            let reason = match self.link(&address, None).await {
                Ok(Ended::Closed) => closed(&address),
                Ok(Ended::Another(proxy)) => {
                    tracing::info!(%address, %proxy, "the proxy there has a link already");
                    let _up = self.up();
                    self.agent.held.down(proxy).await;
                    format!("the link of the proxy at {address} was lost")
                }
                Err(error) => ssh::refuse::chain(&error),
            };
            let wait = self.wait(&mut backoff, began);
            tracing::warn!(proxy = %address, %reason, retry_in = ?wait, "no link to the proxy");
            self.agent.links.send_modify(|links| links.last_failure = Some(reason));
            tokio::time::sleep(wait).await;
        }
    }

    /// Keeps a link to this proxy for as long as it is told of and nobody else has one. Returns which it was.
    pub(super) async fn keep_told(mut self, proxy: HostId) -> HostId {
        self.count = |links| &mut links.further;
        let agent = Arc::clone(&self.agent);
        let (mut proxies, mut backoff) = (agent.deps.proxies.clone(), self.backoff());
        let (mut tries, mut said) = (0, None);
        tokio::time::sleep(TOLD.mul_f64(0.5 + agent.deps.random.uniform())).await;
        loop {
            agent.held.free(self.number, proxy).await;
            let addresses = told::addresses(&proxies.borrow_and_update(), proxy, &agent.settings.proxies);
            let Some(addresses) = addresses else {
                agent.held.forget(self.number);
                return proxy;
            };
            // One after the other; without any it is waited for until it tells of others.
            let Some(address) = addresses.iter().cycle().nth(tries) else {
                if proxies.changed().await.is_err() {
                    return proxy;
                }
                continue;
            };
            tries = (tries + 1) % addresses.len();
            let began = Instant::now();
            let reason = match self.link(address, Some(proxy)).await {
                Ok(Ended::Closed) => closed(address),
                Ok(Ended::Another(other)) => format!("{address} leads to {other}"),
                Err(error) => ssh::refuse::chain(&error),
            };
            let wait = self.wait(&mut backoff, began);
            // It may not be for this host to reach, which is said once and not for ever.
            if said.as_ref() != Some(&reason) {
                tracing::warn!(%proxy, %reason, retry_in = ?wait, "no link to a proxy that was told of");
                said = Some(reason);
            }
            tokio::time::sleep(wait).await;
        }
    }

    /// A link, or what is as good, is up for as long as the result lives.
    pub(super) fn up(&self) -> Up {
        self.agent.links.send_modify(|links| *(self.count)(links) += 1);
        Up { links: self.agent.links.clone(), count: self.count }
    }

    fn backoff(&self) -> Backoff {
        Backoff::new(RETRY_FIRST, self.agent.settings.retry_max)
    }

    /// How long to wait after a try that began then.
    fn wait(&self, backoff: &mut Backoff, began: Instant) -> Duration {
        if began.elapsed() >= LIVED {
            backoff.succeeded();
        }
        backoff.failed(self.agent.deps.random.uniform())
    }
}

fn closed(address: &str) -> String {
    format!("the proxy at {address} closed the link")
}

/// A link that is up.
pub(super) struct Up {
    links: watch::Sender<Links>,
    count: fn(&mut Links) -> &mut usize,
}

impl Drop for Up {
    fn drop(&mut self) {
        self.links.send_modify(|links| *(self.count)(links) -= 1);
    }
}
