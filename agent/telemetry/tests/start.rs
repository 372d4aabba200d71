//! The log of a whole process. It can be started once per process, so this file has one test.

use std::sync::Arc;
use std::time::Duration;

use port::clock::SystemClock;
use teleport_telemetry::log::{self, LogError, Output, Settings, Severity};

#[test]
fn the_log_of_the_process_hears_our_events_libraries_and_panics() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("teleport.log");
    let settings = Settings { output: Output::File(path.clone()), ..Settings::default() };
    let handle = log::start(&settings, Arc::new(SystemClock)).unwrap();
    assert!(matches!(log::start(&settings, Arc::new(SystemClock)), Err(LogError::AlreadyStarted)));

    tracing::info!(target: "teleport_process", "ours");
    ::log::warn!(target: "russh::server", "of a library");
    ::log::info!(target: "russh::server", "not worth it");
    handle.set_severity(Severity::Trace).unwrap();
    ::log::debug!(target: "russh::server", "now worth it");
    std::thread::spawn(|| panic!("the reason\nof it")).join().unwrap_err();

    assert!(handle.flush(Duration::from_secs(30)));
    let text = std::fs::read_to_string(&path).unwrap();
    let lines: Vec<_> = text.lines().filter_map(|line| line.split_once(' ')).map(|(_, rest)| rest).collect();
    assert_eq!(lines.len(), 4, "{text}");
    assert_eq!(lines[0], "INFO [PROCESS] ours");
    assert_eq!(lines[1], "WARN [RUSSH] of a library");
    assert_eq!(lines[2], "DEBUG [RUSSH] now worth it");
    assert!(
        lines[3].starts_with("ERROR [PANIC] the reason\\nof it location=agent/telemetry/tests/start.rs:")
    );
}
