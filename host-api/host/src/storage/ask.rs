//! What a storage plugin is asked, one kind for each of its functions.

use std::time::Duration;

use port::backend::{About, BackendPage, Batch};
use port::store::{Item, Key, Prefix, Revision, Transaction};
use wasmtime::Store;

use crate::call::CallState;
use crate::contract::storage_backend::Put;
use crate::contract::storage_backend::v1::{Answer, Instance};
use crate::warm::Ask;

/// To reach the backend.
pub(super) struct Open;

/// For one item.
pub(super) struct Get(pub(super) Key);

/// For items, or those of the first of these keys.
pub(super) struct GetMany(pub(super) Vec<Key>);

/// For items below a prefix.
pub(super) struct Range {
    pub(super) prefix: Prefix,
    pub(super) from: Option<Key>,
    pub(super) limit: u32,
}

/// To make a transaction.
pub(super) struct Write(pub(super) Transaction);

/// To make puts.
pub(super) struct PutMany(pub(super) Vec<Put>);

/// For the revision now.
pub(super) struct Current;

/// For the changes after a revision.
pub(super) struct Next {
    pub(super) after: Revision,
    pub(super) limit: u32,
    pub(super) wait: Duration,
}

impl Ask for Open {
    const FUNCTION: &'static str = "open";
    type Answer = About;

    async fn call(self, instance: &Instance, store: &mut Store<CallState>) -> Answer<About> {
        instance.open(store).await
    }
}

impl Ask for Get {
    const FUNCTION: &'static str = "get";
    type Answer = Option<Item>;

    async fn call(self, instance: &Instance, store: &mut Store<CallState>) -> Answer<Option<Item>> {
        instance.get(store, &self.0).await
    }
}

impl Ask for GetMany {
    const FUNCTION: &'static str = "get-many";
    type Answer = Vec<Option<Item>>;

    async fn call(self, instance: &Instance, store: &mut Store<CallState>) -> Answer<Vec<Option<Item>>> {
        instance.get_many(store, &self.0).await
    }
}

impl Ask for Range {
    const FUNCTION: &'static str = "range";
    type Answer = BackendPage;

    async fn call(self, instance: &Instance, store: &mut Store<CallState>) -> Answer<BackendPage> {
        instance.range(store, &self.prefix, self.from.as_ref(), self.limit).await
    }
}

impl Ask for Write {
    const FUNCTION: &'static str = "write";
    type Answer = Revision;

    async fn call(self, instance: &Instance, store: &mut Store<CallState>) -> Answer<Revision> {
        instance.write(store, &self.0).await
    }
}

impl Ask for PutMany {
    const FUNCTION: &'static str = "put-many";
    type Answer = Vec<Revision>;

    async fn call(self, instance: &Instance, store: &mut Store<CallState>) -> Answer<Vec<Revision>> {
        instance.put_many(store, &self.0).await
    }
}

impl Ask for Current {
    const FUNCTION: &'static str = "current";
    type Answer = Revision;

    async fn call(self, instance: &Instance, store: &mut Store<CallState>) -> Answer<Revision> {
        instance.current(store).await
    }
}

impl Ask for Next {
    const FUNCTION: &'static str = "next";
    type Answer = Batch;

    async fn call(self, instance: &Instance, store: &mut Store<CallState>) -> Answer<Batch> {
        instance.next(store, self.after, self.limit, self.wait).await
    }
}
