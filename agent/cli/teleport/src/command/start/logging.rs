//! From the configuration of the log to the log.

use config::{LogField, LogFormat, LogOutput, LogSettings, Severity};
use telemetry::log::{self, Encoding, ExtraField, Output};

pub(super) fn settings(log: &LogSettings) -> log::Settings {
    log::Settings {
        output: match &log.output {
            LogOutput::Stderr => Output::Stderr,
            LogOutput::Stdout => Output::Stdout,
            LogOutput::Syslog => Output::parse("syslog"),
            LogOutput::File(path) => Output::File(path.clone()),
        },
        severity: match log.severity {
            Severity::Trace => log::Severity::Trace,
            Severity::Debug => log::Severity::Debug,
            Severity::Info => log::Severity::Info,
            Severity::Warn => log::Severity::Warn,
            Severity::Error => log::Severity::Error,
        },
        encoding: match log.format {
            LogFormat::Text => Encoding::Text,
            LogFormat::Json => Encoding::Json,
        },
        extra_fields: log.fields.iter().map(|field| extra_field(*field)).collect(),
    }
}

fn extra_field(field: LogField) -> ExtraField {
    match field {
        LogField::Level => ExtraField::Level,
        LogField::Timestamp => ExtraField::Timestamp,
        LogField::Component => ExtraField::Component,
        LogField::Caller => ExtraField::Caller,
    }
}
