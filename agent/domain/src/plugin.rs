//! What a plugin asks for, what the operator grants, and what follows from both.
//!
//! Pure rules, used by the plugin host, which does the running: [`manifest`] (what a plugin says of
//! itself), [`contract`] (which kind of plugin, and which version the host serves), [`capability`]
//! (what may be asked for), [`grant`] (two keys: asked and granted), [`limit`] (one table of limits per
//! contract), [`digest`] (which bytes are meant), [`publisher`] (who may sign them). Nothing here
//! trusts a plugin: every text in a manifest is bounded and free of control characters before anyone
//! prints it.

pub mod capability;
pub mod configuration;
pub mod contract;
pub mod destination;
pub mod digest;
pub mod grant;
pub mod limit;
pub mod manifest;
pub mod name;
pub mod publisher;
pub mod size;

pub use capability::{Argv, Capability};
pub use contract::{Contract, ContractKind};
pub use destination::{Destination, Target};
pub use digest::Digest;
pub use grant::{Effective, Grant, effective};
pub use limit::Limits;
pub use manifest::{Manifest, Need};
pub use name::{PluginName, SecretLabel};
pub use publisher::{Publisher, PublisherName};
