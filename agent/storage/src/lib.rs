//! The store port, over SQLite and over memory.
//!
//! [`SqliteStore`] is what a cluster runs on unless told otherwise: one file below the data
//! directory, shared by the processes of one host. [`MemoryStore`] keeps the same promises except
//! durability, for tests and small tools. Both feed their watchers through one fan-out, and both
//! pass the one suite in `conformance` (a feature of this crate), which every later store must pass
//! unchanged.
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
mod settings;
mod sqlite;

pub use error::OpenError;
pub use memory::MemoryStore;
pub use settings::Settings;
pub use sqlite::SqliteStore;
