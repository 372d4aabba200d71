//! The cluster's records: keys and bytes with revisions, expiry and watch.
//!
//! Every implementation (memory, SQLite, and what plugins keep: see [`crate::backend`]) gives the same
//! promises, and one conformance suite in `storage` holds them to it:
//!
//! - A write is on disk before it is acknowledged, and is seen by every later read.
//! - One [`Transaction`] happens whole or not at all, and takes one revision, even if it finds
//!   nothing to change.
//! - Revisions only grow. Watchers see every change once, in the order of revisions, and may start
//!   from any revision still kept.
//! - An item past its expiry is never returned, even before it is swept away.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use domain::Timestamp;
use tokio::sync::mpsc;

/// The longest key, in bytes.
pub const KEY_MAX: usize = 1024;
/// The largest value, in bytes.
pub const VALUE_MAX: usize = 1024 * 1024;
/// The most operations of one transaction.
pub const OPERATIONS_MAX: usize = 128;
/// How many changes a watcher may be behind before it is told to start over.
pub const WATCH_QUEUE: usize = 8192;

/// A key: segments, each preceded by a slash, such as `/token/secret`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key(Arc<str>);

impl Key {
    /// A key of these segments. Segments must hold no slash; names of records never do.
    pub fn of(segments: &[&str]) -> Self {
        let mut text = String::with_capacity(segments.iter().map(|segment| segment.len() + 1).sum());
        for segment in segments {
            text.push('/');
            text.push_str(segment);
        }
        Self(text.into())
    }

    /// A key as a store gave it back.
    pub fn from_stored(text: &str) -> Self {
        Self(text.into())
    }

    /// The whole key.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What follows the last slash.
    pub fn last_segment(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or_default()
    }
}

impl fmt::Debug for Key {
    /// Some names are secrets (join tokens), so only the first segment is shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key(/{}/…)", self.0.split('/').nth(1).unwrap_or_default())
    }
}

/// The keys below a prefix of whole segments.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Prefix(Key);

impl Prefix {
    /// Everything below these segments.
    pub fn of(segments: &[&str]) -> Self {
        let mut all = segments.to_vec();
        all.push("");
        Self(Key::of(&all))
    }

    /// Every key there is.
    pub fn all() -> Self {
        Self(Key("/".into()))
    }

    /// The text every key below starts with; it ends with a slash.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// The first text after every key below: for half-open ranges.
    pub fn end(&self) -> String {
        let mut end = self.as_str().to_owned();
        end.pop();
        // '0' follows '/' in ASCII.
        end.push('0');
        end
    }

    /// Whether the key is below.
    pub fn contains(&self, key: &Key) -> bool {
        key.as_str().starts_with(self.as_str())
    }
}

/// The number of a write. Zero is before every write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Revision(pub u64);

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A stored item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Its key.
    pub key: Key,
    /// Its bytes.
    pub value: Bytes,
    /// The write that made it as it is.
    pub revision: Revision,
    /// When it ceases to exist, rounded down to the microsecond.
    pub expires: Option<Timestamp>,
}

/// Part of a range.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// Items in key order.
    pub items: Vec<Item>,
    /// Where the next page starts; none when this is the last.
    pub next: Option<Key>,
    /// The store's revision when the page was read: a watch from here misses nothing.
    pub revision: Revision,
}

/// What must hold for a transaction to happen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// There is no such item.
    Absent(Key),
    /// There is such an item.
    Present(Key),
    /// The item is there and was last written by this revision.
    Unchanged(Key, Revision),
}

impl Condition {
    /// The key it is about.
    pub fn key(&self) -> &Key {
        match self {
            Self::Absent(key) | Self::Present(key) | Self::Unchanged(key, _) => key,
        }
    }
}

