//! The servers of one kind that have made themselves known, in an order that stays.

use std::collections::BTreeMap;
use std::sync::Arc;

use domain::resource::{Resource, Spec};
use port::store::{Change, Item, Key};

/// Their records. One that cannot be read, as it may be from a newer program, is nobody to be sent to.
pub(super) struct Servers<S>(BTreeMap<Key, Arc<Resource<S>>>);

impl<S> Default for Servers<S> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<S: Spec> Servers<S> {
    /// Those of these items.
    pub(super) fn read(items: Vec<Item>) -> Self {
        let mut servers = Self::default();
        items.into_iter().for_each(|item| servers.apply(Change::Put(item)));
        servers
    }

    /// Follows a change of the store.
    pub(super) fn apply(&mut self, change: Change) {
        let (key, server) = match change {
            Change::Put(item) => (item.key, Resource::from_json(&item.value).ok()),
            Change::Delete(key) => (key, None),
        };
        match server {
            Some(server) => drop(self.0.insert(key, Arc::new(server))),
            None => drop(self.0.remove(&key)),
        }
    }

    /// Each of them.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Arc<Resource<S>>> {
        self.0.values()
    }
}
