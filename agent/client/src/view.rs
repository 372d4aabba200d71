//! A copy of the cluster, kept fresh by watching the auth server.
//!
//! Proxies and nodes decide from this copy, so access goes on while the auth server is away. Each
//! (re)connection starts with the whole state, collected aside and swapped in at once: what vanished
//! meanwhile vanishes here, and nobody ever sees half a cluster.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use domain::access::RoleInForce;
use domain::authority::{AuthoritySpec, AuthorityType, CertAuthority};
use domain::backoff::Backoff;
use domain::lock::{self, Lock};
use domain::node::Node;
use domain::resource::{Kind, ResourceError};
use domain::role::{self, Role};
use domain::route::NodeIndex;
use domain::server::{Proxy, ProxySpec};
use parking_lot::RwLock;
use port::cluster::ClusterView;
use port::random::Random;
use tokio::sync::watch;

use crate::auth::{AuthClient, Change};
use crate::error::ClientError;

/// The first and the longest wait before watching again.
const RETRY: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(90));

#[derive(Default)]
struct State {
    authorities: HashMap<AuthorityType, Arc<AuthoritySpec>>,
    roles: HashMap<String, Arc<RoleInForce>>,
    locks: HashMap<String, Lock>,
    lock_list: Arc<Vec<Lock>>,
    nodes: NodeIndex,
    proxies: BTreeMap<String, Arc<Proxy>>,
    /// The locks of the copy that this one is to take the place of.
    before: HashMap<String, Lock>,
}

/// As much of a record as says which one it is.
#[derive(serde::Deserialize)]
struct Head {
    kind: Kind,
    #[serde(default)]
    metadata: serde_json::Map<String, serde_json::Value>,
}

/// How much of the cluster has been told.
#[derive(Debug, PartialEq, Eq)]
enum Collected {
    /// More follows.
    Part,
    /// All of it.
    Whole,
    /// No more follows, and it may be the roles without the locks: nothing to go by.
    Half,
}

impl State {
    /// What is to be collected anew while this one is in force.
    fn anew(&self) -> Self {
        Self { before: self.locks.clone(), ..Self::default() }
    }

    /// Takes one change of the first list in; nothing is its end.
    fn collect(&mut self, told: Option<Change>) -> Collected {
        match told {
            Some(Change::Current) => Collected::Whole,
            Some(change) => {
                report(self.apply(&change));
                Collected::Part
            }
            None => Collected::Half,
        }
    }

    /// Takes one change in. What cannot be read comes from a newer server and is left out, but for
    /// roles and locks, which shut people out: see [`State::seal`] and [`State::hold`]. The error is
    /// for the log.
    fn apply(&mut self, change: &Change) -> Result<(), String> {
        match change {
            Change::Put(json) => self.put(json),
            Change::Deleted(kind, name) => {
                self.delete(*kind, name);
                Ok(())
            }
            Change::Current => Ok(()),
        }
    }

