//! Between the contract's types and the trait's. Values are moved, never copied.

use std::marker::PhantomData;

use super::{Batch, Change, Condition, Event, Failure, Item, Operation, Page, StorageBackend};
use crate::bindings::storage_backend::exports::teleport::storage_backend as wire;
use crate::bindings::storage_backend::teleport::storage_backend::types;

/// Stands between the contract and the trait. Named by the export macro only.
#[doc(hidden)]
pub struct Exported<B>(PhantomData<B>);

impl<B: StorageBackend> Exported<B> {
    #[doc(hidden)]
    pub const NEW: Self = Self(PhantomData);
}

impl<B: StorageBackend> wire::open::Guest for Exported<B> {
    fn open() -> Result<wire::open::About, types::Failure> {
        let about = B::open().map_err(failure)?;
        Ok(wire::open::About { description: about.description, value_max: about.value_max })
    }
}

impl<B: StorageBackend> wire::records::Guest for Exported<B> {
    fn get(key: String) -> Result<Option<types::Item>, types::Failure> {
        Ok(B::get(key).map_err(failure)?.map(item))
    }

    fn range(
        prefix: String,
        start: Option<String>,
        limit: u32,
    ) -> Result<wire::records::Page, types::Failure> {
        let Page { items, more, revision } = B::range(prefix, start, limit).map_err(failure)?;
        Ok(wire::records::Page { items: items.into_iter().map(item).collect(), more, revision })
    }

    fn write(
        conditions: Vec<wire::records::Condition>,
        operations: Vec<wire::records::Operation>,
    ) -> Result<u64, types::Failure> {
        let conditions = conditions.into_iter().map(condition).collect();
        let operations = operations.into_iter().map(operation).collect();
        B::write(conditions, operations).map_err(failure)
    }
}

impl<B: StorageBackend> wire::watch::Guest for Exported<B> {
    fn current() -> Result<u64, types::Failure> {
        B::current().map_err(failure)
    }

    fn next(after: u64, limit: u32, wait: u32) -> Result<wire::watch::Batch, types::Failure> {
        let Batch { events, up_to } = B::next(after, limit, wait).map_err(failure)?;
        Ok(wire::watch::Batch { events: events.into_iter().map(event).collect(), up_to })
    }
}

pub(super) fn failure(failure: Failure) -> types::Failure {
    match failure {
        Failure::Conflict(index) => types::Failure::Conflict(index),
        Failure::Compacted(oldest) => types::Failure::Compacted(oldest),
        Failure::TooLarge(text) => types::Failure::TooLarge(text),
        Failure::Denied(text) => types::Failure::Denied(text),
        Failure::Invalid(text) => types::Failure::Invalid(text),
        Failure::Unavailable(text) => types::Failure::Unavailable(text),
        Failure::Corrupt(text) => types::Failure::Corrupt(text),
    }
}

pub(super) fn item(item: Item) -> types::Item {
    let Item { key, value, revision, expires } = item;
    types::Item { key, value, revision, expires }
}

fn condition(condition: wire::records::Condition) -> Condition {
    match condition {
        wire::records::Condition::Absent(key) => Condition::Absent(key),
        wire::records::Condition::Present(key) => Condition::Present(key),
        wire::records::Condition::Unchanged((key, revision)) => Condition::Unchanged(key, revision),
    }
}

fn operation(operation: wire::records::Operation) -> Operation {
    match operation {
        wire::records::Operation::Put(wire::records::Entry { key, value, expires }) => {
            Operation::Put { key, value, expires }
        }
        wire::records::Operation::Delete(key) => Operation::Delete(key),
        wire::records::Operation::DeleteRange(prefix) => Operation::DeleteRange(prefix),
    }
}

fn event(event: Event) -> wire::watch::Event {
    let change = match event.change {
        Change::Put(of) => wire::watch::Change::Put(item(of)),
        Change::Delete(key) => wire::watch::Change::Delete(key),
    };
    wire::watch::Event { revision: event.revision, change }
}
