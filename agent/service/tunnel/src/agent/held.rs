//! Which proxies have a link: none has two.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use domain::name::HostId;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

/// For how long a proxy that was lost is left to the keeper of the configured address that led to it.
const LEFT_ALONE: Duration = Duration::from_secs(5);

/// Whose a link is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kept {
    /// The keeper's of a configured address, which makes it again itself.
    Configured,
    /// Nobody's in particular.
    Told,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Somebody signs in there.
    Taken,
    Up,
    Lost(Instant),
}

type States = HashMap<HostId, State>;

/// The proxies that have a link, or had one a moment ago.
#[derive(Default)]
pub(super) struct Held(watch::Sender<States>);

impl Held {
    /// Takes a proxy, if nobody else has.
    pub(super) fn take(self: &Arc<Self>, proxy: HostId, kept: Kept) -> Option<Holding> {
        let taken = self.0.send_if_modified(|states| {
            let is_free = !has_one(states, proxy);
            if is_free {
                states.insert(proxy, State::Taken);
            }
            is_free
        });
        taken.then(|| Holding { held: Arc::clone(self), proxy, kept })
    }

    /// Returns when a proxy has no link and nobody signs in there.
    pub(super) async fn down(&self, proxy: HostId) {
        self.until(|states| !has_one(states, proxy)).await;
    }

    /// Waits for whoever signs in at a proxy. Returns whether that made a link.
    pub(super) async fn comes_up(&self, proxy: HostId) -> bool {
        self.until(|states| states.get(&proxy) != Some(&State::Taken)).await;
        self.0.borrow().get(&proxy) == Some(&State::Up)
    }

    /// Returns when a proxy has no link, and who had it from a configured address has had time to make it again.
    pub(super) async fn free(&self, proxy: HostId) {
        loop {
            self.down(proxy).await;
            let lost = match self.0.borrow().get(&proxy) {
                Some(State::Lost(lost)) => *lost,
                Some(_) => continue,
                None => return,
            };
            let taken = self.until(|states| has_one(states, proxy));
            if timeout_at(lost + LEFT_ALONE, taken).await.is_err() {
                return;
            }
        }
    }

    async fn until(&self, holds: impl Fn(&States) -> bool) {
        // The sender is here.
        let _ = self.0.subscribe().wait_for(|states| holds(states)).await;
    }
}

fn has_one(states: &States, proxy: HostId) -> bool {
    matches!(states.get(&proxy), Some(State::Taken | State::Up))
}

/// A proxy that is taken, for as long as this lives.
pub(super) struct Holding {
    held: Arc<Held>,
    proxy: HostId,
    kept: Kept,
}

impl Holding {
    /// The link is made.
    pub(super) fn mark_up(&self) {
        self.held.0.send_modify(|states| {
            states.insert(self.proxy, State::Up);
        });
    }
}

impl Drop for Holding {
    fn drop(&mut self) {
        self.held.0.send_modify(|states| {
            match self.kept {
                Kept::Configured => states.insert(self.proxy, State::Lost(Instant::now())),
                Kept::Told => states.remove(&self.proxy),
            };
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

    async fn within<T>(time: Duration, future: impl Future<Output = T>) -> Option<T> {
        tokio::time::timeout(time, future).await.ok()
    }

    const NOW: Duration = Duration::from_millis(1);

    #[tokio::test(start_paused = true)]
    async fn a_proxy_has_one_link() {
        let (held, [one, two]) = (Arc::<Held>::default(), ids());
        let link = held.take(one, Kept::Told).unwrap();
        assert!(held.take(one, Kept::Configured).is_none());
        assert!(held.take(two, Kept::Configured).is_some());
        assert!(within(NOW, held.down(one)).await.is_none() && within(NOW, held.free(one)).await.is_none());
        drop(link);
        assert!(within(NOW, held.free(one)).await.is_some(), "nobody is waited for");
        assert!(held.take(one, Kept::Told).is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn a_link_is_up_once_somebody_has_signed_in() {
        let (held, [one, _]) = (Arc::<Held>::default(), ids());
        let link = held.take(one, Kept::Told).unwrap();
        assert_eq!(within(NOW, held.comes_up(one)).await, None);
        link.mark_up();
        assert_eq!(within(NOW, held.comes_up(one)).await, Some(true));
        drop(link);
        assert_eq!(within(NOW, held.comes_up(one)).await, Some(false));
    }

    #[tokio::test(start_paused = true)]
    async fn a_configured_proxy_that_was_lost_is_left_alone_for_a_while_and_not_for_ever() {
        let (held, [one, _]) = (Arc::<Held>::default(), ids());
        drop(held.take(one, Kept::Configured));
        assert!(within(LEFT_ALONE / 2, held.free(one)).await.is_none());
        // Made again, and lost again: the time begins anew.
        let again = held.take(one, Kept::Configured).unwrap();
        assert!(within(LEFT_ALONE * 2, held.free(one)).await.is_none());
        drop(again);
        assert!(within(LEFT_ALONE / 2, held.free(one)).await.is_none());
        assert!(within(LEFT_ALONE, held.free(one)).await.is_some());
    }
}
