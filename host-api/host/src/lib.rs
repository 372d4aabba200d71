//! Loads and runs sandboxed WebAssembly components.
//!
//! [`PluginHost`] implements [`port::label::LabelProvider`], so a service that wants a label never
//! sees wasmtime.
//! What a plugin may do is decided in [`domain::plugin`]; this crate finds, verifies, compiles,
//! bounds and calls it. It refuses what is not pinned, imports more than the contracts offer, asks
//! for what is not granted, or lies about itself; a plugin that loops, allocates, traps or floods
//! loses its call and nothing else.
//!
//! A plugin's way in: `load` (find → verify → inspect → check → compile → map → link);
//! its way through a call: [`call`] (fresh store → limits → contract → verdict).
//! [`compile::child_main`] is what the program's `main` runs when it was started as the compiler.

mod cache;
pub mod call;
mod capability;
mod carried;
mod change;
pub mod compile;
mod contract;
mod diary;
mod engine;
mod error;
mod group;
mod host;
mod limit;
mod line;
mod load;
mod place;
pub mod publish;
mod quarantine;
mod registry;
pub mod rehearsal;
mod runtime;
mod section;
mod seen;
mod settings;
mod signature;
mod storage;
mod switch;
mod warm;
mod watch;

pub use call::{CallError, CallReport, Outcome};
pub use capability::http::{
    AwsKeys, AwsKeysError, CertificatePair, HttpError, Lookup, PlaceSettings, ProxyAddress, ProxyError,
    ProxySettings, Resolver, ServerAuthority, SignSettings, TlsError,
};
pub use capability::kv::{delete_kept, kept_file};
pub use capability::process::PASSED_ON;
pub use capability::secrets::{SecretFrom, SecretSettings};
pub use carried::is_carried;
pub use change::{Change, ChangeKind, ChangeObserver, Facts};
pub use compile::{CompileError, Compiler};
pub use diary::LoggedLine;
pub use engine::EngineError;
pub use error::LoadError;
pub use host::{KnownListing, PluginAccount, PluginHost, PluginListing, PluginState, Refusal};
pub use place::PlaceError;
pub use quarantine::Rules as QuarantineRules;
pub use settings::{Observer, PluginSettings, Question, Settings, StorageObserver};
pub use signature::{SignatureError, Signed};
pub use storage::{StoragePlugin, Taken};
pub use switch::SwitchError;
pub use watch::Watching;
