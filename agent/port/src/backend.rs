//! A store that somebody else keeps: what the `storage-backend` contract offers, as a trait.
//!
//! The plugin host implements [`Backend`] over a guest; `storage::RemoteStore` makes a
//! [`Store`](crate::store::Store) of it: fan-out to watchers, a ring of recent changes, retries,
//! limits. A backend has none of these, and answers without waiting for another question
//! to come.
//!
//! What an implementation promises:
//!
//! - **Durable and seen.** A write is durable when [`Backend::write`] returns. Every call that begins
//!   later sees it, through whichever instance or member it goes. This holds for
//!   [`Backend::current`] and for [`BackendPage::revision`] as well: no answer comes from a replica that
//!   lags.
//! - **Revisions rise.** Each write takes one that is higher than all before it, also when it changed
//!   nothing. They may have gaps: other programs may write in the same place.
//! - **Nothing expired is ever returned**, seen by a condition, or kept past its expiry for long: its
//!   removal is a change like another and is told to tails.
//! - **Every change is told** to tails in order, each step of a transaction in the order of its
//!   operations, and a revision is never split over two batches.
//! - **A call can be given up.** Dropping its future ends it soon, at the latest when the
//!   implementation's own time limit does. A write that was given up may or may not have happened.
//!
//! What a caller may not rely on:
//!
//! - that a page or a batch is as large as was asked for, or that two pages are of one moment;
//! - that a tail tells a change soon, or that [`Batch::up_to`] ever reaches a given revision while
//!   nothing changes: the revision may have been moved by somebody else's keys, which no tail tells;
//! - that the same call gives the same error twice, or an error its text.
//!
//! Errors are those of the store. An implementation maps what its guest says so:
//!
//! | contract's `failure` | here |
//! |---|---|
//! | `conflict(i)` | [`StoreError::Conflict`] with the key of condition `i`; [`StoreError::Corrupt`] when there is no such condition |
//! | `compacted(_)` | [`StoreError::Compacted`] with the revision that was asked from; the caller relies on the variant alone |
//! | `too-large(_)` | [`StoreError::TooLarge`] with what the implementation knows; the text goes to its log |
//! | `denied(text)`, `invalid(text)` | [`StoreError::Refused`] |
//! | `unavailable(text)` | [`StoreError::Unavailable`] |
//! | `corrupt(text)` | [`StoreError::Corrupt`] |
//!
//! A trap, a breached limit or a missing instance is [`StoreError::Unavailable`]; an answer that is
//! not what the contract allows is [`StoreError::Corrupt`].

use std::time::Duration;

use async_trait::async_trait;

use crate::store::{Item, Key, Prefix, Revision, StoreError, Transaction, WatchEvent};

/// What a backend is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct About {
    /// One line for logs, without secrets: the kind, its address, its version.
    pub description: String,
    /// Bytes of the largest value it takes.
    pub value_max: usize,
}

/// Items of a range.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackendPage {
    /// In the order of the bytes of their keys, all of one moment.
    pub items: Vec<Item>,
    /// Whether there are more after the last. A page without items never says so.
    pub more: bool,
    /// The revision of that moment: a tail from here misses nothing that is not on this page.
    pub revision: Revision,
}

/// Changes after a revision.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Batch {
    /// In the order of revisions, each revision whole.
    pub events: Vec<WatchEvent>,
    /// Everything up to here has been told, also when nothing was. Never less than the `up_to` of the
    /// batch before, or than where the tail began.
    pub up_to: Revision,
}

/// A place that keeps the records.
///
/// Calls may be made at the same time from several tasks.
#[async_trait]
pub trait Backend: Send + Sync + 'static {
    /// Reaches the place and makes what is missing there. Called once, before anything else.
    ///
    /// # Errors
    /// [`StoreError::Refused`] when trying again cannot help before somebody changes the configuration,
    /// [`StoreError::Unavailable`] when it may.
    async fn open(&self) -> Result<About, StoreError>;

    /// One item. The key is no longer than [`crate::store::KEY_MAX`].
    ///
    /// # Errors
    /// [`StoreError::Unavailable`], [`StoreError::Refused`] or [`StoreError::Corrupt`].
    async fn get(&self, key: &Key) -> Result<Option<Item>, StoreError>;

    /// Items below `prefix`, not before `from`, at most `limit` of them, which is never zero.
    ///
    /// `from`, where given, lies below the prefix, need not be the key of an item, and may be one byte
    /// longer than the longest key. Fewer items than asked for, with `more` set, are a full answer.
    ///
    /// # Errors
    /// Those of [`Backend::get`].
    async fn range(&self, prefix: &Prefix, from: Option<&Key>, limit: u32)
    -> Result<BackendPage, StoreError>;

    /// Does a transaction whole or not at all.
    ///
    /// It is within the limits of the store port and the backend's own `value_max`; expiries are whole
    /// microseconds. One before 1970 may be kept as 1970: both are past.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] with the key of the first condition that did not hold, or
    /// [`StoreError::TooLarge`]: nothing was changed. After any other it is not known whether it happened.
    async fn write(&self, transaction: &Transaction) -> Result<Revision, StoreError>;

    /// The revision now: not less than that of any write that was acknowledged before the call, and not
    /// more than that of any that begins after it.
    ///
    /// # Errors
    /// Those of [`Backend::get`].
    async fn current(&self) -> Result<Revision, StoreError>;

    /// Begins to follow the changes after a revision, of all keys. Each tail is an instance of its own;
    /// dropping it ends it.
    ///
    /// # Errors
    /// Those of [`Tail::next`].
    async fn tail(&self, after: Revision) -> Result<Box<dyn Tail>, StoreError>;
}

/// Follows the changes of a backend. After an error it is of no more use: make a new one from the last
/// `up_to`.
#[async_trait]
pub trait Tail: Send + 'static {
    /// The next changes. Waits for at most `wait` until there is one; gives about `limit` at most, more
    /// where one revision is larger.
    ///
    /// The first call returns only once the backend has agreed to the revision, however short `wait` is:
    /// an empty batch means that it can be followed from there.
    ///
    /// # Errors
    /// [`StoreError::Compacted`] when changes that old are no longer kept or the revision is still to
    /// come, and those of [`Backend::get`].
    async fn next(&mut self, limit: u32, wait: Duration) -> Result<Batch, StoreError>;
}
