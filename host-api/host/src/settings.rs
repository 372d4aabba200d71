//! What the host is told once, by `process`, out of the checked configuration. Nothing here is read
//! from files or the environment.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use domain::plugin::manifest::Wishes;
use domain::plugin::{Digest, Grant, PluginName, Publisher};

use crate::call::CallReport;
use crate::compile::Compiler;

/// How the plugin host works.
#[derive(Clone)]
pub struct Settings {
    /// The daemon's `data_dir`. Compiled code is kept in `plugins/cache` below it, nothing else.
    pub data_dir: PathBuf,
    /// `teleport.plugins.directory`: one folder per third-party plugin.
    pub directory: Option<PathBuf>,
    /// `teleport.plugins.load`: what the operator says of each plugin.
    pub plugins: BTreeMap<PluginName, PluginSettings>,
    /// `teleport.plugins.publishers`: everybody the operator knows, so that an error can name the signer
    /// of a plugin that lists others. Whose signature counts is said per plugin.
    pub publishers: Vec<Publisher>,
    /// What compiles: a child process of the running program, unless a test says otherwise.
    pub compiler: Compiler,
    /// How long one compilation may take.
    pub compile_time: Duration,
    /// Calls served at one time; more wait.
    pub concurrency: u32,
    /// The environment of programs that plugins run. `PATH`, `LANG` and `HOME` are passed on, the
    /// rest is not.
    pub environment: BTreeMap<String, String>,
    /// Told of every call that was made, on the plugins' own thread: counts, and returns at once.
    pub on_call: Option<Observer>,
}

/// Told of every call.
pub type Observer = Arc<dyn Fn(&CallReport) + Send + Sync>;

/// What the operator says of one plugin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PluginSettings {
    /// Whether it may run at all.
    pub enabled: bool,
    /// The SHA-256 of each file that may be loaded. A plugin from the directory loads only when its
    /// own is among them.
    pub digests: Vec<Digest>,
    /// Whose signature it must have. Where digests are written too, both must hold; a plugin from the
    /// directory with neither is not loaded.
    pub publishers: Vec<Publisher>,
    /// What it may do.
    pub grants: Vec<Grant>,
    /// Its limits by key, as written.
    pub limits: Wishes,
}

impl Default for PluginSettings {
    fn default() -> Self {
        Self {
            enabled: true,
            digests: Vec::new(),
            publishers: Vec::new(),
            grants: Vec::new(),
            limits: Wishes::new(),
        }
    }
}

impl Settings {
    /// Settings with nothing granted and no directory, for a daemon that keeps its state in `data_dir`.
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        Self {
            data_dir: data_dir.into(),
            directory: None,
            plugins: BTreeMap::new(),
            publishers: Vec::new(),
            compiler: Compiler::this_program(),
            compile_time: Duration::from_secs(300),
            concurrency: 4,
            environment: BTreeMap::new(),
            on_call: None,
        }
    }
}

impl std::fmt::Debug for Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Settings")
            .field("data_dir", &self.data_dir)
            .field("directory", &self.directory)
            .field("plugins", &self.plugins)
            .field("publishers", &self.publishers)
            .field("compiler", &self.compiler)
            .field("concurrency", &self.concurrency)
            .finish_non_exhaustive()
    }
}
