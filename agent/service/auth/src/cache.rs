//! Roles, locks and servers in memory, for deciding about callers and telling them where to go.
//!
//! Follows the store like anybody else would; decisions about a *record* being written read the
//! store itself.

use std::collections::HashMap;
use std::sync::Arc;

use domain::Timestamp;
use domain::identity::{Identity, UserIdentity};
use domain::lock::{self, Attempt, Lock};
use domain::name::HostId;
use domain::resource::{Kind, ResourceError};
use domain::role::{self, Role};
use domain::server::{AuthServerSpec, Proxy, ProxySpec};
use parking_lot::RwLock;
use port::store::{Change, Item, Key, Prefix, Revision, Store, StoreError};

use crate::error::AuthError;
use crate::key;

mod server;

use server::Servers;

#[derive(Default)]
struct Known {
    roles: HashMap<Key, Arc<Role>>,
    locks: HashMap<Key, Lock>,
    proxies: Servers<ProxySpec>,
    auth_servers: Servers<AuthServerSpec>,
}

/// Roles, locks and servers, kept fresh.
#[derive(Default)]
pub(crate) struct Cache(RwLock<Known>);

impl Cache {
    /// Reads what there is, then follows every change until dropped.
    pub(crate) async fn follow(self: Arc<Self>, store: Arc<dyn Store>) -> Result<(), StoreError> {
        loop {
            match self.follow_once(&*store).await {
                Ok(()) => return Ok(()),
                Err(StoreError::Compacted(_)) => {
                    tracing::warn!("the cache fell behind the store; reading anew")
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Reads what there is.
    pub(crate) async fn fill(&self, store: &dyn Store) -> Result<[Revision; 4], StoreError> {
        let (roles, role_revision) = read_all(store, &key::records(Kind::Role)).await?;
        let (locks, lock_revision) = read_all(store, &key::records(Kind::Lock)).await?;
        let (proxies, proxy_revision) = read_all(store, &key::records(Kind::Proxy)).await?;
        let (auth_servers, auth_revision) = read_all(store, &key::records(Kind::AuthServer)).await?;
        let mut known = self.0.write();
        let before = std::mem::take(&mut *known);
        known.roles = roles.iter().map(|item| (item.key.clone(), read_role(item))).collect();
        known.locks = locks
            .iter()
            .filter_map(|item| Some((item.key.clone(), read_lock(item, before.locks.get(&item.key))?)))
            .collect();
        (known.proxies, known.auth_servers) = (Servers::read(proxies), Servers::read(auth_servers));
        drop(known);
        Ok([role_revision, lock_revision, proxy_revision, auth_revision])
    }

    async fn follow_once(&self, store: &dyn Store) -> Result<(), StoreError> {
        let [role_revision, lock_revision, proxy_revision, auth_revision] = self.fill(store).await?;
        let mut roles = store.watch(key::records(Kind::Role), Some(role_revision)).await?;
        let mut locks = store.watch(key::records(Kind::Lock), Some(lock_revision)).await?;
        let mut proxies = store.watch(key::records(Kind::Proxy), Some(proxy_revision)).await?;
        let mut auth_servers = store.watch(key::records(Kind::AuthServer), Some(auth_revision)).await?;
        loop {
            tokio::select! {
                event = roles.next() => match event {
                    Some(event) => self.apply_role(event?.change),
                    None => return Ok(()),
                },
                event = locks.next() => match event {
                    Some(event) => self.apply_lock(event?.change),
                    None => return Ok(()),
                },
                event = proxies.next() => match event {
                    Some(event) => self.0.write().proxies.apply(event?.change),
                    None => return Ok(()),
                },
                event = auth_servers.next() => match event {
                    Some(event) => self.0.write().auth_servers.apply(event?.change),
                    None => return Ok(()),
                },
            }
        }
    }

    fn apply_role(&self, change: Change) {
        let mut known = self.0.write();
        match change {
            Change::Put(item) => {
                let role = read_role(&item);
                known.roles.insert(item.key, role);
            }
            Change::Delete(key) => {
                known.roles.remove(&key);
            }
        }
    }

    fn apply_lock(&self, change: Change) {
        let mut known = self.0.write();
        match change {
            Change::Put(item) => {
                if let Some(lock) = read_lock(&item, known.locks.get(&item.key)) {
                    known.locks.insert(item.key, lock);
                }
            }
            Change::Delete(key) => {
                known.locks.remove(&key);
            }
        }
    }

    /// The proxies that have made themselves known and are not locked.
    pub(crate) fn proxies(&self, now: Timestamp) -> Vec<Arc<Proxy>> {
        let known = self.0.read();
        let is_locked = |proxy: &Proxy| {
            let id = HostId::parse(proxy.name());
            id.is_none_or(|id| lock::find_host(known.locks.values(), (id, 0), now).is_some())
        };
        known.proxies.iter().filter(|proxy| !is_locked(proxy)).cloned().collect()
    }

    /// Where the auth servers that have made themselves known are reached.
    pub(crate) fn auth_addresses(&self) -> Vec<String> {
        self.0.read().auth_servers.iter().flat_map(|server| server.spec.addrs.clone()).collect()
    }

    /// A role by name.
    pub(crate) fn role(&self, name: &str) -> Option<Arc<Role>> {
        self.0.read().roles.get(&key::record(Kind::Role, name)).cloned()
    }

    /// What shuts a user out, whatever their certificate's number.
    pub(crate) fn lock_on_user(&self, user: &UserIdentity, now: Timestamp) -> Option<Lock> {
        let attempt = Attempt { user, serial: 0, login: None, server: None };
        lock::find(self.0.read().locks.values(), attempt, now).cloned()
    }

    /// Refuses a caller that is locked, or whose certificate is.
    pub(crate) fn check_lock(
        &self,
        identity: &Identity,
        serial: u64,
        now: Timestamp,
    ) -> Result<(), AuthError> {
        let known = self.0.read();
        let found = match identity {
            Identity::Host(host) => lock::find_host(known.locks.values(), (host.host_id, serial), now),
            Identity::User(user) => {
                lock::find(known.locks.values(), Attempt { user, serial, login: None, server: None }, now)
            }
        };
        match found {
            Some(lock) if lock.spec.message.is_empty() => {
                Err(AuthError::Locked(format!("lock {}", lock.name())))
            }
            Some(lock) => Err(AuthError::Locked(lock.spec.message.clone())),
            None => Ok(()),
        }
    }
}

/// All items below a prefix and the revision of the first page, from which a watch misses nothing.
pub(crate) async fn read_all(
    store: &dyn Store,
    prefix: &Prefix,
) -> Result<(Vec<Item>, Revision), StoreError> {
    let first = store.range(prefix, None, api::PAGE_MAX).await?;
    let (revision, mut next, mut items) = (first.revision, first.next, first.items);
    while let Some(from) = next {
        let page = store.range(prefix, Some(&from), api::PAGE_MAX).await?;
        items.extend(page.items);
        next = page.next;
    }
    Ok((items, revision))
}

/// The role, or what denies its holders: one that cannot be read was written by a newer program, and
/// what it forbids is not known.
fn read_role(item: &Item) -> Arc<Role> {
    let name = item.key.last_segment();
    let unreadable = |error: ResourceError| {
        tracing::error!(role = name, %error, "a stored role cannot be read and is not in force; whoever holds it is denied");
        role::unreadable(name)
    };
    Arc::new(Role::from_json(&item.value).unwrap_or_else(unreadable))
}

/// The lock; one that cannot be read shuts out whoever its readable part names, and otherwise whoever it
/// did before.
fn read_lock(item: &Item, before: Option<&Lock>) -> Option<Lock> {
    let name = item.key.last_segment();
    let error = match Lock::from_json(&item.value) {
        Ok(lock) => return Some(lock),
        Err(error) => error,
    };
    if let Some(readable) = lock::salvage(name, &item.value) {
        tracing::error!(lock = name, %error, "a stored lock cannot be read; whoever the readable part of it names is shut out, whatever else it says");
        return Some(readable);
    }
    match before {
        Some(_) => {
            tracing::error!(lock = name, %error, "a stored lock cannot be read and stays in force as it was before");
        }
        None => {
            tracing::error!(lock = name, %error, "a stored lock cannot be read and is not in force, for it does not tell whom it shuts out; run the version that wrote it here too, or remove it with: tctl rm lock/{name}");
        }
    }
    before.cloned()
}

#[cfg(test)]
mod tests {
    use domain::lock::{LockSpec, Target};
    use domain::role::presets;
    use port::clock::SystemClock;
    use storage::MemoryStore;

    use super::*;

    #[tokio::test]
    async fn what_cannot_be_read_any_more_lets_nobody_in() {
        let store = MemoryStore::new(Arc::new(SystemClock));
        let host_id = HostId::parse("d52527f9-b260-41d0-bb5a-e23b0cfe0f8f").unwrap();
        let target = Target { server_id: Some(host_id), ..Target::default() };
        let lock = Lock::new("l", LockSpec { target, ..LockSpec::default() });
        let (lock_key, role_key) = (key::record(Kind::Lock, "l"), key::record(Kind::Role, "access"));
        let access = presets().into_iter().find(|role| role.name() == "access").unwrap();
        store.put(lock_key.clone(), lock.to_json().into(), None).await.unwrap();
        store.put(role_key.clone(), access.to_json().into(), None).await.unwrap();
        let cache = Cache::default();
        cache.fill(&store).await.unwrap();
        let locked = || {
            let role = domain::identity::SystemRole::Node;
            let host = domain::identity::HostIdentity { host_id, role, cluster: "main".into() };
            cache.check_lock(&Identity::Host(host), 1, Timestamp::UNIX_EPOCH).is_err()
        };
        assert!(locked() && *cache.role("access").unwrap() == access);
        for key in [lock_key, role_key] {
            store.put(key, b"{}".to_vec().into(), None).await.unwrap();
        }
        // Read anew twice: what was kept once is kept again.
        for _ in 0..2 {
            cache.fill(&store).await.unwrap();
            assert!(locked());
            assert_eq!(*cache.role("access").unwrap(), role::unreadable("access"));
        }
        let [role, lock] = ["role", "lock"].map(|_| b"not json".to_vec().into());
        let item = |key, value| Item { key, value, revision: Revision(9), expires: None };
        cache.apply_lock(Change::Put(item(key::record(Kind::Lock, "l"), lock)));
        cache.apply_role(Change::Put(item(key::record(Kind::Role, "editor"), role)));
        assert!(locked());
        assert_eq!(*cache.role("editor").unwrap(), role::unreadable("editor"));
    }

    #[tokio::test]
    async fn a_lock_of_a_newer_version_shuts_out_whom_it_names_also_after_a_restart() {
        let store = MemoryStore::new(Arc::new(SystemClock));
        let host_id = HostId::parse("d52527f9-b260-41d0-bb5a-e23b0cfe0f8f").unwrap();
        let newer = format!(
            r#"{{"kind":"lock","version":"v9","metadata":{{"name":"l"}},"spec":{{"target":{{"server_id":"{host_id}","zone":"z"}}}}}}"#
        );
        let unnamed = newer.replace("server_id", "host_group").replace("\"l\"", "\"m\"");
        for (name, json) in [("l", newer), ("m", unnamed)] {
            store.put(key::record(Kind::Lock, name), json.into_bytes().into(), None).await.unwrap();
        }
        let cache = Cache::default();
        cache.fill(&store).await.unwrap();
        let is_locked = |host_id| {
            let role = domain::identity::SystemRole::Node;
            let host = domain::identity::HostIdentity { host_id, role, cluster: "main".into() };
            cache.check_lock(&Identity::Host(host), 1, Timestamp::UNIX_EPOCH).is_err()
        };
        assert!(is_locked(host_id));
        // What names nobody shuts out nobody: the log says so.
        assert!(!is_locked(HostId::parse("11111111-f9b2-41d0-bb5a-e23b0cfe0f8f").unwrap()));
        assert_eq!(cache.0.read().locks.len(), 1);
    }
}