/// One change of a transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operation {
    /// Makes or replaces an item.
    Put {
        /// Where.
        key: Key,
        /// What.
        value: Bytes,
        /// Until when.
        expires: Option<Timestamp>,
    },
    /// Removes an item; nothing happens when there is none.
    Delete(Key),
    /// Removes everything below a prefix.
    DeleteRange(Prefix),
}

/// Conditions and changes that happen together or not at all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Transaction {
    /// All must hold.
    pub conditions: Vec<Condition>,
    /// In this order.
    pub operations: Vec<Operation>,
}

impl Transaction {
    /// Adds a condition.
    #[must_use]
    pub fn when(mut self, condition: Condition) -> Self {
        self.conditions.push(condition);
        self
    }

    /// Adds a change.
    #[must_use]
    pub fn then(mut self, operation: Operation) -> Self {
        self.operations.push(operation);
        self
    }

    /// Adds a put.
    #[must_use]
    pub fn put(self, key: Key, value: impl Into<Bytes>, expires: Option<Timestamp>) -> Self {
        self.then(Operation::Put { key, value: value.into(), expires })
    }
}

/// A change as watchers see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// An item was made or replaced.
    Put(Item),
    /// An item was removed or expired.
    Delete(Key),
}

impl Change {
    /// The key it is about.
    pub fn key(&self) -> &Key {
        match self {
            Self::Put(item) => &item.key,
            Self::Delete(key) => key,
        }
    }
}

/// One change of a revision. A transaction of several operations gives several, in their order, all
/// of one revision: whoever stops among them resumes from the revision before and meets some again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WatchEvent {
    /// The write.
    pub revision: Revision,
    /// What it changed, below the watched prefix.
    pub change: Change,
}

/// Why the store did not do it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// A condition did not hold. Nothing was changed.
    #[error("the record was changed, removed or made by someone else in the meantime")]
    Conflict(Key),
    /// A key, value or transaction is too large.
    #[error("{what} is larger than {max}")]
    TooLarge {
        /// What.
        what: &'static str,
        /// How large it may be.
        max: usize,
    },
    /// The revision to watch from is no longer kept. List again, then watch.
    #[error("the store no longer keeps changes as old as revision {0}; list again")]
    Compacted(Revision),
    /// The store cannot be reached or cannot write.
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
    /// The store's plugin or the place it keeps records in will not do it, however often it is tried:
    /// a grant or a key of the configuration is missing. Only stores kept by plugins say this.
    #[error("the store refuses: {0}")]
    Refused(String),
    /// What was read makes no sense.
    #[error("the store is damaged: {0}")]
    Corrupt(String),
}

/// Changes below a prefix, in order.
///
/// The stream ends with [`StoreError::Compacted`] when the watcher fell too far behind, and then
/// closes.
#[derive(Debug)]
pub struct Watch {
    receiver: mpsc::Receiver<Result<WatchEvent, StoreError>>,
}

impl Watch {
    /// A watch fed through `receiver`. For implementations.
    pub fn new(receiver: mpsc::Receiver<Result<WatchEvent, StoreError>>) -> Self {
        Self { receiver }
    }

    /// The next change; none when the store has stopped.
    pub async fn next(&mut self) -> Option<Result<WatchEvent, StoreError>> {
        self.receiver.recv().await
    }
}

