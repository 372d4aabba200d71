//! Plugins that keep the cluster's records: implement [`Instance`], export it with
//! [`export_storage_instance!`](crate::export_storage_instance); or, where nothing is kept from call to call,
//! [`StorageBackend`] with [`export_storage_backend!`](crate::export_storage_backend).
//!
//! What a backend promises is written in `wit/storage-backend`; one suite of tests holds every backend
//! to it.

use std::fmt;

mod bound;
mod exported;
mod instance;
mod many;

pub use bound::{CALL_MAX, call_time, check};
pub use exported::Exported;
pub use instance::{Instance, Kept};
pub use many::{ExportedGetMany, ExportedPutMany, GetMany, PutMany};

/// A number of a write. Zero is before every write.
pub type Revision = u64;

/// Microseconds since 1970-01-01T00:00:00Z; see [`clock::now`](crate::clock::now).
pub type Microseconds = u64;

/// The longest key, in bytes.
pub const KEY_MAX: usize = 1024;

/// The largest value, in bytes.
pub const VALUE_MAX: usize = 1024 * 1024;

/// The most conditions, and the most operations, of one write.
pub const OPERATIONS_MAX: usize = 128;

/// A stored item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Segments, each preceded by a slash, such as `/user/joe`.
    pub key: String,
    /// Its bytes.
    pub value: Vec<u8>,
    /// The write that made it as it is.
    pub revision: Revision,
    /// When it ceases to exist.
    pub expires: Option<Microseconds>,
}

/// Why it was not done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// This condition, counted from zero, is the first that did not hold. Nothing was changed.
    Conflict(u32),
    /// Changes as old as asked for are no longer kept, or the revision is still to come. The number is
    /// the oldest revision a watch may resume from.
    Compacted(Revision),
    /// The backend cannot take something so large. Nothing was changed.
    TooLarge(String),
    /// The host refused something the plugin needs. The text is the host's.
    Denied(String),
    /// The configuration cannot work, however often it is tried.
    Invalid(String),
    /// The backend could not be reached. After a write it is not known whether it happened.
    Unavailable(String),
    /// What was read makes no sense.
    Corrupt(String),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Conflict(index) => write!(f, "condition {index} does not hold"),
            Self::Compacted(oldest) => write!(f, "changes before revision {oldest} are not kept"),
            Self::TooLarge(text)
            | Self::Denied(text)
            | Self::Invalid(text)
            | Self::Unavailable(text)
            | Self::Corrupt(text) => f.write_str(text),
        }
    }
}

impl std::error::Error for Failure {}

impl Failure {
    /// A key of the configuration does not hold what it takes: the backend's name, the key, and the rest
    /// of the sentence.
    ///
    /// ```
    /// use teleport_plugin_sdk::storage_backend::Failure;
    ///
    /// let failure = Failure::setting("etcd", "peers", "lists 1 to 32 members");
    /// assert_eq!(
    ///     failure.to_string(),
    ///     "config key peers of the etcd storage lists 1 to 32 members; change it and start again"
    /// );
    /// ```
    pub fn setting(backend: &str, key: &str, what: &str) -> Self {
        Self::Invalid(format!("config key {key} of the {backend} storage {what}; change it and start again"))
    }
}

/// What a backend is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct About {
    /// One line for logs, without secrets: the kind, its address, its version.
    pub description: String,
    /// Bytes of the largest value the backend takes.
    pub value_max: u64,
}

/// Part of a range.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// Items in the order of the bytes of their keys.
    pub items: Vec<Item>,
    /// Whether there are more after the last.
    pub more: bool,
    /// The store's revision when the page was read: a watch from here misses nothing.
    pub revision: Revision,
}

/// What must hold for a write to happen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// There is no such item.
    Absent(String),
    /// There is such an item.
    Present(String),
    /// The item is there, and this write made it as it is.
    Unchanged(String, Revision),
}

impl Condition {
    /// The key it is about.
    pub fn key(&self) -> &str {
        match self {
            Self::Absent(key) | Self::Present(key) | Self::Unchanged(key, _) => key,
        }
    }
}

/// One change of a write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operation {
    /// Makes or replaces an item.
    Put {
        /// Where.
        key: String,
        /// What.
        value: Vec<u8>,
        /// Until when; a moment in the past makes an item that nobody can read.
        expires: Option<Microseconds>,
    },
    /// Removes an item; nothing happens when there is none.
    Delete(String),
    /// Removes every item whose key starts with this text, which ends with a slash.
    DeleteRange(String),
}

/// A change as a watch tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// An item was made or replaced.
    Put(Item),
    /// An item was removed or expired.
    Delete(String),
}

