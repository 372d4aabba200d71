//! What a process gets from outside: the machine, or in tests a part of it.

use std::path::PathBuf;
use std::sync::Arc;

use port::clock::{Clock, SystemClock};
use port::random::{Random, SystemRandom};
use telemetry::Build;

/// The outside of a process.
#[derive(Clone)]
pub struct Host {
    /// The time of day.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub random: Arc<dyn Random>,
    /// Which program this is.
    pub build: Build,
    /// The program that becomes sessions and compiles plugins: this one, unless a test says otherwise.
    pub program: PathBuf,
    /// The log, once it runs; reopened on request.
    pub log: Option<telemetry::log::LogHandle>,
}

impl Host {
    /// The machine itself.
    pub fn machine(build: Build) -> Self {
        Self {
            clock: Arc::new(SystemClock),
            random: Arc::new(SystemRandom),
            build,
            program: "/proc/self/exe".into(),
            log: None,
        }
    }
}
