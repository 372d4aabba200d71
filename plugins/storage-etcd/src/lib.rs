//! The cluster's records in etcd: the plugin behind `storage.type: etcd`.
//!
//! It speaks etcd's JSON gateway (etcd 3.4 or newer). A write is one of etcd's transactions, or with other puts in
//! one that were asked for at the same time; its revision is made of etcd's own ([`revision`]), and what expires
//! ends with one of etcd's leases. What is kept beside that is said in [`envelope`] and [`journal`]. It decides
//! nothing about the records, sees no key of TLS and no certificate (the host makes the connections), and keeps
//! nothing on this machine.
//!
//! Several auth servers on one etcd work side by side: nothing is kept from call to call but leases,
//! which belong to the instance that asked for them, the open watch, and how far this machine's clock is off from
//! etcd's. That one decides where they disagree ([`time`]).

use std::time::Duration;

use teleport_plugin_sdk::config;
use teleport_plugin_sdk::storage_backend::{
    About, Batch, Condition, Failure, GetMany, Instance, Item, Operation, Page, PutMany, Revision,
};

pub mod backend;
pub mod condition;
pub mod envelope;
pub mod frame;
pub mod gather;
pub mod granting;
pub mod journal;
pub mod key;
pub mod lease;
pub mod members;
pub mod outside;
pub mod plan;
pub mod putting;
pub mod reading;
pub mod refusal;
pub mod revision;
pub mod settings;
pub mod tail;
pub mod time;
pub mod transaction;
pub mod wire;
pub mod writing;

use backend::Backend;
use outside::{Host, Outside};
use settings::Settings;

impl<O: Outside> Instance for Backend<O> {
    fn open(&mut self) -> Result<About, Failure> {
        Self::open(self)
    }

    fn get(&mut self, key: &str) -> Result<Option<Item>, Failure> {
        Self::get(self, key)
    }

    fn range(&mut self, prefix: &str, start: Option<&str>, limit: u32) -> Result<Page, Failure> {
        Self::range(self, prefix, start, limit)
    }

    fn write(&mut self, conditions: &[Condition], operations: &[Operation]) -> Result<Revision, Failure> {
        Self::write(self, conditions, operations)
    }

    fn current(&mut self) -> Result<Revision, Failure> {
        Self::current(self)
    }

    fn next(&mut self, after: Revision, limit: u32, wait: Duration) -> Result<Batch, Failure> {
        Self::next(self, after, limit, wait)
    }
}

impl<O: Outside> GetMany for Backend<O> {
    fn get_many(&mut self, keys: &[String]) -> Result<Vec<Option<Item>>, Failure> {
        Self::get_many(self, keys)
    }
}

impl<O: Outside> PutMany for Backend<O> {
    fn put_many(&mut self, puts: &[Operation]) -> Result<Vec<Revision>, Failure> {
        Self::put_many(self, puts)
    }
}

teleport_plugin_sdk::export_storage_instance!(
    Backend<Host>,
    || Ok(Backend::new(Host, &Settings::read(config::get)?)),
    get_many,
    put_many
);
