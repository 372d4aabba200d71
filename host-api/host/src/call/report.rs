//! What came of a call, for callers, logs and metrics.

use std::sync::Arc;
use std::time::Duration;

use domain::Timestamp;
use domain::plugin::PluginName;

/// The kinds of outcome that are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Outcome {
    /// It answered with a value.
    Ok,
    /// It could not work because the operator has not granted what it asked for.
    Denied,
    /// It trapped: a panic, a stack overflow, an answer that is none.
    Trap,
    /// It used up its time, on the clock or of the processor.
    Timeout,
    /// It wanted more memory, handles or bytes of the host than it may have.
    Memory,
    /// It answered that it has no value, or with one that is too large.
    Guest,
    /// The host could not serve it.
    Host,
    /// It was not called, because it failed too often.
    Quarantined,
}

impl Outcome {
    /// Every kind.
    pub const ALL: [Self; 8] = [
        Self::Ok,
        Self::Denied,
        Self::Trap,
        Self::Timeout,
        Self::Memory,
        Self::Guest,
        Self::Host,
        Self::Quarantined,
    ];

    /// Whether a plugin that goes on so is better left alone.
    pub(crate) fn is_strike(self) -> bool {
        matches!(self, Self::Trap | Self::Timeout | Self::Memory)
    }

    /// Its name in logs and metrics.
    pub fn key(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Denied => "denied",
            Self::Trap => "trap",
            Self::Timeout => "timeout",
            Self::Memory => "memory",
            Self::Guest => "guest",
            Self::Host => "host",
            Self::Quarantined => "quarantined",
        }
    }
}

/// Why a call has no value.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The operator has not granted what it asked for; the text has the line to add.
    #[error("{0}")]
    Denied(String),
    /// It trapped.
    #[error(
        "plugin {plugin} {version} crashed: {reason}; this is a defect of the plugin: tell its authors, with what it wrote before (tctl plugins logs {plugin})"
    )]
    Trap {
        /// The plugin.
        plugin: PluginName,
        /// Its version.
        version: String,
        /// What wasmtime says, and what the plugin last wrote to standard error.
        reason: String,
    },
    /// It used up its time on the clock.
    #[error(
        "plugin {plugin} did not answer within {limit} and was stopped; to give it more, set teleport.plugins.load.{plugin}.limits.wall"
    )]
    Wall {
        /// The plugin.
        plugin: PluginName,
        /// The limit, as it is written.
        limit: String,
    },
    /// It used up its processor time.
    #[error(
        "plugin {plugin} used up {limit} of processor time and was stopped; to give it more, set teleport.plugins.load.{plugin}.limits.cpu"
    )]
    Cpu {
        /// The plugin.
        plugin: PluginName,
        /// The limit, as it is written.
        limit: String,
    },
    /// It wanted more memory, table elements, handles or bytes of the host than it may have.
    #[error(
        "plugin {plugin} wanted more {what} than {limit} and failed; to give it more, set teleport.plugins.load.{plugin}.limits.{key}{said}"
    )]
    Memory {
        /// The plugin.
        plugin: PluginName,
        /// What it wanted.
        what: &'static str,
        /// The limit's key.
        key: &'static str,
        /// The limit, as it is written.
        limit: String,
        /// What it wrote last, as the rest of a sentence: it may have died of something else.
        said: String,
    },
    /// Its value is too large.
    #[error(
        "plugin {plugin} answered with {size} bytes, a label takes {limit}; to let it, set teleport.plugins.load.{plugin}.limits.output"
    )]
    Output {
        /// The plugin.
        plugin: PluginName,
        /// The size of its answer.
        size: usize,
        /// The limit, in bytes.
        limit: u64,
    },
    /// It answered that it has no value; the words are its own.
    #[error("{0}")]
    Guest(String),
    /// As many calls as may run were running all the time.
    #[error(
        "plugin {plugin} did not get its turn within {waited:?}: {concurrency} calls were running all the time; which take long is told by the metric plugin_call_seconds"
    )]
    Busy {
        /// The plugin.
        plugin: PluginName,
        /// How long it waited.
        waited: Duration,
        /// Calls that run at one time.
        concurrency: u32,
    },
    /// As many of its calls as may wait were waiting.
    #[error(
        "{most} calls of plugin {plugin} wait for their turn already; if more may, set teleport.plugins.load.{plugin}.limits.queue"
    )]
    Queue {
        /// The plugin.
        plugin: PluginName,
        /// Calls that may wait.
        most: u64,
    },
    /// It failed too often, and is left alone for a while.
    #[error(
        "plugin {plugin} is quarantined until {until:.0} after {failures} failures, the last: {last}; to have it called at once, run: tctl plugins enable {plugin}"
    )]
    Quarantined {
        /// The plugin.
        plugin: PluginName,
        /// When it is tried again.
        until: Timestamp,
        /// How often it failed.
        failures: u32,
        /// The last failure.
        last: Arc<str>,
    },
    /// It crashes at call after call, and rests for longer than this one may take.
    #[error(
        "plugin {plugin} has crashed {crashes} times in a row and is begun anew only now and then; the last time: {last}"
    )]
    Crashes {
        /// The plugin.
        plugin: PluginName,
        /// How often.
        crashes: u32,
        /// The last crash.
        last: Arc<str>,
    },
    /// It is a plugin of another kind than is wanted.
    #[error("plugin {plugin} is no {wanted}; name one that is")]
    OtherKind {
        /// The plugin.
        plugin: PluginName,
        /// The kind that is wanted.
        wanted: &'static str,
    },
    /// The host itself failed.
    #[error("the host could not run plugin {plugin}")]
    Host {
        /// The plugin.
        plugin: PluginName,
        /// The reason.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl CallError {
    /// Its kind.
    pub fn outcome(&self) -> Outcome {
        match self {
            Self::Denied(_) => Outcome::Denied,
            Self::Trap { .. } | Self::Crashes { .. } => Outcome::Trap,
            Self::Wall { .. } | Self::Cpu { .. } => Outcome::Timeout,
            Self::Memory { .. } => Outcome::Memory,
            Self::Output { .. } | Self::Guest(_) => Outcome::Guest,
            Self::Busy { .. } | Self::Queue { .. } | Self::OtherKind { .. } | Self::Host { .. } => {
                Outcome::Host
            }
            Self::Quarantined { .. } => Outcome::Quarantined,
        }
    }
}

/// One call, when it is over.
#[derive(Debug)]
pub struct CallReport {
    /// The plugin that was called.
    pub plugin: PluginName,
    /// Its own version.
    pub version: String,
    /// The label it was called for.
    pub label: String,
    /// Its value, or why there is none.
    pub result: Result<String, CallError>,
    /// Time on the clock, from a fresh store to its end.
    pub wall: Duration,
    /// Processor time, the host's part included.
    pub cpu: Duration,
    /// What the plugin executed, in the engine's fuel: nearly one for each WebAssembly instruction, the same on
    /// every machine. Where it is counted ([`Settings::counting`](crate::Settings)).
    pub fuel: Option<u64>,
    /// Linear memory at its highest, in bytes.
    pub memory: u64,
    /// Lines it logged.
    pub log_lines: u64,
    /// Lines that were dropped because they were too many.
    pub log_dropped: u64,
}

impl CallReport {
    /// Its kind.
    pub fn outcome(&self) -> Outcome {
        self.result.as_ref().map_or_else(CallError::outcome, |_| Outcome::Ok)
    }
}
