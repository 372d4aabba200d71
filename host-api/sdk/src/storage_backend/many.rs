//! Several questions in one call, for backends that answer several hardly slower than one.

use std::marker::PhantomData;

use super::exported::{failure, item};
use super::{Failure, Instance, Item, Kept, Operation, Revision};
use crate::bindings::storage_backend::teleport::storage_backend::types;
use crate::bindings::storage_get_many::exports::teleport::storage_backend1_1_0::get_many;
use crate::bindings::storage_put_many::exports::teleport::storage_backend1_1_0::put_many;

/// An [`Instance`] that can be asked for several items at once: `teleport:storage-backend@1.1.0`. The word `get_many`
/// in [`export_storage_instance!`](crate::export_storage_instance) exports it, and the manifest names that version:
///
/// ```
/// # use std::time::Duration;
/// # use teleport_plugin_sdk::storage_backend::{About, Batch, Condition, Instance, Operation, Page, Revision};
/// use teleport_plugin_sdk::storage_backend::{Failure, GetMany, Item};
/// # #[derive(Default)]
/// # struct Far;
/// # impl Instance for Far {
/// #    fn open(&mut self) -> Result<About, Failure> { unimplemented!() }
/// #    fn get(&mut self, _: &str) -> Result<Option<Item>, Failure> { Ok(None) }
/// #    fn range(&mut self, _: &str, _: Option<&str>, _: u32) -> Result<Page, Failure> { unimplemented!() }
/// #    fn write(&mut self, _: &[Condition], _: &[Operation]) -> Result<Revision, Failure> { Ok(1) }
/// #    fn current(&mut self) -> Result<Revision, Failure> { Ok(1) }
/// #    fn next(&mut self, _: Revision, _: u32, _: Duration) -> Result<Batch, Failure> { unimplemented!() }
/// # }
///
/// impl GetMany for Far {
///     fn get_many(&mut self, keys: &[String]) -> Result<Vec<Option<Item>>, Failure> {
///         // One request for all of them.
/// #        keys.iter().map(|key| self.get(key)).collect()
///     }
/// }
///
/// teleport_plugin_sdk::export_storage_instance!(Far, || Ok(Far::default()), get_many);
/// # fn main() {}
/// ```
pub trait GetMany: Instance {
    /// Items, as of now, in the order of their keys: at most 64, none twice. Where all of them are too much for one
    /// answer, those of the first keys, of one at least: the host asks again for the rest.
    ///
    /// # Errors
    /// Those of [`Instance::get`].
    fn get_many(&mut self, keys: &[String]) -> Result<Vec<Option<Item>>, Failure>;
}

/// An [`Instance`] that can be given several puts at once: the word `put_many` exports it.
pub trait PutMany: Instance {
    /// Puts that came at the same time and have nothing else in common: at most 64, no key twice, their values not
    /// more than 256 KiB together. The revision of each, in their order, in which they rise.
    ///
    /// # Errors
    /// Those of [`Instance::write`] without a condition. [`Failure::TooLarge`] only when nothing was changed: then
    /// each is asked for by itself. After any other it is not known which of them happened.
    fn put_many(&mut self, puts: &[Operation]) -> Result<Vec<Revision>, Failure>;
}

/// Stands between the contract and [`GetMany`]. Named by the export macro only.
#[doc(hidden)]
pub struct ExportedGetMany<K>(PhantomData<K>);

impl<K: Kept> ExportedGetMany<K> {
    #[doc(hidden)]
    pub const NEW: Self = Self(PhantomData);
}

impl<K: Kept> get_many::Guest for ExportedGetMany<K>
where
    K::Instance: GetMany,
{
    fn get_many(keys: Vec<String>) -> Result<Vec<Option<types::Item>>, types::Failure> {
        let items = K::with(|instance| instance.get_many(&keys)).map_err(failure)?;
        Ok(items.into_iter().map(|found| found.map(item)).collect())
    }
}

/// Stands between the contract and [`PutMany`]. Named by the export macro only.
#[doc(hidden)]
pub struct ExportedPutMany<K>(PhantomData<K>);

impl<K: Kept> ExportedPutMany<K> {
    #[doc(hidden)]
    pub const NEW: Self = Self(PhantomData);
}

impl<K: Kept> put_many::Guest for ExportedPutMany<K>
where
    K::Instance: PutMany,
{
    fn put_many(entries: Vec<put_many::Entry>) -> Result<Vec<u64>, types::Failure> {
        let put = |put_many::Entry { key, value, expires }| Operation::Put { key, value, expires };
        let puts: Vec<_> = entries.into_iter().map(put).collect();
        K::with(|instance| instance.put_many(&puts)).map_err(failure)
    }
}
