//! Programs of the host's machine. The manifest must ask for `process`, the operator must grant the
//! very argument list; no shell is involved.

use std::fmt;
use std::time::Duration;

use crate::bindings::teleport::host::process as wire;

/// How a program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// By itself, with this exit code.
    Exited(u32),
    /// By this signal.
    Signalled(u32),
    /// Killed by the host, because it wrote more than it may.
    Flooded,
}

/// What a program left behind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// How it ended.
    pub ending: Ending,
    /// The beginning of its standard output.
    pub stdout: Vec<u8>,
    /// The beginning of its standard error.
    pub stderr: Vec<u8>,
    /// Whether it wrote more standard output than is in `stdout`.
    pub stdout_truncated: bool,
    /// Whether it wrote more standard error than is in `stderr`.
    pub stderr_truncated: bool,
}

/// Why there is no outcome.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Error {
    /// The operator has not granted this argument list; the text is the line to add.
    Denied(String),
    /// The argument list cannot be run at all.
    Invalid(String),
    /// There is no such program, or it may not be executed.
    NotFound(String),
    /// It was still running after this time, and was killed.
    TimedOut(Duration),
    /// The machine could not start it this time.
    Unavailable(String),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Denied(text) | Self::Invalid(text) | Self::NotFound(text) | Self::Unavailable(text) => {
                f.write_str(text)
            }
            Self::TimedOut(after) => {
                write!(f, "the program was still running after {after:?} and was killed")
            }
        }
    }
}

impl std::error::Error for Error {}

/// Runs a program and waits for its end, as long as the host lets it.
///
/// ```no_run
/// use teleport_plugin_sdk::process::{self, Ending};
///
/// fn release() -> Result<Option<String>, process::Error> {
///     let outcome = process::run(&["uname", "-r"].map(str::to_owned))?;
///     let succeeded = outcome.ending == Ending::Exited(0);
///     Ok(succeeded.then(|| String::from_utf8_lossy(&outcome.stdout).trim().to_owned()))
/// }
/// ```
///
/// # Errors
/// [`Error`] when it did not run to its end.
pub fn run(argv: &[String]) -> Result<Outcome, Error> {
    call(argv, None)
}

/// Runs a program and waits for its end, at most this long.
///
/// # Errors
/// [`Error`] when it did not run to its end in time.
pub fn run_within(argv: &[String], limit: Duration) -> Result<Outcome, Error> {
    call(argv, Some(u64::try_from(limit.as_millis()).unwrap_or(u64::MAX)))
}

fn call(argv: &[String], limit: Option<u64>) -> Result<Outcome, Error> {
    match wire::run(argv, limit) {
        Ok(outcome) => Ok(Outcome {
            ending: match outcome.ending {
                wire::Ending::Exited(code) => Ending::Exited(code),
                wire::Ending::Signalled(signal) => Ending::Signalled(signal),
                wire::Ending::Flooded => Ending::Flooded,
            },
            stdout: outcome.stdout,
            stderr: outcome.stderr,
            stdout_truncated: outcome.stdout_truncated,
            stderr_truncated: outcome.stderr_truncated,
        }),
        Err(failure) => Err(match failure {
            wire::Failure::Denied(text) => Error::Denied(text),
            wire::Failure::Invalid(text) => Error::Invalid(text),
            wire::Failure::NotFound(text) => Error::NotFound(text),
            wire::Failure::TimedOut(millis) => Error::TimedOut(Duration::from_millis(millis)),
            wire::Failure::Unavailable(text) => Error::Unavailable(text),
        }),
    }
}
