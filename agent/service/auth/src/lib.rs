//! The certificate authority of the cluster: joining, certificates, records, heartbeats, audit.
//!
//! It alone holds the authorities' private keys and the store. It needs a clock, randomness, a store
//! and an audit log; it serves gRPC over mutual TLS. What it refuses: calls without a certificate
//! (but joining), decisions anywhere else than in `domain::access` and `domain::token`, and
//! certificates that are not on record in the audit log first.
//!
//! One file per topic: [`cluster`] (first start), `join`, `renew`, `host`, `reserve`, `sign`, `heartbeat`, `record`,
//! `watch`, `event`, `status`; `rpc` puts them on the wire, `server` on the network.

mod authority;
mod cache;
pub mod cluster;
mod error;
mod event;
mod heartbeat;
mod host;
mod issue;
mod join;
mod key;
mod metrics;
mod passed_on;
mod record;
mod renew;
mod reserve;
mod rpc;
mod server;
mod service;
mod settings;
mod sign;
mod status;
mod watch;

pub use error::AuthError;
pub use metrics::Metrics;
pub use service::{AuthService, Deps};
pub use settings::{ProxyAddresses, Settings};
