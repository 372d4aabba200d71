//! Which hosts have a link to this proxy.

use std::collections::HashMap;
use std::sync::Arc;

use domain::name::HostId;
use parking_lot::RwLock;
use russh::server::Handle;
use tokio_util::sync::CancellationToken;

use crate::metrics::Metrics;

/// The most links of one host: those that died and are not known to have, before keep-alive finds them.
const LINKS_MAX: usize = 8;

/// One link, able to open channels towards its host.
#[derive(Clone)]
pub(crate) struct Link {
    pub(crate) id: u64,
    pub(crate) handle: Handle,
    cut: CancellationToken,
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

    /// Adds a link, which is to end when `cut` is cancelled; it is taken out when the returned guard is dropped.
    pub(crate) fn add(self: &Arc<Self>, host: HostId, handle: Handle, cut: CancellationToken) -> Registered {
        let id = self.next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let oldest = {
            let mut links = self.links.write();
            let of_host = links.entry(host).or_default();
            of_host.insert(0, Link { id, handle, cut });
            if of_host.len() > LINKS_MAX { of_host.pop() } else { None }
        };
        self.metrics.links.inc();
        if let Some(oldest) = oldest {
            tracing::warn!(%host, most = LINKS_MAX, "a host makes link after link; its oldest one is cut");
            oldest.cut.cancel();
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
