//! Several questions in one call, for backends that answer several hardly slower than one.

use std::marker::PhantomData;

use super::exported::{failure, item};
use super::{Failure, Instance, Item, Kept, Operation, Revision};
use crate::bindings::storage_backend::teleport::storage_backend::types;
use crate::bindings::storage_many::exports::teleport::storage_backend1_1_0::many as wire;

/// An [`Instance`] that can be asked several things at once: `teleport:storage-backend@1.1.0`. The third word of
/// [`export_storage_instance!`](crate::export_storage_instance) exports it, and the manifest names that version:
///
/// ```
/// # use std::time::Duration;
/// # use teleport_plugin_sdk::storage_backend::{About, Batch, Condition, Instance, Operation, Page, Revision};
/// use teleport_plugin_sdk::storage_backend::{Failure, Item, Many};
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
/// impl Many for Far {
///     fn get_many(&mut self, keys: &[String]) -> Result<Vec<Option<Item>>, Failure> {
///         // One request for all of them.
/// #        keys.iter().map(|key| self.get(key)).collect()
///     }
/// }
///
/// teleport_plugin_sdk::export_storage_instance!(Far, || Ok(Far::default()), many);
/// # fn main() {}
/// ```
pub trait Many: Instance {
    /// Items, as of now, in the order of their keys: at most 64, none twice. Where all of them are too much for one
    /// answer, those of the first keys, of one at least: the host asks again for the rest.
    ///
    /// # Errors
    /// Those of [`Instance::get`].
    fn get_many(&mut self, keys: &[String]) -> Result<Vec<Option<Item>>, Failure>;

    /// Puts that came at the same time and have nothing else in common: at most 64, no key twice, their values not
    /// more than 256 KiB together. The revision of each, in their order, in which they rise. Where nothing else is
    /// written here, each is asked for by itself.
    ///
    /// # Errors
    /// Those of [`Instance::write`] without a condition. [`Failure::TooLarge`] only when nothing was changed: then
    /// each is asked for by itself. After any other it is not known which of them happened.
    fn put_many(&mut self, _puts: &[Operation]) -> Result<Vec<Revision>, Failure> {
        Err(Failure::TooLarge("several puts are made one by one here".to_owned()))
    }
}

/// Stands between the contract and the trait. Named by the export macro only.
#[doc(hidden)]
pub struct ExportedMany<K>(PhantomData<K>);

impl<K: Kept> ExportedMany<K> {
    #[doc(hidden)]
    pub const NEW: Self = Self(PhantomData);
}

impl<K: Kept> wire::Guest for ExportedMany<K>
where
    K::Instance: Many,
{
    fn get(keys: Vec<String>) -> Result<Vec<Option<types::Item>>, types::Failure> {
        let items = K::with(|instance| instance.get_many(&keys)).map_err(failure)?;
        Ok(items.into_iter().map(|found| found.map(item)).collect())
    }

    fn put(entries: Vec<wire::Entry>) -> Result<Vec<u64>, types::Failure> {
        let put = |wire::Entry { key, value, expires }| Operation::Put { key, value, expires };
        let puts: Vec<_> = entries.into_iter().map(put).collect();
        K::with(|instance| instance.put_many(&puts)).map_err(failure)
    }
}
