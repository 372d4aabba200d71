//! Roles and locks in memory, for deciding about callers.
//!
//! Follows the store like anybody else would; decisions about a *record* being written read the
//! store itself.

use std::collections::HashMap;
use std::sync::Arc;

use domain::Timestamp;
use domain::identity::Identity;
use domain::lock::{self, Attempt, Lock};
use domain::resource::{Kind, Resource, Spec};
use domain::role::Role;
use parking_lot::RwLock;
use port::store::{Change, Item, Key, Prefix, Store, StoreError};

use crate::error::AuthError;
use crate::key;

#[derive(Default)]
struct Known {
    roles: HashMap<Key, Arc<Role>>,
    locks: HashMap<Key, Lock>,
}

/// Roles and locks, kept fresh.
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
    pub(crate) async fn fill(&self, store: &dyn Store) -> Result<[port::store::Revision; 2], StoreError> {
        let (roles, role_revision) = read_all(store, &key::records(Kind::Role)).await?;
        let (locks, lock_revision) = read_all(store, &key::records(Kind::Lock)).await?;
        let known = Known {
            roles: roles.iter().filter_map(|item| Some((item.key.clone(), Arc::new(read(item)?)))).collect(),
            locks: locks.iter().filter_map(|item| Some((item.key.clone(), read(item)?))).collect(),
        };
        *self.0.write() = known;
        Ok([role_revision, lock_revision])
    }

    async fn follow_once(&self, store: &dyn Store) -> Result<(), StoreError> {
        let [role_revision, lock_revision] = self.fill(store).await?;
        let mut roles = store.watch(key::records(Kind::Role), Some(role_revision)).await?;
        let mut locks = store.watch(key::records(Kind::Lock), Some(lock_revision)).await?;
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
            }
        }
    }

    fn apply_role(&self, change: Change) {
        let mut known = self.0.write();
        match change {
            Change::Put(item) => {
                if let Some(role) = read(&item) {
                    known.roles.insert(item.key, Arc::new(role));
                }
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
                if let Some(lock) = read(&item) {
                    known.locks.insert(item.key, lock);
                }
            }
            Change::Delete(key) => {
                known.locks.remove(&key);
            }
        }
    }

    /// A role by name.
    pub(crate) fn role(&self, name: &str) -> Option<Arc<Role>> {
        self.0.read().roles.get(&key::record(Kind::Role, name)).cloned()
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
) -> Result<(Vec<Item>, port::store::Revision), StoreError> {
    let first = store.range(prefix, None, api::PAGE_MAX).await?;
    let (revision, mut next, mut items) = (first.revision, first.next, first.items);
    while let Some(from) = next {
        let page = store.range(prefix, Some(&from), api::PAGE_MAX).await?;
        items.extend(page.items);
        next = page.next;
    }
    Ok((items, revision))
}

/// What cannot be read was written by a newer program; it is reported, not trusted.
fn read<S: Spec>(item: &Item) -> Option<Resource<S>> {
    Resource::from_json(&item.value)
        .inspect_err(|error| tracing::error!(kind = %S::KIND, %error, "a stored record cannot be read and is not in force"))
        .ok()
}
