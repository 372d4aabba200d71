//! Reverse tunnels: hosts behind firewalls are reached over links they dial themselves.
//!
//! ```text
//!  agent (host)                                   proxy
//!  Agent ── TCP ─ TLS (ALPN) ─ SSH, host certs ──▶ LinkServer ─▶ Registry
//!    │  ◀────── one channel per dial ───────────────────────────── Dialler ◀── a user's connection
//!    ▼
//!  whoever serves streams on this host: the node
//! ```
//!
//! [`agent`] is the host's end: it keeps one link per proxy and hands every channel the proxy
//! opens to a `port::stream::Serve`. [`server`] is the proxy's end: it admits hosts by certificate and
//! registers their links; [`Dialler`] opens channels on them for permits, and connects directly to
//! nodes that announce an address.
//!
//! Refuses to: open anything the agent asks for (an agent may only be dialled), reach anything but
//! the node a permit names, accept any channel but the one kind it knows.

pub mod agent;
mod dial;
mod error;
mod metrics;
mod registry;
pub mod server;
mod settings;

pub use dial::{Dialler, Loopback};
pub use error::TunnelError;
pub use metrics::Metrics;
pub use registry::Registry;
pub use settings::{AgentSettings, LinkSettings};

/// How long the other end of a link may take nothing of what is written to it. Far longer than a busy machine takes, and
/// far shorter than TCP would go on where the network swallows everything.
pub(crate) const STALL: std::time::Duration = std::time::Duration::from_secs(120);

/// The target name of a channel towards the SSH service of the agent's host. Not a host name, so it
/// cannot be taken for an address.
pub(crate) const NODE_TARGET: &str = "@node";
