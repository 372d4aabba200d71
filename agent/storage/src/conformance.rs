//! What every store must do: one suite, run unchanged on all of them.
//!
//! A crate that has a store says how to open one and names the macro:
//!
//! ```text
//! async fn open() -> storage::conformance::Subject { … }
//! storage::conformance!(open);
//! ```
//!
//! Each case becomes a test of its own on a store of its own. A program that offers the suite to others opens
//! stores by [`Subject::over`] and runs each of [`names`] by [`verdict`]. The cases lean on what the port
//! promises and on nothing else, and wait for changes rather than for time to pass.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a suite of tests: a case fails by panicking"
)]

use std::any::Any;
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use domain::Timestamp;
use port::clock::Clock;
use port::store::{Change, Item, Key, Prefix, Revision, Store, Transaction, Watch, WatchEvent};

mod atomic;
mod backend;
mod concurrent;
mod expiry;
mod record;
mod size;
mod watch;

pub use backend::{WAITS, is_case, verdict, waits};

/// How long a case may take before it counts as hanging.
const PATIENCE: Duration = Duration::from_secs(120);

/// How long a change may take to reach a watcher.
const DELIVERY: Duration = Duration::from_secs(30);

/// A fresh, empty store under test.
pub struct Subject {
    /// The store.
    pub store: Arc<dyn Store>,
    /// The clock it tells expiry by.
    pub clock: Arc<dyn Clock>,
    /// Moves that clock forward, or waits when it cannot be moved.
    pub advance: Box<dyn Fn(Duration) + Send + Sync>,
    /// After so many further changes the store no longer keeps a revision. For a store over a backend:
    /// once its ring has forgotten the revision and either the backend has as well, or more has happened
    /// since than a watcher's queue holds. The cases wait until its tail has come that far.
    pub forgets_after: usize,
    /// Kept until the case is over: a folder, a server.
    pub keep: Box<dyn Any + Send + Sync>,
}

impl Subject {
    /// A moment so many seconds from now.
    fn in_seconds(&self, seconds: u64) -> Option<Timestamp> {
        Some(self.clock.now().checked_add(Duration::from_secs(seconds)).unwrap())
    }

    fn pass_seconds(&self, seconds: u64) {
        (self.advance)(Duration::from_secs(seconds));
    }

    async fn put(&self, name: &str, value: &str) -> Revision {
        self.store.put(key(name), bytes(value), None).await.unwrap()
    }

    async fn value(&self, name: &str) -> Option<String> {
        let item = self.store.get(&key(name)).await.unwrap()?;
        Some(String::from_utf8(item.value.to_vec()).unwrap())
    }

    /// Every item below a prefix, page by page.
    async fn list(&self, prefix: &Prefix, page: usize) -> Vec<Item> {
        let (mut items, mut from) = (Vec::new(), None);
        loop {
            let part = self.store.range(prefix, from.as_ref(), page).await.unwrap();
            assert!(part.items.len() <= page, "a page holds no more than asked for");
            items.extend(part.items);
            from = part.next;
            if from.is_none() {
                return items;
            }
        }
    }

    /// Writes so many items in as few transactions as the port allows.
    async fn fill(&self, folder: &str, count: usize) -> Revision {
        self.fill_with(folder, 0..count).await
    }

    async fn fill_with(&self, folder: &str, numbers: Range<usize>) -> Revision {
        let mut last = Revision(0);
        let numbers: Vec<_> = numbers.collect();
        for chunk in numbers.chunks(port::store::OPERATIONS_MAX) {
            let put = |all: Transaction, number: &usize| {
                all.put(Key::of(&[folder, &format!("{number:06}")]), format!("value {number}"), None)
            };
            last = self.store.write(chunk.iter().fold(Transaction::default(), put)).await.unwrap();
        }
        last
    }

    /// Writes so many items, and a watcher has heard of each when this returns.
    ///
    /// A store over a backend hears of changes some time after they are written. Who watches beside this
    /// watcher has been told as much as it has, however slow the backend's tail is.
    async fn fill_and_hear(&self, folder: &str, count: usize) {
        // Far less than a watcher's queue, so that this one does not fall behind.
        const PART: usize = 1024;
        let mut watch = self.store.watch(Prefix::of(&[folder]), None).await.unwrap();
        for start in (0..count).step_by(PART) {
            let part = start..count.min(start + PART);
            self.fill_with(folder, part.clone()).await;
            for _ in part {
                next(&mut watch).await;
            }
        }
    }
}

fn key(name: &str) -> Key {
    Key::of(&["t", name])
}

fn below() -> Prefix {
    Prefix::of(&["t"])
}

