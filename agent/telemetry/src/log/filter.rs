//! Who may speak how loudly.
//!
//! Our own crates speak from the chosen severity upwards. Libraries stay at WARN: at debug, h2,
//! hyper, rustls, russh and wasmtime write several lines for each frame they see, and what they
//! print of it is not ours to vouch for.

use tracing::Level;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;

use super::Severity;

/// What the targets of our own crates start with; the programs are `teleport`, `tctl` and `tsh`. `tests/tidy` holds
/// the names of all crates against it.
const OURS: [&str; 5] = ["teleport", "tctl", "tsh", "plugin_host", "plugin_oci"];

/// The filter for a severity.
pub(super) fn targets(severity: Severity) -> Targets {
    let ours = OURS.map(|target| (target, level(severity)));
    Targets::new().with_default(libraries(severity)).with_targets(ours)
}

/// From which level libraries speak.
pub(super) fn libraries(severity: Severity) -> LevelFilter {
    match severity {
        Severity::Error => LevelFilter::ERROR,
        Severity::Warn | Severity::Info | Severity::Debug => LevelFilter::WARN,
        Severity::Trace => LevelFilter::DEBUG,
    }
}

fn level(severity: Severity) -> Level {
    match severity {
        Severity::Error => Level::ERROR,
        Severity::Warn => Level::WARN,
        Severity::Info => Level::INFO,
        Severity::Debug => Level::DEBUG,
        Severity::Trace => Level::TRACE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debugging_our_rooms_does_not_open_the_libraries() {
        let targets = targets(Severity::Debug);
        assert!(targets.would_enable("teleport_service_node::shell", &Level::DEBUG));
        assert!(!targets.would_enable("teleport_service_node::shell", &Level::TRACE));
        assert!(targets.would_enable("plugin_host::capability::log", &Level::DEBUG), "what plugins log");
        for library in ["h2::client", "hyper_util::rt", "rustls::conn", "russh", "wasmtime::runtime"] {
            assert!(!targets.would_enable(library, &Level::INFO), "{library}");
            assert!(targets.would_enable(library, &Level::WARN), "{library}");
        }
    }

    #[test]
    fn at_error_nobody_warns() {
        let targets = targets(Severity::Error);
        assert!(!targets.would_enable("teleport_process", &Level::WARN));
        assert!(!targets.would_enable("h2", &Level::WARN));
        assert!(targets.would_enable("h2", &Level::ERROR));
    }
}
