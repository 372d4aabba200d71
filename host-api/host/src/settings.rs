//! What the host is told once, by `process`, out of the checked configuration. Nothing here is read
//! from files or the environment.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use domain::plugin::configuration::Written;
use domain::plugin::manifest::Wishes;
use domain::plugin::{Digest, Grant, PluginName, Publisher, SecretLabel};
use port::clock::{Clock, SystemClock};

use crate::call::{CallReport, Outcome};
use crate::capability::http::{PlaceSettings, ProxySettings, Resolver};
use crate::capability::secrets::SecretSettings;
use crate::change::ChangeObserver;
use crate::compile::Compiler;
use crate::quarantine;
use crate::rehearsal::Rehearsal;
use crate::watch::Watching;

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
    /// Instances of one plugin that follow the changes at one time, each for as long as it is asked to.
    pub tails: u32,
    /// The plugin that keeps the cluster's records, where one does: it takes room for instances that are kept, and is
    /// never switched off.
    pub storage: Option<PluginName>,
    /// The environment of programs that plugins run. `PATH`, `LANG` and `HOME` are passed on, the
    /// rest is not.
    pub environment: BTreeMap<String, String>,
    /// Proxies for requests that plugins send.
    pub proxies: ProxySettings,
    /// Looks up names that plugins send requests to; the machine's own way when there is none.
    pub resolver: Option<Resolver>,
    /// When the plugin directory is looked at again.
    pub watching: Watching,
    /// When a plugin is no longer called, and for how long.
    pub quarantine: quarantine::Rules,
    /// The time of day, where it is shown.
    pub clock: Arc<dyn Clock>,
    /// Told of every call that was made, on the plugins' own thread: counts, and returns at once.
    pub on_call: Option<Observer>,
    /// Told of every question to a storage backend, in the same way.
    pub on_storage: Option<StorageObserver>,
    /// Told of every plugin that is loaded, replaced, refused or quarantined.
    pub on_change: Option<ChangeObserver>,
    /// Whether plugins run as code that counts what it executes, which is a little slower and kept apart
    /// from the other. For their authors: the daemon does not.
    pub counting: bool,
    /// What stands in for the outside world, where a plugin is tried out. The daemon has nothing here.
    pub rehearsal: Option<Rehearsal>,
}

/// A question that was put to a storage backend.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// The plugin.
    pub plugin: &'a PluginName,
    /// The function of its contract.
    pub function: &'static str,
    /// How long the answer took, with the wait for a turn. The wait for changes is in it.
    pub wall: Duration,
    /// Whether there was one. What the plugin answered of itself is its own business.
    pub outcome: Outcome,
}

/// Told of every question to a storage backend.
pub type StorageObserver = Arc<dyn Fn(&Question<'_>) + Send + Sync>;

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
    /// Its own configuration by key, as written; checked against its manifest.
    pub config: BTreeMap<String, Written>,
    /// What the operator says of places it may send requests to: authorities, client certificates.
    pub http: Vec<PlaceSettings>,
    /// The secrets it may use.
    pub secrets: BTreeMap<SecretLabel, SecretSettings>,
}

impl Default for PluginSettings {
    fn default() -> Self {
        Self {
            enabled: true,
            digests: Vec::new(),
            publishers: Vec::new(),
            grants: Vec::new(),
            limits: Wishes::new(),
            config: BTreeMap::new(),
            http: Vec::new(),
            secrets: BTreeMap::new(),
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
            // The store follows with one, and reads the past to watchers that come late with eight more.
            tails: 10,
            environment: BTreeMap::new(),
            proxies: ProxySettings::default(),
            resolver: None,
            watching: Watching::default(),
            quarantine: quarantine::Rules::default(),
            clock: Arc::new(SystemClock),
            on_call: None,
            on_storage: None,
            storage: None,
            on_change: None,
            counting: false,
            rehearsal: None,
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
            .field("tails", &self.tails)
            .finish_non_exhaustive()
    }
}
