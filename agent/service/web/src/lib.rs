//! The web port: one HTTPS port for everything.
//!
//! What a connection is for is decided by the ALPN of its TLS greeting: `teleport-auth` is passed to
//! the auth server unopened, `teleport-reversetunnel` is an agent's link, everything else is HTTPS:
//! `/webapi/ping` for load balancers, `/webapi/find` for agents and tools.
//!
//! Refuses to: see inside what it passes on, dial anything but the configured auth servers. Needs: a
//! taker for links, the proxy's identity, and web certificates.

mod error;
mod http;
mod metrics;
mod passthrough;
mod service;
mod settings;
mod webapi;

pub use error::WebError;
pub use metrics::Metrics;
pub use service::{Deps, WebService};
pub use settings::{Addresses, Settings};
