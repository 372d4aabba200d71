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
//! Writes are one after another: each takes one put of the log's next entry, and a read of the log's end before
//! it unless this instance has just written or read; about five to ten milliseconds in a region, so one to
//! two hundred a second and table, however many auth servers there are. The contract hands an instance one
//! write at a time, so several are not gathered into one entry. Reads are not bound by that: two requests each.

use teleport_plugin_sdk::config;

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
pub mod write;

use backend::Backend;
use outside::Host;
use settings::Settings;

teleport_plugin_sdk::export_storage_instance!(Backend<Host>, || {
    Ok(Backend::new(Host, &Settings::read(config::get)?))
});