    fn put(&mut self, json: &[u8]) -> Result<(), String> {
        let unknown = |error| format!("a record cannot be read and is left out: {error}");
        let head: Head = serde_json::from_slice(json).map_err(unknown)?;
        let name = head.metadata.get("name").and_then(serde_json::Value::as_str).unwrap_or_default();
        let left_out = |error| format!("{} {name:?} cannot be read and is left out: {error}", head.kind);
        match head.kind {
            Kind::Role => {
                let role = Role::from_json(json).map_err(|error| self.seal(name, &error))?;
                self.roles.insert(role.name().to_owned(), Arc::new(RoleInForce::new(role)));
            }
            Kind::Lock => {
                let lock = Lock::from_json(json).map_err(|error| self.hold((name, json), &error))?;
                self.list(lock.name().to_owned(), lock);
            }
            Kind::CertAuthority => {
                let authority = CertAuthority::from_json(json).map_err(left_out)?;
                self.authorities.insert(authority.spec.r#type, Arc::new(authority.spec));
            }
            Kind::Node => self.nodes.insert(Arc::new(Node::from_json(json).map_err(left_out)?)),
            Kind::Proxy => {
                let proxy = Proxy::from_json(json).map_err(left_out)?;
                self.proxies.insert(proxy.name().to_owned(), Arc::new(proxy));
            }
            Kind::User | Kind::Token | Kind::AuthServer => {}
        }
        Ok(())
    }

    /// Denies whoever holds a role that cannot be read.
    fn seal(&mut self, name: &str, error: &ResourceError) -> String {
        self.roles.insert(name.to_owned(), Arc::new(RoleInForce::new(role::unreadable(name))));
        format!("role {name:?} cannot be read and is not in force, and whoever holds it is denied: {error}")
    }

    /// Shuts out whoever a lock names that cannot be read as a whole, or else whoever it named before.
    fn hold(&mut self, (name, json): (&str, &[u8]), error: &ResourceError) -> String {
        let salvaged = lock::salvage(name, json);
        let is_salvaged = salvaged.is_some();
        if let Some(lock) = salvaged.or_else(|| self.before.get(name).cloned()) {
            self.list(name.to_owned(), lock);
        }
        let kept = if is_salvaged {
            "shuts out whoever the readable part of it names, whatever else it says"
        } else if self.locks.contains_key(name) {
            "stays in force as it was before"
        } else {
            "is not in force, for it does not tell whom it shuts out"
        };
        format!("lock {name:?} cannot be read and {kept}: {error}")
    }

    fn delete(&mut self, kind: Kind, name: &str) {
        match kind {
            Kind::Role => {
                self.roles.remove(name);
            }
            Kind::Lock => {
                self.before.remove(name);
                if self.locks.remove(name).is_some() {
                    self.unlist(name);
                }
            }
            Kind::Node => self.nodes.remove(name),
            Kind::Proxy => {
                self.proxies.remove(name);
            }
            // An authority is never removed while the cluster lives.
            Kind::CertAuthority | Kind::User | Kind::Token | Kind::AuthServer => {}
        }
    }

    /// Puts a lock in force. The list is another one once somebody has seen it, and grows in place until then: a whole
    /// cluster's locks come one by one.
    fn list(&mut self, name: String, lock: Lock) {
        if self.locks.contains_key(&name) {
            self.unlist(&name);
        }
        Arc::make_mut(&mut self.lock_list).push(lock.clone());
        self.locks.insert(name, lock);
    }

    fn unlist(&mut self, name: &str) {
        Arc::make_mut(&mut self.lock_list).retain(|lock| lock.name() != name);
    }
}

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
            tracing::warn!(%reason, retry_in = ?wait, "the view of the cluster is not being refreshed");
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
            collected.before.clear();
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

fn report(applied: Result<(), String>) {
    if let Err(reason) = applied {
        tracing::error!(%reason, "the auth server sent what cannot be read; is this program older than it is?");
    }
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
        Arc::clone(&self.state.read().lock_list)
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
    use domain::lock::{LockSpec, Target};
    use domain::role::presets;

    use super::*;

    fn lock(name: &str) -> Change {
        let target = Target { user: Some("joe".into()), ..Target::default() };
        Change::Put(Lock::new(name, LockSpec { target, ..LockSpec::default() }).to_json())
    }

    #[test]
    fn changes_show_at_once_and_deletions_too() {
        let mut state = State::default();
        state.apply(&Change::Put(presets().first().unwrap().to_json())).unwrap();
        state.apply(&lock("l")).unwrap();
        assert!(state.roles.contains_key("access"));
        assert_eq!(state.lock_list.len(), 1);
        state.apply(&Change::Deleted(Kind::Lock, "l".into())).unwrap();
        state.apply(&Change::Deleted(Kind::Role, "access".into())).unwrap();
        assert!(state.lock_list.is_empty() && state.roles.is_empty());
    }

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
    fn half_a_cluster_is_none() {
        let mut state = State::default();
        assert_eq!(state.collect(Some(lock("l"))), Collected::Part);
        assert_eq!(state.collect(None), Collected::Half);
        assert_eq!(state.collect(Some(Change::Current)), Collected::Whole);
        assert_eq!(state.locks.len(), 1);
    }

    #[test]
    fn a_lock_that_is_written_again_is_listed_once_and_as_it_is_now() {
        let mut state = State::default();
        let target = Target { user: Some("ann".into()), ..Target::default() };
        let anew = Lock::new("l", LockSpec { target, ..LockSpec::default() });
        for change in [lock("l"), lock("other"), Change::Put(anew.to_json())] {
            state.apply(&change).unwrap();
        }
        // Whoever looks at it meanwhile keeps what they see.
        let seen = Arc::clone(&state.lock_list);
        state.apply(&Change::Deleted(Kind::Lock, "other".into())).unwrap();
        assert_eq!(seen.len(), 2);
        let users: Vec<_> = state.lock_list.iter().map(|lock| lock.spec.target.user.clone()).collect();
        assert_eq!(users, [Some("ann".to_owned())]);
    }

    #[test]
    fn what_cannot_be_read_is_reported_and_changes_nothing() {
        let mut state = State::default();
        assert!(state.apply(&Change::Put(b"{}".to_vec())).is_err());
        assert!(
            state
                .apply(&Change::Put(
                    br#"{"kind":"lock","version":"v9","metadata":{"name":"l"},"spec":{"target":{}}}"#
                        .to_vec()
                ))
                .is_err()
        );
        assert!(state.lock_list.is_empty());
    }

    fn unreadable(kind: &str, name: &str) -> Change {
        let json =
            format!(r#"{{"kind":"{kind}","version":"v99","metadata":{{"name":"{name}"}},"spec":{{}}}}"#);
        Change::Put(json.into_bytes())
    }

    #[test]
    fn whoever_holds_a_role_that_cannot_be_read_is_denied() {
        let mut state = State::default();
        let admin = presets().into_iter().find(|role| role.name() == "admin").unwrap();
        state.apply(&Change::Put(admin.to_json())).unwrap();
        let told = state.apply(&unreadable("role", "admin")).unwrap_err();
        assert!(told.contains("\"admin\"") && told.contains("denied"), "{told}");
        assert_eq!(state.roles.get("admin").map(|role| role.role().clone()), Some(role::unreadable("admin")));
        state.apply(&Change::Put(admin.to_json())).unwrap();
        assert_eq!(state.roles.get("admin").map(|role| role.role().clone()), Some(admin));
    }

    #[test]
    fn a_lock_that_cannot_be_read_any_more_stays_as_it_was() {
        let mut state = State::default();
        state.apply(&lock("l")).unwrap();
        let told = state.apply(&unreadable("lock", "l")).unwrap_err();
        assert!(told.contains("\"l\"") && told.contains("stays in force"), "{told}");
        // Also when the whole is read anew, as after a lost connection.
        let mut anew = state.anew();
        assert!(anew.apply(&unreadable("lock", "l")).unwrap_err().contains("stays in force"));
        assert!(anew.apply(&unreadable("lock", "new")).unwrap_err().contains("is not in force"));
        let names: Vec<_> = anew.lock_list.iter().map(Lock::name).collect();
        assert_eq!(names, ["l"]);
        anew.apply(&Change::Deleted(Kind::Lock, "l".into())).unwrap();
        assert!(anew.lock_list.is_empty());
    }

    #[test]
    fn a_lock_of_a_newer_version_shuts_out_whom_it_names_also_after_a_restart() {
        let mut state = State::default();
        let json = r#"{"kind":"lock","version":"v9","metadata":{"name":"l"},"spec":{"target":{"user":"joe","device":"d1"}}}"#;
        let told = state.apply(&Change::Put(json.as_bytes().to_vec())).unwrap_err();
        assert!(told.contains("shuts out whoever"), "{told}");
        let users: Vec<_> = state.lock_list.iter().map(|lock| lock.spec.target.user.as_deref()).collect();
        assert_eq!(users, [Some("joe")]);
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
