//! The SSH proxy: the one door users come through.
//!
//! A user proves who they are with a certificate, names a node (`ssh -J proxy:3023 login@node`, or the
//! subsystem `proxy:host:port[@cluster]`), and gets a connection to it if a role opens that node. What
//! flows then is SSH between the user and the node, end to end: the proxy cannot read it, and the
//! node decides again who may do what.
//!
//! Refuses to: run anything, forward anything but connections to registered nodes, dial an address
//! because someone asked for it. Needs: a view of the cluster, a way to dial nodes, an audit sink.

mod error;
mod metrics;
mod route;
mod service;
mod session;
mod settings;

pub use error::ProxyError;
pub use metrics::Metrics;
pub use service::{Deps, ProxyService};
pub use settings::Settings;
