//! A backend that keeps something from call to call: connections, what it knows, where its watch is.
//!
//! The host keeps instances of a storage plugin and asks each one thing at a time. [`StorageBackend`]'s
//! functions have nowhere to keep anything; [`Instance`]'s have `self`. The plugin says how an instance
//! begins, [`export_storage_instance!`](crate::export_storage_instance) does it at the first call and keeps it. Natively, a test
//! begins as many as it likes over whatever world it makes up, without the export.
//!
//! [`StorageBackend`]: super::StorageBackend

use std::time::Duration;

use super::{About, Batch, Condition, Failure, Item, Operation, Page, Revision};

/// One instance of a storage plugin. What each function promises is said at
/// [`StorageBackend`](super::StorageBackend), whose names these are.
pub trait Instance {
    /// Reaches the backend, makes what is missing there, and says what it is.
    ///
    /// # Errors
    /// [`Failure`] with a text for the operator.
    fn open(&mut self) -> Result<About, Failure>;

    /// One item, as of now.
    ///
    /// # Errors
    /// [`Failure::Unavailable`] or [`Failure::Corrupt`].
    fn get(&mut self, key: &str) -> Result<Option<Item>, Failure>;

    /// Items whose keys start with `prefix`, not before `start`, all of one moment.
    ///
    /// # Errors
    /// [`Failure::Unavailable`] or [`Failure::Corrupt`].
    fn range(&mut self, prefix: &str, start: Option<&str>, limit: u32) -> Result<Page, Failure>;

    /// All operations in their order, if all conditions hold.
    ///
    /// # Errors
    /// [`Failure::Conflict`] with the first condition that does not hold; [`Failure::Unavailable`] when
    /// it is not known whether it happened.
    fn write(&mut self, conditions: &[Condition], operations: &[Operation]) -> Result<Revision, Failure>;

    /// The store's revision now.
    ///
    /// # Errors
    /// [`Failure::Unavailable`].
    fn current(&mut self) -> Result<Revision, Failure>;

    /// The changes after `after`; waits for at most `wait` until there is one.
    ///
    /// # Errors
    /// [`Failure::Compacted`] when the host must list again.
    fn next(&mut self, after: Revision, limit: u32, wait: Duration) -> Result<Batch, Failure>;
}

/// Makes an [`Instance`] the component's exports: its type, and how one begins. It begins at the first
/// call, and again at the next when that failed. With the words `get_many` and `put_many`, or one of them,
/// [`GetMany`](super::GetMany) and [`PutMany`](super::PutMany) as well.
///
/// ```
/// # use std::time::Duration;
/// # use teleport_plugin_sdk::storage_backend::{About, Batch, Condition, Item, Operation, Page, Revision};
/// use teleport_plugin_sdk::config;
/// use teleport_plugin_sdk::storage_backend::{Failure, Instance};
///
/// struct Nowhere {
///     url: String,
/// }
///
/// impl Nowhere {
///     fn begin(url: Option<String>) -> Result<Self, Failure> {
///         Ok(Self { url: url.ok_or_else(|| Failure::Invalid("config key url is missing".to_owned()))? })
///     }
/// }
///
/// impl Instance for Nowhere {
///     fn open(&mut self) -> Result<About, Failure> {
///         Ok(About { description: format!("keeps nothing at {}", self.url), value_max: 0 })
///     }
///     // …
/// #    fn get(&mut self, _: &str) -> Result<Option<Item>, Failure> { Ok(None) }
/// #    fn range(&mut self, _: &str, _: Option<&str>, _: u32) -> Result<Page, Failure> { unimplemented!() }
/// #    fn write(&mut self, _: &[Condition], _: &[Operation]) -> Result<Revision, Failure> { Ok(1) }
/// #    fn current(&mut self) -> Result<Revision, Failure> { Ok(1) }
/// #    fn next(&mut self, _: Revision, _: u32, _: Duration) -> Result<Batch, Failure> { unimplemented!() }
/// }
///
/// teleport_plugin_sdk::export_storage_instance!(Nowhere, || Nowhere::begin(config::get("url")));
/// # fn main() {}
/// ```
#[macro_export]
macro_rules! export_storage_instance {
    ($instance:ty, $begin:expr, $($many:ident),+ $(,)?) => {
        $crate::export_storage_instance!($instance, $begin);
        $($crate::export_storage_many!($many);)+
    };
    ($instance:ty, $begin:expr) => {
        #[doc(hidden)]
        struct KeptStorageInstance;

        ::std::thread_local! {
            static STORAGE_INSTANCE: ::std::cell::RefCell<::core::option::Option<$instance>> =
                const { ::std::cell::RefCell::new(::core::option::Option::None) };
        }

        impl $crate::storage_backend::Kept for KeptStorageInstance {
            type Instance = $instance;

            fn with<T>(
                call: impl ::core::ops::FnOnce(
                    &mut $instance,
                )
                    -> ::core::result::Result<T, $crate::storage_backend::Failure>,
            ) -> ::core::result::Result<T, $crate::storage_backend::Failure> {
                STORAGE_INSTANCE.with_borrow_mut(|kept| match kept {
                    ::core::option::Option::Some(instance) => call(instance),
                    none => {
                        let begin: fn()
                            -> ::core::result::Result<$instance, $crate::storage_backend::Failure> = $begin;
                        call(none.insert(begin()?))
                    }
                })
            }
        }

        $crate::export_storage_backend!(KeptStorageInstance);
    };
}