fn bytes(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

/// The next change, or a failed test when none comes.
async fn next(watch: &mut Watch) -> WatchEvent {
    tokio::time::timeout(DELIVERY, watch.next()).await.expect("a change in time").unwrap().unwrap()
}

/// A change in short: `+name=value` or `-name`.
fn short(event: &WatchEvent) -> String {
    match &event.change {
        Change::Put(item) => {
            format!("+{}={}", item.key.last_segment(), String::from_utf8_lossy(&item.value))
        }
        Change::Delete(key) => format!("-{}", key.last_segment()),
    }
}

/// The next changes in short.
async fn heard(watch: &mut Watch, count: usize) -> Vec<String> {
    let mut heard = Vec::with_capacity(count);
    for _ in 0..count {
        heard.push(short(&next(watch).await));
    }
    heard
}

type Case = fn(Subject) -> Pin<Box<dyn Future<Output = ()> + Send>>;

/// Lists the cases once for [`run`] and once for the macro. A case that is not listed is dead code,
/// which the compiler reports.
macro_rules! cases {
    ($($module:ident :: $case:ident),* $(,)?) => {
        const CASES: &[(&str, Case)] = &[$((stringify!($case), |subject| Box::pin($module::$case(subject)))),*];
    };
}

cases![
    record::an_item_comes_back_as_it_was_put,
    record::what_is_not_there_is_not_found,
    record::create_needs_absence,
    record::update_and_delete_need_presence,
    record::a_range_is_in_key_order_and_bounded_by_its_prefix,
    record::pages_join_to_the_whole,
    record::a_page_may_start_anywhere,
    record::delete_range_removes_whole_segments_only,
    record::keys_may_hold_any_text,
    record::values_may_hold_any_bytes,
    atomic::compare_and_swap_needs_the_last_revision,
    atomic::a_transaction_happens_whole,
    atomic::a_broken_condition_undoes_everything,
    atomic::operations_happen_in_order,
    atomic::every_write_takes_one_higher_revision,
    atomic::a_page_tells_the_revision_it_was_read_at,
    size::limits_are_kept,
    size::the_largest_transaction_happens_whole,
    size::a_mebibyte_survives,
    size::ten_thousand_keys_are_listed,
    expiry::an_expired_item_is_gone_at_once,
    expiry::conditions_see_no_expired_item,
    expiry::an_expired_item_is_deleted_for_watchers,
    expiry::a_later_put_changes_the_expiry,
    expiry::an_item_may_be_born_expired,
    expiry::an_expiry_is_kept_to_the_microsecond,
    concurrent::counters_lose_no_increment,
    concurrent::one_of_many_creates,
    concurrent::transfers_keep_the_sum,
    concurrent::a_write_is_seen_by_the_next_read,
    watch::from_now_sees_only_later_changes,
    watch::from_a_revision_sees_everything_after,
    watch::a_change_carries_the_item,
    watch::a_watch_can_be_resumed,
    watch::several_watchers_hear_the_same,
    watch::a_prefix_is_kept_to,
    watch::a_transaction_is_heard_in_its_order,
    watch::nothing_is_heard_of_what_did_not_happen,
    watch::listing_then_watching_misses_nothing,
    watch::what_is_forgotten_cannot_be_watched_from,
    watch::a_revision_to_come_cannot_be_watched_from,
    watch::who_falls_behind_is_told_and_let_go,
];

/// Runs one case. For the macro.
pub async fn run(case: &str, subject: Subject) {
    let (_, case) = CASES.iter().find(|(name, _)| *name == case).expect("a case of this name");
    tokio::time::timeout(PATIENCE, case(subject)).await.expect("the case comes to an end");
}

/// The names of all cases, in order.
pub fn names() -> Vec<&'static str> {
    CASES.iter().map(|(name, _)| *name).collect()
}

/// Makes a test of every case, on stores from `$open`, an `async fn() -> Subject`.
#[macro_export]
macro_rules! conformance {
    ($open:path) => {
        $crate::conformance! { @tests $open;
            an_item_comes_back_as_it_was_put
            what_is_not_there_is_not_found
            create_needs_absence
            update_and_delete_need_presence
            a_range_is_in_key_order_and_bounded_by_its_prefix
            pages_join_to_the_whole
            a_page_may_start_anywhere
            delete_range_removes_whole_segments_only
            keys_may_hold_any_text
            values_may_hold_any_bytes
            compare_and_swap_needs_the_last_revision
            a_transaction_happens_whole
            a_broken_condition_undoes_everything
            operations_happen_in_order
            every_write_takes_one_higher_revision
            a_page_tells_the_revision_it_was_read_at
            limits_are_kept
            the_largest_transaction_happens_whole
            a_mebibyte_survives
            ten_thousand_keys_are_listed
            an_expired_item_is_gone_at_once
            conditions_see_no_expired_item
            an_expired_item_is_deleted_for_watchers
            a_later_put_changes_the_expiry
            an_item_may_be_born_expired
            an_expiry_is_kept_to_the_microsecond
            counters_lose_no_increment
            one_of_many_creates
            transfers_keep_the_sum
            a_write_is_seen_by_the_next_read
            from_now_sees_only_later_changes
            from_a_revision_sees_everything_after
            a_change_carries_the_item
            a_watch_can_be_resumed
            several_watchers_hear_the_same
            a_prefix_is_kept_to
            a_transaction_is_heard_in_its_order
            nothing_is_heard_of_what_did_not_happen
            listing_then_watching_misses_nothing
            what_is_forgotten_cannot_be_watched_from
            a_revision_to_come_cannot_be_watched_from
            who_falls_behind_is_told_and_let_go
        }
    };
    (@tests $open:path; $($case:ident)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                $crate::conformance::run(stringify!($case), $open().await).await;
            }
        )*

        #[test]
        fn the_suite_is_run_whole() {
            assert_eq!($crate::conformance::names(), [$(stringify!($case)),*]);
        }
    };
}
