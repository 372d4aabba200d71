//! What a copy of the cluster knows, and how each change becomes a part of it.
//!
//! What cannot be read comes from a newer server and is left out, but for roles and locks, which shut people out. Does no
//! I/O; [`super::View`] feeds it.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use domain::access::RoleInForce;
use domain::authority::{AuthoritySpec, AuthorityType, CertAuthority};
use domain::lock::{self, Lock};
use domain::node::Node;
use domain::resource::{Kind, ResourceError};
use domain::role::{self, Role};
use domain::route::NodeIndex;
use domain::server::Proxy;

use crate::auth::Change;

/// What is known of the cluster.
#[derive(Default)]
pub(super) struct State {
    pub(super) authorities: HashMap<AuthorityType, Arc<AuthoritySpec>>,
    pub(super) roles: HashMap<String, Arc<RoleInForce>>,
    /// In the order of their names. It is another list once somebody has seen it, and grows in place until then: a
    /// whole cluster's locks come one by one.
    pub(super) locks: Arc<Vec<Lock>>,
    pub(super) nodes: NodeIndex,
    pub(super) proxies: BTreeMap<String, Arc<Proxy>>,
    /// The locks of the copy that this one is to take the place of.
    pub(super) before: Arc<Vec<Lock>>,
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
pub(super) enum Collected {
    /// More follows.
    Part,
    /// All of it.
    Whole,
    /// No more follows, and it may be the roles without the locks: nothing to go by.
    Half,
}

impl State {
    /// What is to be collected anew while this one is in force.
    pub(super) fn anew(&self) -> Self {
        Self { before: Arc::clone(&self.locks), ..Self::default() }
    }

    /// Takes one change of the first list in; nothing is its end.
    pub(super) fn collect(&mut self, told: Option<Change>) -> Collected {
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
    pub(super) fn apply(&mut self, change: &Change) -> Result<(), String> {
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
                self.lock(lock);
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
        if let Some(lock) = salvaged.or_else(|| find(&self.before, name).cloned()) {
            self.lock(lock);
        }
        let kept = if is_salvaged {
            "shuts out whoever the readable part of it names, whatever else it says"
        } else if find(&self.locks, name).is_some() {
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
                for locks in [&mut self.locks, &mut self.before] {
                    if let Ok(at) = place(locks, name) {
                        Arc::make_mut(locks).remove(at);
                    }
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

    /// Puts a lock in force.
    fn lock(&mut self, lock: Lock) {
        let place = place(&self.locks, lock.name());
        let locks = Arc::make_mut(&mut self.locks);
        match place {
            Ok(at) => drop(locks.splice(at..=at, [lock])),
            Err(at) => locks.insert(at, lock),
        }
    }
}

/// Where a lock of this name is, or belongs.
fn place(locks: &[Lock], name: &str) -> Result<usize, usize> {
    locks.binary_search_by(|lock| lock.name().cmp(name))
}

fn find<'a>(locks: &'a [Lock], name: &str) -> Option<&'a Lock> {
    place(locks, name).ok().and_then(|at| locks.get(at))
}

/// Tells an operator of what could not be taken in.
pub(super) fn report(applied: Result<(), String>) {
    if let Err(reason) = applied {
        tracing::error!(%reason, "the auth server sent what cannot be read; is this program older than it is?");
    }
}

#[cfg(test)]
pub(super) mod tests {
    use domain::lock::{LockSpec, Target};
    use domain::role::presets;

    use super::*;

    /// A lock on joe, as it is told of.
    pub(in crate::view) fn lock(name: &str) -> Change {
        let target = Target { user: Some("joe".into()), ..Target::default() };
        Change::Put(Lock::new(name, LockSpec { target, ..LockSpec::default() }).to_json())
    }

    #[test]
    fn changes_show_at_once_and_deletions_too() {
        let mut state = State::default();
        state.apply(&Change::Put(presets().first().unwrap().to_json())).unwrap();
        state.apply(&lock("l")).unwrap();
        assert!(state.roles.contains_key("access"));
        assert_eq!(state.locks.len(), 1);
        state.apply(&Change::Deleted(Kind::Lock, "l".into())).unwrap();
        state.apply(&Change::Deleted(Kind::Role, "access".into())).unwrap();
        assert!(state.locks.is_empty() && state.roles.is_empty());
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
        let seen = Arc::clone(&state.locks);
        state.apply(&Change::Deleted(Kind::Lock, "other".into())).unwrap();
        assert_eq!(seen.len(), 2);
        let users: Vec<_> = state.locks.iter().map(|lock| lock.spec.target.user.clone()).collect();
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
        assert!(state.locks.is_empty());
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
        let names: Vec<_> = anew.locks.iter().map(Lock::name).collect();
        assert_eq!(names, ["l"]);
        anew.apply(&Change::Deleted(Kind::Lock, "l".into())).unwrap();
        assert!(anew.locks.is_empty());
    }

    #[test]
    fn a_lock_of_a_newer_version_shuts_out_whom_it_names_also_after_a_restart() {
        let mut state = State::default();
        let json = r#"{"kind":"lock","version":"v9","metadata":{"name":"l"},"spec":{"target":{"user":"joe","device":"d1"}}}"#;
        let told = state.apply(&Change::Put(json.as_bytes().to_vec())).unwrap_err();
        assert!(told.contains("shuts out whoever"), "{told}");
        let users: Vec<_> = state.locks.iter().map(|lock| lock.spec.target.user.as_deref()).collect();
        assert_eq!(users, [Some("joe")]);
    }
}
