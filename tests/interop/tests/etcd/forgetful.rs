//! A store whose etcd is made to forget, as operators have it do from time to time.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use port::store::{Item, Key, Page, Prefix, Revision, Store, StoreError, Transaction, Watch};
use storage::RemoteStore;
use tokio::task::spawn_blocking;

use crate::server::Etcd;

/// After so many changes everything before is forgotten; more than a watcher's queue and what the suite
/// writes while one is not looked at, for that is about something else.
pub(crate) const FORGETS_AFTER: usize = 10_000;

/// The store.
pub(crate) struct Forgetful {
    store: RemoteStore,
    etcd: Arc<Etcd>,
    changes: AtomicUsize,
}

impl Forgetful {
    pub(crate) fn new(store: RemoteStore, etcd: Arc<Etcd>) -> Self {
        Self { store, etcd, changes: AtomicUsize::new(0) }
    }
}

#[async_trait]
impl Store for Forgetful {
    async fn get(&self, key: &Key) -> Result<Option<Item>, StoreError> {
        self.store.get(key).await
    }

    async fn range(&self, prefix: &Prefix, from: Option<&Key>, limit: usize) -> Result<Page, StoreError> {
        self.store.range(prefix, from, limit).await
    }

    async fn write(&self, transaction: Transaction) -> Result<Revision, StoreError> {
        let count = transaction.operations.len();
        let revision = self.store.write(transaction).await?;
        if self.changes.fetch_add(count, Ordering::SeqCst) + count > FORGETS_AFTER {
            self.changes.store(0, Ordering::SeqCst);
            let etcd = Arc::clone(&self.etcd);
            spawn_blocking(move || etcd.compact()).await.unwrap();
        }
        Ok(revision)
    }

    async fn watch(&self, prefix: Prefix, from: Option<Revision>) -> Result<Watch, StoreError> {
        self.store.watch(prefix, from).await
    }
}
