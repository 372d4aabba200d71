//! What happened, kept: the audit log of the auth server and the spool of every agent.
//!
//! On the auth host, [`LogService`] is the log itself: one JSON line per event, a file per day, on
//! disk before an append is answered. On every other host, [`SpoolService`] keeps events across the
//! death of the process and forwards them in order until the auth server has them. An event may
//! travel twice; its `uid` makes the log write it once.
//!
//! Needs the ports clock and random, a [`Forward`] that reaches the auth server, and telemetry.
//! `process` runs the services and hands their sinks to whoever records.
//!
//! Refuses to: drop an event silently (what cannot be kept is an error to whoever recorded it),
//! refuse an event for what it says (one that is too large is cut), delete or rotate away old days.

mod error;
mod line;
mod log;
mod metrics;
mod service;
mod settings;
mod spool;

pub use error::AuditServiceError;
pub use service::{LogPorts, LogService, SpoolPorts, SpoolService};
pub use settings::{LogSettings, SpoolSettings};
pub use spool::{Forward, ForwardError};
