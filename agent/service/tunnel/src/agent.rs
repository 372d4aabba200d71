//! The agent's end of links: one to each proxy of the cluster, kept for as long as the process lives.
//!
//! The proxies are those that are configured, by their addresses, and those the auth server tells of, by the host they
//! are. Where an address leads to a proxy that has a link already (a second name of it, a load balancer before
//! several), no second one is made. How well the agent is depends on the configured ones alone: an address that a
//! proxy tells may be one that this host cannot reach.

use std::collections::HashSet;
use std::sync::Arc;

use certs::bundle::Bundle;
use domain::name::HostId;
use domain::server::Proxy;
use port::random::Random;
use port::stream::Serve;
use ssh::host::HostCheck;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::metrics::Metrics;
use crate::settings::AgentSettings;

mod connect;
mod handler;
mod held;
mod keep;
mod links;
mod told;
mod waits;

use connect::Link;
use held::Held;
pub use links::Links;

/// The proxies that are told of.
type Told = Arc<Vec<Arc<Proxy>>>;
/// The same, as they come and go.
type Proxies = watch::Receiver<Told>;

/// The most proxies that have a link for being told of.
const TOLD_MAX: usize = 64;

/// What the agent needs from outside.
pub struct AgentDeps {
    /// This host's identity, as it is renewed.
    pub identity: watch::Receiver<Arc<Bundle>>,
    /// The proxies of the cluster, as they make themselves known.
    pub proxies: Proxies,
    /// How proxies are checked.
    pub check: HostCheck,
    /// Takes the connections of users.
    pub service: Arc<dyn Serve>,
    /// For jitter.
    pub random: Arc<dyn Random>,
    /// Counters.
    pub metrics: Metrics,
}

/// Keeps links.
pub struct Agent {
    settings: AgentSettings,
    deps: AgentDeps,
    links: watch::Sender<Links>,
    held: Arc<Held>,
}

impl Agent {
    /// An agent for these proxies, and those that are told of.
    pub fn new(settings: AgentSettings, deps: AgentDeps) -> Arc<Self> {
        let links = Links { wanted: settings.proxies.len(), ..Links::default() };
        Arc::new(Self { settings, deps, links: watch::Sender::new(links), held: Arc::default() })
    }

    /// How the links stand, and when that changes.
    pub fn links(&self) -> watch::Receiver<Links> {
        self.links.subscribe()
    }

    /// Keeps the links until told to stop.
    pub async fn run(self: Arc<Self>, shutdown: CancellationToken) {
        let (mut configured, mut told, mut links) = (JoinSet::new(), JoinSet::new(), JoinSet::new());
        for address in self.settings.proxies.clone() {
            configured.spawn(Arc::clone(&self).keep(address));
        }
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = self.follow(&mut told, &mut links) => {}
        }
        configured.shutdown().await;
        told.shutdown().await;
        links.shutdown().await;
    }

    /// Has a keeper for each proxy that is told of, and the links they make.
    async fn follow(self: &Arc<Self>, keeping: &mut JoinSet<HostId>, links: &mut JoinSet<()>) {
        let (mut proxies, mut followed) = (self.deps.proxies.clone(), HashSet::new());
        let (sender, mut made) = mpsc::channel(1);
        loop {
            for proxy in told::hosts(&proxies.borrow_and_update()) {
                if followed.len() < TOLD_MAX && followed.insert(proxy) {
                    keeping.spawn(Arc::clone(self).keep_told(proxy, sender.clone()));
                } else if !followed.contains(&proxy) {
                    tracing::warn!(%proxy, most = TOLD_MAX, "no link to a proxy that was told of: there are too many");
                }
            }
            tokio::select! {
                Some(link) = made.recv() => {
                    links.spawn(hold(link));
                }
                Some(Ok(gone)) = keeping.join_next() => {
                    followed.remove(&gone);
                }
                Some(_) = links.join_next() => {}
                Ok(()) = proxies.changed() => {}
            }
        }
    }
}

/// Has a link until it ends.
async fn hold(link: Link) {
    let proxy = link.proxy;
    let reason = link.ended().await;
    tracing::warn!(%proxy, %reason, "the link to a proxy that was told of has ended");
}
