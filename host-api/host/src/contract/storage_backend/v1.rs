//! `teleport:storage-backend@1`, every minor version of it: the calls, in the store port's own words.

use std::time::Duration;

use port::backend::{About, BackendPage, Batch};
use port::store::{Item, Key, Prefix, Revision, StoreError, Transaction};
use wasmtime::Store;
use wasmtime::component::InstancePre;

use crate::call::CallState;
use crate::contract::storage_backend::Put;

mod convert;
mod many;

#[allow(missing_docs, reason = "generated: the documents are in the WIT files")]
#[allow(clippy::all, reason = "generated")]
mod bindings {
    wasmtime::component::bindgen!({
        path: ["../../wit/host", "../../wit/storage-backend"],
        world: "teleport:storage-backend/storage-backend",
        exports: { default: async },
        with: { "teleport:host": crate::capability::v1::teleport::host },
    });
}

use bindings::{StorageBackend, StorageBackendIndices};

/// What a call came to: wasmtime's error when the plugin trapped or was stopped, its own otherwise.
pub(crate) type Answer<T> = wasmtime::Result<Result<T, StoreError>>;

/// A linked backend.
pub(crate) struct Linked {
    pre: InstancePre<CallState>,
    hooks: StorageBackendIndices,
    /// What it offers of several questions in one.
    many: many::Offer,
}

/// An instance of it.
pub(crate) struct Instance {
    hooks: StorageBackend,
    many: many::Many,
}

impl Linked {
    /// Looks up the contract's exports once.
    ///
    /// # Errors
    /// wasmtime's, when an export is missing or of another type.
    pub(crate) fn new(pre: InstancePre<CallState>) -> wasmtime::Result<Self> {
        let (hooks, many) = (StorageBackendIndices::new(&pre)?, many::Offer::find(&pre)?);
        Ok(Self { pre, hooks, many })
    }

    /// Whether it answers several gets in one call, as of version 1.1.
    pub(crate) fn gets_many(&self) -> bool {
        self.many.gets()
    }

    /// Whether it makes several puts in one call, as of version 1.1.
    pub(crate) fn puts_many(&self) -> bool {
        self.many.puts()
    }

    /// A new instance in this store.
    ///
    /// # Errors
    /// wasmtime's, when there is no room or its start trapped.
    pub(crate) async fn instantiate(&self, store: &mut Store<CallState>) -> wasmtime::Result<Instance> {
        let instance = self.pre.instantiate_async(&mut *store).await?;
        let hooks = self.hooks.load(&mut *store, &instance)?;
        let many = self.many.load(store, &instance)?;
        Ok(Instance { hooks, many })
    }
}

impl Instance {
    /// Reaches the backend.
    ///
    /// # Errors
    /// wasmtime's, when the plugin trapped or was stopped.
    pub(crate) async fn open(&self, store: &mut Store<CallState>) -> Answer<About> {
        let answer = self.hooks.teleport_storage_backend_open().call_open(store).await?;
        Ok(answer.map(convert::about).map_err(convert::failure))
    }

    /// One item.
    ///
    /// # Errors
    /// wasmtime's, when the plugin trapped or was stopped.
    pub(crate) async fn get(&self, store: &mut Store<CallState>, key: &Key) -> Answer<Option<Item>> {
        let answer = self.hooks.teleport_storage_backend_records().call_get(store, key.as_str()).await?;
        Ok(answer.map_err(convert::failure).and_then(|item| item.map(convert::item).transpose()))
    }

    /// Items below a prefix.
    ///
    /// # Errors
    /// wasmtime's, when the plugin trapped or was stopped.
    pub(crate) async fn range(
        &self,
        store: &mut Store<CallState>,
        prefix: &Prefix,
        from: Option<&Key>,
        limit: u32,
    ) -> Answer<BackendPage> {
        let records = self.hooks.teleport_storage_backend_records();
        let answer = records.call_range(store, prefix.as_str(), from.map(Key::as_str), limit).await?;
        Ok(answer.map_err(convert::failure).and_then(|page| {
            let items = page.items.into_iter().map(convert::item).collect::<Result<_, _>>()?;
            Ok(BackendPage { items, more: page.more, revision: Revision(page.revision) })
        }))
    }

    /// A transaction.
    ///
    /// # Errors
    /// wasmtime's, when the plugin trapped or was stopped.
    pub(crate) async fn write(
        &self,
        store: &mut Store<CallState>,
        transaction: &Transaction,
    ) -> Answer<Revision> {
        let (conditions, operations) = convert::transaction(transaction);
        let records = self.hooks.teleport_storage_backend_records();
        let answer = records.call_write(store, &conditions, &operations).await?;
        Ok(answer.map(Revision).map_err(|failure| convert::write_failure(failure, transaction)))
    }

    /// The items of the first of these keys, of one at least. A backend without `get-many` is asked for
    /// one.
    ///
    /// # Errors
    /// wasmtime's, when the plugin trapped or was stopped.
    pub(crate) async fn get_many(
        &self,
        store: &mut Store<CallState>,
        keys: &[Key],
    ) -> Answer<Vec<Option<Item>>> {
        match (&self.many.get, keys) {
            (Some(many), _) => many.call(store, keys).await,
            (None, []) => Ok(Ok(Vec::new())),
            (None, [first, ..]) => Ok(self.get(store, first).await?.map(|item| vec![item])),
        }
    }

    /// Makes the first of these puts, one at least; their revisions, which rise. A backend without `put-many` is
    /// asked for one.
    ///
    /// # Errors
    /// wasmtime's, when the plugin trapped or was stopped.
    pub(crate) async fn put_many(&self, store: &mut Store<CallState>, puts: &[Put]) -> Answer<Vec<Revision>> {
        match (&self.many.put, puts) {
            (Some(many), _) => many.call(store, puts).await,
            (None, []) => Ok(Ok(Vec::new())),
            (None, [first, ..]) => {
                Ok(self.write(store, &first.transaction()).await?.map(|revision| vec![revision]))
            }
        }
    }

    /// The store's revision now.
    ///
    /// # Errors
    /// wasmtime's, when the plugin trapped or was stopped.
    pub(crate) async fn current(&self, store: &mut Store<CallState>) -> Answer<Revision> {
        let answer = self.hooks.teleport_storage_backend_watch().call_current(store).await?;
        Ok(answer.map(Revision).map_err(convert::failure))
    }

    /// The changes after a revision.
    ///
    /// # Errors
    /// wasmtime's, when the plugin trapped or was stopped.
    pub(crate) async fn next(
        &self,
        store: &mut Store<CallState>,
        after: Revision,
        limit: u32,
        wait: Duration,
    ) -> Answer<Batch> {
        let wait = u32::try_from(wait.as_millis()).unwrap_or(u32::MAX);
        let answer =
            self.hooks.teleport_storage_backend_watch().call_next(store, after.0, limit, wait).await?;
        let failed = |failure| convert::watch_failure(failure, after);
        Ok(answer.map_err(failed).and_then(|batch| {
            let events = batch.events.into_iter().map(convert::event).collect::<Result<_, _>>()?;
            Ok(Batch { events, up_to: Revision(batch.up_to) })
        }))
    }
}
