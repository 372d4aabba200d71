//! The store port, over SQLite, over memory, and over what somebody else keeps.
//!
//! [`SqliteStore`] is what a cluster runs on unless told otherwise: one file below the data
//! directory, shared by the processes of one host. [`MemoryStore`] keeps the same promises except
//! durability, for tests and small tools. [`RemoteStore`] makes a store of a
//! [`port::backend::Backend`]: etcd and others, kept by plugins. All feed their watchers through one
//! fan-out, and all pass the one suite in `conformance` (a feature of this crate), unchanged.
//!
//! What this room refuses: to know what the bytes mean, to decide who may read them, and to
//! acknowledge a write that is not on disk.

#[cfg(feature = "conformance")]
pub mod conformance;
mod error;
mod expiry;
mod fanout;
mod history;
mod memory;
mod remote;
mod ring;
mod settings;
mod sqlite;

pub use error::OpenError;
pub use memory::MemoryStore;
pub use remote::{RemoteHealth, RemoteSettings, RemoteStore};
pub use settings::Settings;
pub use sqlite::SqliteStore;
