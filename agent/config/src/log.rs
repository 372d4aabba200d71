//! `teleport.log`: where the log goes, how much of it, in which form.

use std::collections::BTreeSet;
use std::path::PathBuf;

use crate::field::Field;
use crate::section::Section;
use crate::shown::not_one_of;

/// How the daemon logs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogSettings {
    /// Where to.
    pub output: LogOutput,
    /// The least severity that is written.
    pub severity: Severity,
    /// In which form.
    pub format: LogFormat,
    /// Which fields go with each message.
    pub fields: BTreeSet<LogField>,
}

/// Where the log goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogOutput {
    /// Standard error.
    Stderr,
    /// Standard output.
    Stdout,
    /// The system's log.
    Syslog,
    /// A file, by its absolute path.
    File(PathBuf),
}

/// How grave a message is, the least first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Every step.
    Trace,
    /// What a developer wants to see.
    Debug,
    /// What an operator would act on or date.
    Info,
    /// Something is off.
    Warn,
    /// Something failed.
    Error,
}

/// The form of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}

/// A field beside the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogField {
    /// How grave.
    Level,
    /// When.
    Timestamp,
    /// Which part of the daemon.
    Component,
    /// Which line of the source.
    Caller,
}

const SEVERITIES: &[(&str, Severity)] = &[
    ("trace", Severity::Trace),
    ("debug", Severity::Debug),
    ("info", Severity::Info),
    ("warn", Severity::Warn),
    ("warning", Severity::Warn),
    ("error", Severity::Error),
    ("err", Severity::Error),
];

const FORMATS: &[(&str, LogFormat)] = &[("text", LogFormat::Text), ("json", LogFormat::Json)];

const FIELDS: &[(&str, LogField)] = &[
    ("level", LogField::Level),
    ("timestamp", LogField::Timestamp),
    ("component", LogField::Component),
    ("caller", LogField::Caller),
];

impl Default for LogSettings {
    /// Text to standard error, from `info` up, with every field.
    fn default() -> Self {
        Self {
            output: LogOutput::Stderr,
            severity: Severity::Info,
            format: LogFormat::Text,
            fields: FIELDS.iter().map(|(_, field)| *field).collect(),
        }
    }
}

/// Reads `teleport.log`.
pub(crate) fn read(log: &mut Section<'_>) -> LogSettings {
    let default = LogSettings::default();
    let output = log.field("output").and_then(|field| output(&field)).unwrap_or(default.output);
    let severity = log.field("severity").and_then(|field| field.choice(SEVERITIES));
    let (format, fields) = log.within("format", |format| {
        let output = format.field("output").and_then(|field| field.choice(FORMATS));
        let fields = format.field("extra_fields").and_then(|field| field.list());
        let chosen = |items: Vec<Field<'_>>| items.iter().filter_map(|item| item.choice(FIELDS)).collect();
        (output.unwrap_or(default.format), fields.map(chosen).unwrap_or(default.fields))
    });
    LogSettings { output, severity: severity.unwrap_or(default.severity), format, fields }
}

/// A stream's name or an absolute path. A relative path is refused, so that a misspelt `stdout` does
/// not become a file of that name.
fn output(field: &Field<'_>) -> Option<LogOutput> {
    let text = field.text()?;
    match text.to_ascii_lowercase().as_str() {
        "stderr" => Some(LogOutput::Stderr),
        "stdout" => Some(LogOutput::Stdout),
        "syslog" => Some(LogOutput::Syslog),
        _ if text.starts_with('/') => Some(LogOutput::File(PathBuf::from(text))),
        _ => {
            let names = ["stderr", "stdout", "syslog", "/absolute/path"];
            field.problem(not_one_of(text, &names));
            None
        }
    }
}
