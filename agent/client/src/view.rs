//! A copy of the cluster, kept fresh by watching the auth server.
//!
//! Proxies and nodes decide from this copy, so access goes on while the auth server is away. Each
//! (re)connection starts with the whole state, collected aside and swapped in at once: what vanished
//! meanwhile vanishes here, and nobody ever sees half a cluster.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use domain::access::RoleInForce;
use domain::authority::{AuthoritySpec, AuthorityType};
use domain::backoff::Backoff;
use domain::lock::Lock;
use domain::resource::Kind;
use domain::route::NodeIndex;
use domain::server::{Proxy, ProxySpec};
use parking_lot::RwLock;
use port::cluster::ClusterView;
use port::random::Random;
use tokio::sync::watch;

use crate::auth::AuthClient;
use crate::error::ClientError;

mod state;

use state::{Collected, State, report};

/// The first and the longest wait before watching again.
const RETRY: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(90));

/// How the copy stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Freshness {
    /// Nothing has been heard yet.
    Empty,
    /// It follows the auth server.
    Fresh,
    /// The connection was lost; this is what is known from before.
    Stale(String),
}

/// The copy.
pub struct View {
    cluster: String,
    kinds: Vec<Kind>,
    state: RwLock<State>,
    freshness: watch::Sender<Freshness>,
    authorities: ArcSwap<Vec<AuthoritySpec>>,
    locks: watch::Sender<Arc<Vec<Lock>>>,
    proxies: watch::Sender<Arc<Vec<Arc<Proxy>>>>,
}

