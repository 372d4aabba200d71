//! teleport.yaml, flags and environment, checked before anything is opened.
//!
//! [`load`] turns all three into one [`Settings`] value or one [`ConfigError`] that lists every problem
//! with file, line, column and key. It refuses unknown keys, wrong types, duplicate keys and values out
//! of range, and never goes on with a guess. It opens nothing but the configuration file itself, and
//! that through a function it is handed; secrets kept in files are read in a second step, by
//! [`Settings::resolve_secrets`]. Parsing has no effects: the same inputs give the same settings.
//!
//! Called by `teleport start` ([`load`]), `teleport configure` ([`sample`], [`check`]) and `tctl` on
//! the auth server's host. Precedence is flag, file, default; `TELEPORT_CONFIG` stands in for the
//! default file, not for one named by `--config`.
//!
//! Absent on purpose: watching the file for changes, resolving names, checking that paths exist.

mod address;
mod algorithm;
mod auth;
mod environment;
mod error;
mod field;
mod flags;
mod general;
mod join;
mod limit;
mod log;
mod node;
mod plugin;
mod proxy;
mod report;
mod role;
mod sample;
mod secret_source;
mod section;
mod settings;
mod shown;
mod source;
mod storage;
mod suggest;
mod tree;
mod unserved;

pub use address::{AddressError, HostPort};
pub use algorithm::{Algorithms, CIPHERS, KEX, MACS};
pub use auth::{
    AuthSettings, Authentication, Connector, ListenerMode, Routing, SecondFactor, SessionRecording,
    StaticTokenSource, TunnelStrategy, U2f,
};
pub use environment::{Environment, HttpProxy, ProxyAddress, ProxyAddressError};
pub use error::ConfigError;
pub use flags::Flags;
pub use general::DATA_DIR;
pub use join::{Advertise, Join, ServerKind};
pub use limit::{Cache, Limits, MAX_CONNECTIONS, Reconnect};
pub use log::{LogField, LogFormat, LogOutput, LogSettings, Severity};
pub use node::NodeSettings;
pub use plugin::{HttpPlace, KeyFiles, PluginSecret, PluginSettings, Plugins, SecretOrigin};
pub use proxy::{Acme, Keypair, ProxySettings};
pub use report::{Position, Problem, Problems};
pub use sample::{SampleOptions, sample};
pub use secret_source::{CaPin, CaPinError, CaPinSource, ReadFile, SecretSource};
pub use settings::{Secrets, Settings, Version};
pub use source::{DEFAULT_FILE, FILE_MAX, check, load, read_file};
pub use storage::{AuditSettings, Capacity, DynamoDb, Etcd, Storage};
