//! The wire between agents, auth and tools: messages and services generated from
//! `proto/auth.proto`, and how errors travel.
//!
//! Refuses to: know transports (see `net` and `client`) or rules (see `domain`).

/// Messages and services, generated.
#[allow(missing_docs, reason = "generated; the documentation is in the .proto")]
#[allow(clippy::all, clippy::restriction, clippy::too_many_lines, reason = "generated")]
#[allow(unreachable_pub, unused_qualifications, reason = "generated")]
pub mod auth {
    tonic::include_proto!("teleport.auth.v1");
}

pub mod control;
mod convert;
mod error;

pub use convert::{authorities_from_wire, authorities_to_wire};
pub use error::{refusal, status_text};

/// The most records of one page.
pub const PAGE_MAX: usize = 1000;
/// The largest message in either direction, in bytes.
pub const MESSAGE_MAX: usize = 4 * 1024 * 1024;
/// The most audit events of one call.
pub const EVENTS_MAX: usize = 1000;
