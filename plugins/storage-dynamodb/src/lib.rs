//! The cluster's records in a table of DynamoDB: the plugin behind `storage.type: dynamodb`.
//!
//! It speaks DynamoDB's JSON over HTTP, unsigned: the host signs, so that no key of the cloud is ever within
//! its reach. It decides nothing about the records and keeps nothing on this machine.
//!
//! # Why a log, and no transactions of DynamoDB
//!
//! DynamoDB's transactions end at 100 items and 4 MB and cost double; a write of ours may have 128 conditions
//! and remove ten thousand records. So one item is the write: entry `n` of a log, put under the condition
//! that there is none ([`log`]). Its number is the revision; what it says is done whole or not at all,
//! however large; a write whose answer was lost is found by its name, so it is never done twice and seldom
//! in doubt. The log is what a watch reads as well ([`watch`]). Records follow ([`upkeep`]), and whoever reads
//! lays the end of the log over them ([`records`]).
//!
//! # What it does in a second
//!
//! Writes are one after another: each takes one read of the log's end and one put, about ten milliseconds
//! in a region, so about a hundred a second and table, however many auth servers there are. Reads are not
//! bound by that: two requests each.

use std::cell::RefCell;
use std::time::Duration;

use teleport_plugin_sdk::config;
use teleport_plugin_sdk::storage_backend::{
    About, Batch, Condition, Failure, Item, Operation, Page, Revision, StorageBackend,
};

pub mod backend;
pub mod call;
mod clear;
pub mod entry;
mod limit;
pub mod log;
pub mod outside;
pub mod part;
pub mod plan;
pub mod records;
pub mod settings;
pub mod table;
pub mod upkeep;
pub mod watch;
pub mod wire;

use backend::Backend;
use outside::Host;
use settings::Settings;

struct StorageDynamoDb;

thread_local! {
    /// This instance's; made by its first call.
    static BACKEND: RefCell<Option<Backend<Host>>> = const { RefCell::new(None) };
}

fn with<T>(call: impl FnOnce(&mut Backend<Host>) -> Result<T, Failure>) -> Result<T, Failure> {
    BACKEND.with_borrow_mut(|backend| match backend {
        Some(backend) => call(backend),
        none => {
            let settings = Settings::read(config::get)?;
            call(none.insert(Backend::new(Host, &settings)))
        }
    })
}

impl StorageBackend for StorageDynamoDb {
    fn open() -> Result<About, Failure> {
        with(Backend::open)
    }

    fn get(key: String) -> Result<Option<Item>, Failure> {
        with(|backend| backend.get(&key))
    }

    fn range(prefix: String, start: Option<String>, limit: u32) -> Result<Page, Failure> {
        with(|backend| backend.range(&prefix, start.as_deref(), limit))
    }

    fn write(conditions: Vec<Condition>, operations: Vec<Operation>) -> Result<Revision, Failure> {
        with(|backend| backend.write(&conditions, &operations))
    }

    fn current() -> Result<Revision, Failure> {
        with(Backend::current)
    }

    fn next(after: Revision, limit: u32, wait: u32) -> Result<Batch, Failure> {
        with(|backend| backend.next(after, limit, Duration::from_millis(u64::from(wait))))
    }
}

teleport_plugin_sdk::export_storage_backend!(StorageDynamoDb);
