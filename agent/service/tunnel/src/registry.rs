//! Which hosts have a link to this proxy.

use std::collections::HashMap;
use std::sync::Arc;

use domain::name::HostId;
use parking_lot::RwLock;
use russh::Disconnect;
use russh::server::Handle;

use crate::metrics::Metrics;

/// The most links of one host: those that died and are not known to have, before keep-alive finds them.
const LINKS_MAX: usize = 8;

/// One link, able to open channels towards its host.
#[derive(Clone)]
pub(crate) struct Link {
    pub(crate) id: u64,
    pub(crate) handle: Handle,
}

/// The links that are up. A host may have several for a while, when it reconnects before the old
/// link is known to be dead; the newest comes first.
#[derive(Default)]
pub struct Registry {
    links: RwLock<HashMap<HostId, Vec<Link>>>,
    next: std::sync::atomic::AtomicU64,
    metrics: Metrics,
}

impl Registry {
    /// An empty registry.
    pub fn new(metrics: Metrics) -> Arc<Self> {
        Arc::new(Self { metrics, ..Self::default() })
    }

    /// Adds a link; it is taken out when the returned guard is dropped.
    pub(crate) fn add(self: &Arc<Self>, host: HostId, handle: Handle) -> Registered {
        let id = self.next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let oldest = {
            let mut links = self.links.write();
            let of_host = links.entry(host).or_default();
            of_host.insert(0, Link { id, handle });
            if of_host.len() > LINKS_MAX { of_host.pop() } else { None }
        };
        self.metrics.links.inc();
        if let Some(Link { handle, .. }) = oldest {
            // A dead one takes as long as it takes.
            tokio::spawn(async move {
                let said = "this host has made too many links since";
                handle.disconnect(Disconnect::ByApplication, said.to_owned(), String::new()).await
            });
        }
        Registered { registry: Arc::clone(self), host, id }
    }

    /// The links of a host, newest first.
    pub(crate) fn links(&self, host: HostId) -> Vec<Link> {
        self.links.read().get(&host).cloned().unwrap_or_default()
    }

    /// How many hosts have a link.
    pub fn hosts(&self) -> usize {
        self.links.read().len()
    }

    /// How many links there are: as many as hosts, but where one has lost its own and is not known to have.
    pub fn count(&self) -> usize {
        self.links.read().values().map(Vec::len).sum()
    }

    /// Whether the host has a link.
    pub fn has(&self, host: HostId) -> bool {
        self.links.read().contains_key(&host)
    }

    pub(crate) fn metrics(&self) -> &Metrics {
        &self.metrics
    }
}

/// A link's place in the registry.
pub(crate) struct Registered {
    registry: Arc<Registry>,
    host: HostId,
    id: u64,
}

impl Drop for Registered {
    fn drop(&mut self) {
        let mut links = self.registry.links.write();
        if let Some(of_host) = links.get_mut(&self.host) {
            of_host.retain(|link| link.id != self.id);
            if of_host.is_empty() {
                links.remove(&self.host);
            }
        }
        drop(links);
        self.registry.metrics.links.dec();
    }
}
