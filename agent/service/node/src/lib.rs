//! The SSH server of a host.
//!
//! It takes connections from the network and from tunnels, lets users in by certificate and role, and
//! runs their sessions as users of the operating system. It announces itself with its labels.
//!
//! Refuses to: accept plain keys or passwords, decide by itself who may what (`domain::access` does,
//! from the cluster's roles), run anything as a user it did not decide about, start a session whose
//! beginning cannot be recorded. Needs: a view of the cluster, the host's users and a launcher, an
//! audit sink, a label provider, a way to announce itself.
//!
//! [`sftp`] runs in another process, as the user; see there.

mod access;
mod connection;
mod heartbeat;
mod labels;
mod metrics;
mod service;
mod session;
mod settings;
pub mod sftp;

pub use heartbeat::Announced;
pub use labels::LabelState;
pub use metrics::Metrics;
pub use service::{Deps, NodeService, Streams};
pub use settings::Settings;