/// One change of a revision. A write of several operations gives several, in their order and with every
/// step between.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// The write.
    pub revision: Revision,
    /// What it changed.
    pub change: Change,
}

/// Changes after a revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// In the order of revisions. A revision is never split over two batches.
    pub events: Vec<Event>,
    /// Everything up to this revision has been told, also when nothing was. Never less than what was
    /// asked from.
    pub up_to: Revision,
}

/// A plugin that keeps records.
///
/// Several instances of it work side by side and share no memory: one is opened, some are kept for reading
/// and writing, one for watching. What is not implemented is refused.
pub trait StorageBackend {
    /// Reaches the backend, makes what is missing there, and says what it is. Called in a fresh instance
    /// when the daemon starts, and at any time later when this version is tried, beside instances of an older
    /// one that is in service and may stay: what that one relies on must not change.
    ///
    /// # Errors
    /// [`Failure`] with a text for the operator.
    fn open() -> Result<About, Failure> {
        Err(unoffered("opening"))
    }

    /// One item, as of now.
    ///
    /// # Errors
    /// [`Failure::Unavailable`] or [`Failure::Corrupt`].
    fn get(key: String) -> Result<Option<Item>, Failure> {
        let _ = key;
        Err(unoffered("reading"))
    }

    /// Items whose keys start with `prefix`, not before `start` where that is given, at most `limit` of
    /// them and fewer where they would be too much for one answer.
    ///
    /// # Errors
    /// [`Failure::Unavailable`] or [`Failure::Corrupt`].
    fn range(prefix: String, start: Option<String>, limit: u32) -> Result<Page, Failure> {
        let _ = (prefix, start, limit);
        Err(unoffered("listing"))
    }

    /// All operations in their order, if all conditions hold. Its revision, once it is durable.
    ///
    /// # Errors
    /// [`Failure::Conflict`] with the first condition that does not hold; [`Failure::Unavailable`] when
    /// it is not known whether it happened.
    fn write(conditions: Vec<Condition>, operations: Vec<Operation>) -> Result<Revision, Failure> {
        let _ = (conditions, operations);
        Err(unoffered("writing"))
    }

    /// The store's revision now.
    ///
    /// # Errors
    /// [`Failure::Unavailable`].
    fn current() -> Result<Revision, Failure> {
        Err(unoffered("watching"))
    }

    /// The changes after `after`. Waits for at most `wait` milliseconds until there is one; gives about
    /// `limit` at most, more where a revision is larger.
    ///
    /// # Errors
    /// [`Failure::Compacted`] when the host must list again.
    fn next(after: Revision, limit: u32, wait: u32) -> Result<Batch, Failure> {
        let _ = (after, limit, wait);
        Err(unoffered("watching"))
    }
}

fn unoffered(what: &str) -> Failure {
    Failure::Invalid(format!("this plugin does not offer {what}, so it cannot keep records"))
}

/// Makes a [`StorageBackend`] the component's exports.
///
/// ```
/// use teleport_plugin_sdk::storage_backend::{About, Failure, StorageBackend};
///
/// struct Nowhere;
///
/// impl StorageBackend for Nowhere {
///     fn open() -> Result<About, Failure> {
///         Ok(About { description: "keeps nothing".to_owned(), value_max: 0 })
///     }
/// }
///
/// teleport_plugin_sdk::export_storage_backend!(Nowhere);
/// # fn main() {}
/// ```
#[macro_export]
macro_rules! export_storage_backend {
    ($backend:ty) => {
        #[doc(hidden)]
        type ExportedStorageBackend = $crate::storage_backend::Exported<$backend>;
        // Native linkers do not take the names a component exports, and native tests need none.
        #[cfg(target_arch = "wasm32")]
        $crate::bindings::storage_backend::export_storage_backend_component!(
            ExportedStorageBackend with_types_in $crate::bindings::storage_backend
        );
        #[cfg(not(target_arch = "wasm32"))]
        const _: $crate::storage_backend::Exported<$backend> = ExportedStorageBackend::NEW;
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_implemented_is_refused() {
        struct Nothing;
        impl StorageBackend for Nothing {}
        let refused = |outcome: Option<Failure>| matches!(outcome, Some(Failure::Invalid(_)));
        assert!(refused(Nothing::open().err()));
        assert!(refused(Nothing::get("/a".to_owned()).err()));
        assert!(refused(Nothing::range("/".to_owned(), None, 1).err()));
        assert!(refused(Nothing::write(Vec::new(), Vec::new()).err()));
        assert!(refused(Nothing::current().err()));
        assert!(refused(Nothing::next(0, 1, 0).err()));
    }
}