/// One of the words after an instance in [`export_storage_instance!`](crate::export_storage_instance).
#[doc(hidden)]
#[macro_export]
macro_rules! export_storage_many {
    (get_many) => {
        #[doc(hidden)]
        type ExportedStorageGetMany = $crate::storage_backend::ExportedGetMany<KeptStorageInstance>;
        #[cfg(target_arch = "wasm32")]
        $crate::bindings::storage_get_many::export_storage_get_many_component!(
            ExportedStorageGetMany with_types_in $crate::bindings::storage_get_many
        );
        #[cfg(not(target_arch = "wasm32"))]
        const _: $crate::storage_backend::ExportedGetMany<KeptStorageInstance> = ExportedStorageGetMany::NEW;
    };
    (put_many) => {
        #[doc(hidden)]
        type ExportedStoragePutMany = $crate::storage_backend::ExportedPutMany<KeptStorageInstance>;
        #[cfg(target_arch = "wasm32")]
        $crate::bindings::storage_put_many::export_storage_put_many_component!(
            ExportedStoragePutMany with_types_in $crate::bindings::storage_put_many
        );
        #[cfg(not(target_arch = "wasm32"))]
        const _: $crate::storage_backend::ExportedPutMany<KeptStorageInstance> = ExportedStoragePutMany::NEW;
    };
}

/// Where an instance is kept. Written by the export macro only.
#[doc(hidden)]
pub trait Kept {
    #[doc(hidden)]
    type Instance: Instance;

    #[doc(hidden)]
    fn with<T>(call: impl FnOnce(&mut Self::Instance) -> Result<T, Failure>) -> Result<T, Failure>;
}

impl<K: Kept> super::StorageBackend for K {
    fn open() -> Result<About, Failure> {
        K::with(Instance::open)
    }

    fn get(key: String) -> Result<Option<Item>, Failure> {
        K::with(|instance| instance.get(&key))
    }

    fn range(prefix: String, start: Option<String>, limit: u32) -> Result<Page, Failure> {
        K::with(|instance| instance.range(&prefix, start.as_deref(), limit))
    }

    fn write(conditions: Vec<Condition>, operations: Vec<Operation>) -> Result<Revision, Failure> {
        K::with(|instance| instance.write(&conditions, &operations))
    }

    fn current() -> Result<Revision, Failure> {
        K::with(Instance::current)
    }

    fn next(after: Revision, limit: u32, wait: u32) -> Result<Batch, Failure> {
        K::with(|instance| instance.next(after, limit, Duration::from_millis(u64::from(wait))))
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::storage_backend::StorageBackend;

    thread_local! {
        static BEGUN: Cell<u32> = const { Cell::new(0) };
    }

    /// Tells how often it was asked. The first does not begin.
    struct Counting(u64);

    impl Counting {
        fn begin() -> Result<Self, Failure> {
            BEGUN.set(BEGUN.get() + 1);
            if BEGUN.get() == 1 { Err(Failure::Unavailable("not yet".to_owned())) } else { Ok(Self(0)) }
        }

        fn count(&mut self) -> u64 {
            self.0 += 1;
            self.0
        }
    }

    impl Instance for Counting {
        fn open(&mut self) -> Result<About, Failure> {
            Ok(About { description: String::new(), value_max: self.count() })
        }

        fn get(&mut self, key: &str) -> Result<Option<Item>, Failure> {
            let item = Item { key: key.to_owned(), value: Vec::new(), revision: self.count(), expires: None };
            Ok(Some(item))
        }

        fn range(&mut self, _: &str, _: Option<&str>, _: u32) -> Result<Page, Failure> {
            Ok(Page { items: Vec::new(), more: false, revision: self.count() })
        }

        fn write(&mut self, _: &[Condition], _: &[Operation]) -> Result<Revision, Failure> {
            Ok(self.count())
        }

        fn current(&mut self) -> Result<Revision, Failure> {
            Ok(self.count())
        }

        fn next(&mut self, _: Revision, _: u32, wait: Duration) -> Result<Batch, Failure> {
            assert_eq!(wait, Duration::from_millis(1500));
            Ok(Batch { events: Vec::new(), up_to: self.count() })
        }
    }

    crate::export_storage_instance!(Counting, Counting::begin);

    #[test]
    fn an_instance_begins_once_and_is_kept() {
        type Plugin = KeptStorageInstance;
        assert_eq!(Plugin::current(), Err(Failure::Unavailable("not yet".to_owned())));
        assert_eq!(Plugin::current(), Ok(1), "begun again");
        assert_eq!(Plugin::open().map(|about| about.value_max), Ok(2));
        assert_eq!(Plugin::get("/a".to_owned()).map(|item| item.map(|item| item.revision)), Ok(Some(3)));
        assert_eq!(Plugin::range("/".to_owned(), None, 1).map(|page| page.revision), Ok(4));
        assert_eq!(Plugin::write(Vec::new(), Vec::new()), Ok(5));
        assert_eq!(Plugin::next(0, 1, 1500).map(|batch| batch.up_to), Ok(6));
        assert_eq!(BEGUN.get(), 2);
    }
}
