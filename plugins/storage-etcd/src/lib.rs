//! The cluster's records in etcd: the plugin behind `storage.type: etcd`.
//!
//! It speaks etcd's JSON gateway (etcd 3.4 or newer). A revision of ours is etcd's own, a write is one of
//! etcd's transactions, and what expires ends with one of etcd's leases; what is kept beside that is
//! said in [`envelope`] and [`journal`]. It decides nothing about the records, sees no key of TLS and no
//! certificate (the host makes the connections), and keeps nothing on this machine.
//!
//! Several auth servers on one etcd work side by side: nothing is kept from call to call but leases,
//! which belong to the instance that asked for them, and the open watch.

use std::cell::RefCell;
use std::time::Duration;

use teleport_plugin_sdk::config;
use teleport_plugin_sdk::storage_backend::{
    About, Batch, Condition, Failure, Item, Operation, Page, Revision, StorageBackend,
};

pub mod backend;
pub mod condition;
pub mod envelope;
pub mod frame;
pub mod gather;
pub mod journal;
pub mod key;
pub mod lease;
pub mod members;
pub mod outside;
pub mod plan;
pub mod records;
pub mod refusal;
pub mod settings;
pub mod tail;
pub mod transaction;
pub mod wire;

use backend::Backend;
use outside::Host;
use settings::Settings;

struct StorageEtcd;

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

impl StorageBackend for StorageEtcd {
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

teleport_plugin_sdk::export_storage_backend!(StorageEtcd);
