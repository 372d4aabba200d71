//! Takes what libraries say through the `log` crate (russh, rustls) into our log.

use ::log::{Level, LevelFilter, Log, Metadata, Record};
use tracing::level_filters::LevelFilter as TracingFilter;

use super::{LogError, Severity, filter};

struct Bridge;

impl Log for Bridge {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= ::log::max_level()
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        // A target must be known when the program is built, so the library goes into the component.
        let library = record.target().split("::").next().unwrap_or_default();
        match record.level() {
            Level::Error => tracing::error!(component = library, "{}", record.args()),
            Level::Warn => tracing::warn!(component = library, "{}", record.args()),
            Level::Info => tracing::info!(component = library, "{}", record.args()),
            Level::Debug | Level::Trace => tracing::debug!(component = library, "{}", record.args()),
        }
    }

    fn flush(&self) {}
}

/// Becomes the logger of this process.
pub(super) fn install(severity: Severity) -> Result<(), LogError> {
    ::log::set_logger(&Bridge).map_err(|_| LogError::AlreadyStarted)?;
    set_severity(severity);
    Ok(())
}

/// From which severity upwards libraries are asked for records at all.
pub(super) fn set_severity(severity: Severity) {
    ::log::set_max_level(match filter::libraries(severity) {
        TracingFilter::ERROR => LevelFilter::Error,
        TracingFilter::DEBUG => LevelFilter::Debug,
        _ => LevelFilter::Warn,
    });
}
