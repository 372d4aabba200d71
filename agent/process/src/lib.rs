//! From settings to running services: wiring, identity, health, draining.
//!
//! [`start`] makes everything in the order things depend on each other and returns a [`Running`]
//! process; the program (`agent/cli/teleport`) waits on it and on signals. Tests start several in one
//! process of their own. Even within one process services speak over the network with certificates of
//! their own, so there is one path and it is always the one tested.
//!
//! No service knows another; what one needs of another is handed to it here as a port. Nothing here
//! decides about access.

mod adapter;
mod address;
mod agent;
mod auth;
pub mod child;
mod data_dir;
mod diagnostics;
mod error;
mod host;
mod identity;
mod node;
mod plugin;
mod presence;
mod proxy;
mod run;
pub mod signal;
mod supervise;
mod watchdog;
mod way;
mod web_certificate;

pub use address::Addresses;
pub use error::ProcessError;
pub use host::Host;
pub use plugin::storage::plugin as storage_plugin;
pub use plugin::{PluginNumbers, are_wanted as plugins_are_wanted, plugin_settings};
pub use run::{Running, start};

/// Where `tctl` finds the identity it speaks to the auth server with, below the data folder.
pub const ADMIN_IDENTITY: &str = "identity/admin.json";
/// Where `tctl` finds the address of the auth server on this host, below the data folder.
pub const AUTH_ADDRESS: &str = "identity/auth.addr";