impl View {
    /// A copy of these kinds that knows the authorities a host already trusts and nothing else.
    pub fn new(cluster: &str, kinds: &[Kind], authorities: &[AuthoritySpec]) -> Arc<Self> {
        let known = authorities.iter().map(|spec| (spec.r#type, Arc::new(spec.clone()))).collect();
        Arc::new(Self {
            cluster: cluster.to_owned(),
            kinds: kinds.to_vec(),
            state: RwLock::new(State { authorities: known, ..State::default() }),
            freshness: watch::Sender::new(Freshness::Empty),
            authorities: ArcSwap::from_pointee(authorities.to_vec()),
            locks: watch::Sender::default(),
            proxies: watch::Sender::default(),
        })
    }

    /// How the copy stands, and when that changes.
    pub fn freshness(&self) -> watch::Receiver<Freshness> {
        self.freshness.subscribe()
    }

    /// The proxies that have made themselves known, in the order of their names, and when one comes, goes or moves.
    pub fn proxies(&self) -> watch::Receiver<Arc<Vec<Arc<Proxy>>>> {
        self.proxies.subscribe()
    }

    /// Every authority known.
    pub fn authorities(&self) -> Arc<Vec<AuthoritySpec>> {
        self.authorities.load_full()
    }

    /// Follows the auth server until cancelled by dropping.
    pub async fn follow(&self, client: &AuthClient, random: &dyn Random) {
        let mut backoff = Backoff::new(RETRY.0, RETRY.1);
        loop {
            let reason = match self.follow_once(client, &mut backoff).await {
                Ok(()) => "the auth server ended the watch".to_owned(),
                Err(error) => error_chain(&error),
            };
            let empty = *self.freshness.borrow() == Freshness::Empty;
            if !empty {
                self.freshness.send_replace(Freshness::Stale(reason.clone()));
            }
            let wait = backoff.failed(random.uniform());
            tracing::warn!(%reason, retry_in = %domain::duration::tenths(wait), "the view of the cluster is not being refreshed");
            tokio::time::sleep(wait).await;
        }
    }

    async fn follow_once(&self, client: &AuthClient, backoff: &mut Backoff) -> Result<(), ClientError> {
        let mut watching = client.watch(&self.kinds).await?;
        let mut collected = self.state.read().anew();
        loop {
            match collected.collect(watching.next().await?) {
                Collected::Part => {}
                Collected::Whole => break,
                Collected::Half => return Ok(()),
            }
        }
        self.swap(collected);
        backoff.succeeded();
        self.freshness.send_replace(Freshness::Fresh);
        while let Some(change) = watching.next().await? {
            let applied = self.state.write().apply(&change);
            report(applied);
            self.publish();
        }
        Ok(())
    }

    fn swap(&self, mut collected: State) {
        {
            let mut state = self.state.write();
            if collected.authorities.is_empty() {
                collected.authorities.clone_from(&state.authorities);
            }
            collected.before = Arc::default();
            *state = collected;
        }
        self.publish();
    }

    /// Shows what is followed apart from the rest, where it changed.
    fn publish(&self) {
        let locks = self.locks();
        self.locks.send_if_modified(|shown| {
            let changed = !Arc::ptr_eq(shown, &locks);
            *shown = locks;
            changed
        });
        self.publish_proxies();
        let now: Vec<_> =
            self.state.read().authorities.values().map(|spec| AuthoritySpec::clone(spec)).collect();
        if **self.authorities.load() != now {
            self.authorities.store(Arc::new(now));
        }
    }

    fn publish_proxies(&self) {
        let now: Vec<_> = self.state.read().proxies.values().cloned().collect();
        self.proxies.send_if_modified(|shown| {
            // When their records end changes with each heartbeat, and matters to nobody.
            let changed = !shown.iter().map(said).eq(now.iter().map(said));
            if changed {
                *shown = Arc::new(now);
            }
            changed
        });
    }
}

/// What a proxy says of itself.
fn said(proxy: &Arc<Proxy>) -> (&str, &ProxySpec) {
    (proxy.name(), &proxy.spec)
}

fn error_chain(error: &ClientError) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

impl ClusterView for View {
    fn cluster_name(&self) -> &str {
        &self.cluster
    }

    fn authority(&self, kind: AuthorityType) -> Option<Arc<AuthoritySpec>> {
        self.state.read().authorities.get(&kind).cloned()
    }

    fn role(&self, name: &str) -> Option<Arc<RoleInForce>> {
        self.state.read().roles.get(name).cloned()
    }

    fn locks(&self) -> Arc<Vec<Lock>> {
        Arc::clone(&self.state.read().locks)
    }

    fn follow_locks(&self) -> watch::Receiver<Arc<Vec<Lock>>> {
        self.locks.subscribe()
    }

    fn with_nodes(&self, read: &mut dyn FnMut(&NodeIndex)) {
        read(&self.state.read().nodes);
    }
}

#[cfg(test)]
mod tests {
    use domain::Timestamp;
    use domain::role::presets;

    use super::state::tests::lock;
    use super::*;
    use crate::auth::Change;

    #[test]
    fn followers_of_locks_are_woken_by_locks_alone() {
        let view = View::new("main", &[Kind::Role, Kind::Lock], &[]);
        let mut following = view.follow_locks();
        let mut change = |change: &Change| {
            view.state.write().apply(change).unwrap();
            view.publish();
            let woken = following.has_changed().unwrap();
            (woken, following.borrow_and_update().len())
        };
        assert_eq!(change(&lock("l")), (true, 1));
        assert_eq!(change(&Change::Put(presets().first().unwrap().to_json())), (false, 1));
        assert_eq!(change(&Change::Deleted(Kind::Lock, "l".into())), (true, 0));
        // Connected anew, with locks that came meanwhile.
        let mut collected = State::default();
        collected.apply(&lock("other")).unwrap();
        view.swap(collected);
        assert_eq!(following.borrow_and_update().len(), 1);
    }

    #[test]
    fn of_proxies_is_told_who_comes_goes_or_moves_and_not_that_they_are_there_still() {
        let view = View::new("main", &[Kind::Proxy], &[]);
        let mut told = view.proxies();
        let proxy = |address: &str, until: i64| {
            let spec = ProxySpec { public_addrs: vec![address.to_owned()], ..ProxySpec::default() };
            let until = Timestamp::from_second(until).ok();
            Change::Put(Proxy::new("d52527f9-b260-41d0-bb5a-e23b0cfe0f8f", spec).expiring(until).to_json())
        };
        let mut change = |change: &Change| {
            view.state.write().apply(change).unwrap();
            view.publish();
            let is_told = told.has_changed().unwrap();
            let addresses =
                told.borrow_and_update().iter().flat_map(|proxy| proxy.spec.public_addrs.clone()).collect();
            (is_told, addresses)
        };
        let at = |address: &str| -> Vec<String> { vec![address.to_owned()] };
        assert_eq!(change(&proxy("p:1", 600)), (true, at("p:1")));
        assert_eq!(change(&proxy("p:1", 900)), (false, at("p:1")), "a heartbeat");
        assert_eq!(change(&proxy("p:2", 900)), (true, at("p:2")));
        let gone = Change::Deleted(Kind::Proxy, "d52527f9-b260-41d0-bb5a-e23b0cfe0f8f".into());
        assert_eq!(change(&gone), (true, vec![]));
    }

    #[test]
    fn a_fresh_state_without_authorities_keeps_the_known_ones() {
        let spec = AuthoritySpec {
            r#type: AuthorityType::User,
            cluster_name: "main".into(),
            active_keys: vec![],
            rotation: domain::authority::Rotation::Standby,
        };
        let view = View::new("main", &[Kind::Role], &[spec]);
        view.swap(State::default());
        assert!(view.authority(AuthorityType::User).is_some());
        assert_eq!(view.authorities().len(), 1);
    }
}
