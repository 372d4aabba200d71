//! What an operator sees of a running daemon: its log, its metrics, its health.
//!
//! [`log`] turns `tracing` events into lines, [`metrics`] holds the numbers, [`health`] the state of
//! each component, [`diagnostics`] all of it at once. [`redact`] keeps secrets out of the first.
//!
//! Refuses to: open network ports (`process` serves what [`health`] and [`metrics`] render), stall
//! whoever logs, read configuration or the environment.

pub mod diagnostics;
pub mod health;
pub mod log;
pub mod metrics;
pub mod redact;

/// Which program this is: shown in the log, in diagnostics and as `teleport_build_info`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Build {
    /// The version, such as `0.1.0`.
    pub version: &'static str,
    /// The commit it was built from; empty when that is not known.
    pub revision: &'static str,
}