/// The store.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// One item.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`], [`StoreError::Refused`] or [`StoreError::Corrupt`].
    async fn get(&self, key: &Key) -> Result<Option<Item>, StoreError>;

    /// Items below a prefix in key order, at most `limit`, starting at `from` (a page's `next`).
    /// Fewer than `limit` do not mean that there are no more: only a page without `next` is the last.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`], [`StoreError::Refused`] or [`StoreError::Corrupt`].
    async fn range(&self, prefix: &Prefix, from: Option<&Key>, limit: usize) -> Result<Page, StoreError>;

    /// Does a transaction and returns its revision, once it is durable.
    ///
    /// A call that is given up while it waits may or may not have happened.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] with the first condition that did not hold, [`StoreError::TooLarge`]:
    /// nothing was changed. After any other error it is not known whether it happened.
    async fn write(&self, transaction: Transaction) -> Result<Revision, StoreError>;

    /// Changes below a prefix after `from`; from now on when none is given.
    ///
    /// # Errors
    /// [`StoreError::Compacted`] when changes that old are no longer kept, and when `from` is still to
    /// come: it is then the revision of another history, such as the one before a restored backup.
    async fn watch(&self, prefix: Prefix, from: Option<Revision>) -> Result<Watch, StoreError>;

    /// Makes an item that must not be there yet.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when it is.
    async fn create(
        &self,
        key: Key,
        value: Bytes,
        expires: Option<Timestamp>,
    ) -> Result<Revision, StoreError> {
        self.write(Transaction::default().when(Condition::Absent(key.clone())).put(key, value, expires)).await
    }

    /// Makes or replaces an item.
    ///
    /// # Errors
    /// Those of [`Store::write`].
    async fn put(&self, key: Key, value: Bytes, expires: Option<Timestamp>) -> Result<Revision, StoreError> {
        self.write(Transaction::default().put(key, value, expires)).await
    }

    /// Replaces an item that must be there.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when it is not.
    async fn update(
        &self,
        key: Key,
        value: Bytes,
        expires: Option<Timestamp>,
    ) -> Result<Revision, StoreError> {
        self.write(Transaction::default().when(Condition::Present(key.clone())).put(key, value, expires))
            .await
    }

    /// Replaces an item that must be as `revision` left it.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when it is not.
    async fn compare_and_swap(
        &self,
        key: Key,
        revision: Revision,
        value: Bytes,
        expires: Option<Timestamp>,
    ) -> Result<Revision, StoreError> {
        let unchanged = Condition::Unchanged(key.clone(), revision);
        self.write(Transaction::default().when(unchanged).put(key, value, expires)).await
    }

    /// Removes an item that must be there.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when it is not.
    async fn delete(&self, key: Key) -> Result<Revision, StoreError> {
        let present = Condition::Present(key.clone());
        self.write(Transaction::default().when(present).then(Operation::Delete(key))).await
    }

    /// Removes everything below a prefix.
    ///
    /// # Errors
    /// Those of [`Store::write`].
    async fn delete_range(&self, prefix: Prefix) -> Result<Revision, StoreError> {
        self.write(Transaction::default().then(Operation::DeleteRange(prefix))).await
    }
}

/// Checks the limits every store keeps.
///
/// # Errors
/// [`StoreError::TooLarge`] with the first limit that is passed.
pub fn check_limits(transaction: &Transaction) -> Result<(), StoreError> {
    let too_large = |what, max| Err(StoreError::TooLarge { what, max });
    if transaction.operations.len() > OPERATIONS_MAX || transaction.conditions.len() > OPERATIONS_MAX {
        return too_large("a transaction", OPERATIONS_MAX);
    }
    for operation in &transaction.operations {
        match operation {
            Operation::Put { key, .. } if key.as_str().len() > KEY_MAX => return too_large("a key", KEY_MAX),
            Operation::Put { value, .. } if value.len() > VALUE_MAX => {
                return too_large("a value", VALUE_MAX);
            }
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_holds_whole_segments_only() {
        let prefix = Prefix::of(&["user"]);
        assert!(prefix.contains(&Key::of(&["user", "joe"])));
        assert!(!prefix.contains(&Key::of(&["users", "joe"])));
        assert!(prefix.as_str() < Key::of(&["user", "joe"]).as_str());
        assert!(Key::of(&["user", "\u{10ffff}"]).as_str() < prefix.end().as_str());
        assert!(prefix.end().as_str() <= Key::of(&["user0"]).as_str());
    }

    #[test]
    fn a_key_in_a_log_shows_no_name() {
        assert_eq!(format!("{:?}", Key::of(&["token", "secret"])), "Key(/token/…)");
    }
}
