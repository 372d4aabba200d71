//! What an operator may choose about the log, as values that have already been checked.
//!
//! `config` reads them from `teleport.log`; the words are those of Teleport's file.

use std::path::PathBuf;
use std::str::FromStr;

/// Where the syslog daemon of the machine listens.
const SYSLOG_SOCKET: &str = "/dev/log";

/// How to log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Where to.
    pub output: Output,
    /// From which severity upwards.
    pub severity: Severity,
    /// As what.
    pub encoding: Encoding,
    /// What a record carries beside its message and fields. Their order does not matter.
    pub extra_fields: Vec<ExtraField>,
}

impl Default for Settings {
    /// Text on standard error from INFO upwards, without the line of code that spoke.
    fn default() -> Self {
        Self {
            output: Output::Stderr,
            severity: Severity::Info,
            encoding: Encoding::Text,
            extra_fields: vec![ExtraField::Timestamp, ExtraField::Level, ExtraField::Component],
        }
    }
}

/// Where a log goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Standard error.
    Stderr,
    /// Standard output.
    Stdout,
    /// The syslog daemon at this socket.
    Syslog(PathBuf),
    /// The end of this file. Made with mode 0640 when it is not there.
    File(PathBuf),
}

impl Output {
    /// Reads `stderr`, `stdout`, `syslog` (at `/dev/log`) or else the path of a file.
    pub fn parse(text: &str) -> Self {
        match text.trim() {
            "" | "stderr" | "err" | "2" => Self::Stderr,
            "stdout" | "out" | "1" => Self::Stdout,
            "syslog" => Self::Syslog(SYSLOG_SOCKET.into()),
            path => Self::File(path.into()),
        }
    }
}

/// How much a record matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Something does not work.
    Error,
    /// Something may soon not work, or was refused.
    Warn,
    /// Something an operator would act on or date.
    Info,
    /// What the daemon does, step by step.
    Debug,
    /// Every message and frame; libraries speak from DEBUG upwards.
    Trace,
}

/// The text is no severity.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("log severity {0:?} is not known; write ERROR, WARN, INFO, DEBUG or TRACE")]
pub struct UnknownSeverity(String);

impl FromStr for Severity {
    type Err = UnknownSeverity;

    fn from_str(text: &str) -> Result<Self, UnknownSeverity> {
        match text.trim().to_ascii_lowercase().as_str() {
            "error" | "err" => Ok(Self::Error),
            "warn" | "warning" => Ok(Self::Warn),
            "info" => Ok(Self::Info),
            "debug" => Ok(Self::Debug),
            "trace" => Ok(Self::Trace),
            _ => Err(UnknownSeverity(text.to_owned())),
        }
    }
}

/// How a record is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// `time LEVEL [COMPONENT] message key=value file:line`.
    Text,
    /// One JSON object.
    Json,
}

/// What a record may carry beside its message and fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ExtraField {
    /// Its severity.
    Level,
    /// When it was made.
    Timestamp,
    /// The room that speaks.
    Component,
    /// The line of code that speaks.
    Caller,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outputs_are_names_or_paths() {
        assert_eq!(Output::parse("stderr"), Output::Stderr);
        assert_eq!(Output::parse("stdout"), Output::Stdout);
        assert_eq!(Output::parse("syslog"), Output::Syslog("/dev/log".into()));
        assert_eq!(Output::parse("/var/log/teleport.log"), Output::File("/var/log/teleport.log".into()));
    }

    #[test]
    fn severities_are_read_in_any_case_and_refused_with_the_list() {
        assert_eq!("INFO".parse(), Ok(Severity::Info));
        assert_eq!("warning".parse(), Ok(Severity::Warn));
        let error = "loud".parse::<Severity>().unwrap_err().to_string();
        assert!(error.contains("\"loud\"") && error.contains("TRACE"), "{error}");
    }
}
