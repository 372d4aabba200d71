//! Which proxy has a link, and whose it is: no proxy has two.

use std::collections::HashMap;
use std::sync::Arc;

use domain::name::HostId;
use tokio::sync::watch;

/// Who has a link, or had the last one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Holder {
    keeper: u64,
    is_up: bool,
}

/// The proxies that have or had a link.
#[derive(Default)]
pub(super) struct Held(watch::Sender<HashMap<HostId, Holder>>);

impl Held {
    /// Takes a proxy, if nobody has a link to it. The keeper has no other from then on.
    pub(super) fn take(self: &Arc<Self>, keeper: u64, proxy: HostId) -> Option<Holding> {
        let taken = self.0.send_if_modified(|holders| {
            if holders.get(&proxy).is_some_and(|holder| holder.is_up) {
                return false;
            }
            holders.retain(|_, holder| holder.keeper != keeper);
            holders.insert(proxy, Holder { keeper, is_up: true });
            true
        });
        taken.then(|| Holding { held: Arc::clone(self), proxy })
    }

    /// Returns when a proxy has no link.
    pub(super) async fn down(&self, proxy: HostId) {
        self.until(|holders| holders.get(&proxy).is_none_or(|holder| !holder.is_up)).await;
    }

    /// Returns when a proxy is nobody else's: one that was lost is first for whoever had it to reach again.
    pub(super) async fn free(&self, keeper: u64, proxy: HostId) {
        self.until(|holders| holders.get(&proxy).is_none_or(|holder| holder.keeper == keeper)).await;
    }

    /// The keeper has none any more.
    pub(super) fn forget(&self, keeper: u64) {
        self.0.send_modify(|holders| holders.retain(|_, holder| holder.keeper != keeper));
    }

    async fn until(&self, holds: impl Fn(&HashMap<HostId, Holder>) -> bool) {
        // The sender is here.
        let _ = self.0.subscribe().wait_for(|holders| holds(holders)).await;
    }
}

/// A proxy that is taken, for as long as this lives.
pub(super) struct Holding {
    held: Arc<Held>,
    proxy: HostId,
}

impl Drop for Holding {
    fn drop(&mut self) {
        self.held.0.send_modify(|holders| {
            if let Some(holder) = holders.get_mut(&self.proxy) {
                holder.is_up = false;
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids() -> [HostId; 2] {
        ["d52527f9-b260-41d0-bb5a-e23b0cfe0f8f", "11111111-f9b2-41d0-bb5a-e23b0cfe0f8f"]
            .map(|id| HostId::parse(id).unwrap())
    }

    async fn is_now(future: impl Future<Output = ()>) -> bool {
        tokio::time::timeout(std::time::Duration::from_millis(1), future).await.is_ok()
    }

    #[tokio::test(start_paused = true)]
    async fn a_proxy_has_one_link_and_a_lost_one_is_first_for_whoever_had_it() {
        let (held, [one, two]) = (Arc::<Held>::default(), ids());
        let link = held.take(1, one).unwrap();
        assert!(held.take(2, one).is_none());
        assert!(!is_now(held.down(one)).await && !is_now(held.free(2, one)).await);
        assert!(is_now(held.down(two)).await && is_now(held.free(2, two)).await);
        drop(link);
        assert!(is_now(held.down(one)).await && is_now(held.free(1, one)).await);
        assert!(!is_now(held.free(2, one)).await, "it is being reached again");
        assert!(held.take(2, one).is_some(), "whoever comes there first has it all the same");
        assert!(is_now(held.free(2, one)).await && !is_now(held.free(1, one)).await);
        held.forget(2);
        assert!(is_now(held.free(1, one)).await);
    }

    #[tokio::test(start_paused = true)]
    async fn whose_way_leads_to_another_proxy_has_left_the_one_before() {
        let (held, [one, two]) = (Arc::<Held>::default(), ids());
        drop(held.take(1, one));
        let _link = held.take(1, two);
        assert!(is_now(held.free(2, one)).await);
        assert!(!is_now(held.free(2, two)).await);
    }
}
