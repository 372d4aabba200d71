//! The plugin host of this process: what it is told, and who hears what it tells.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use domain::audit::Context;
use domain::label::DynamicLabel;
use domain::plugin::publisher::PublicKey;
use domain::plugin::{PluginName, Publisher, PublisherName};
use plugin_host::{Change, Compiler, LoadError, PluginHost, PluginSettings, Settings};
use port::audit::Recorder;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::data_dir::DataDir;
use crate::error::ProcessError;
use crate::host::Host;
use crate::supervise::{Group, Tokens};
use crate::watchdog::Watchdog;

mod cloud;
mod control;
mod desk;
mod numbers;
pub(crate) mod storage;
mod told;
mod written;

pub(crate) use desk::Desk;
pub use numbers::PluginNumbers;
use told::{Chronicle, WAITING};

/// What the plugins of a process are started with.
pub(crate) struct Starting<'a> {
    pub(crate) host: &'a Host,
    pub(crate) data: &'a DataDir,
    pub(crate) settings: &'a config::Settings,
    pub(crate) watchdog: &'a Watchdog,
}

/// A plugin host that nobody listens to yet.
pub(crate) struct Plugins {
    pub(crate) host: Arc<PluginHost>,
    changes: mpsc::Receiver<Change>,
    /// Whether somebody writes down what it tells.
    is_audited: Arc<AtomicBool>,
}

/// Whether this process has plugins: a node for its labels; and an auth server, so that its administrators can list
/// them, also where no plugin keeps the records.
pub fn are_wanted(settings: &config::Settings) -> bool {
    settings.node.is_some() || settings.auth.is_some()
}

impl Starting<'_> {
    /// Starts a plugin host with what the operator says of each plugin. What is in the plugin directory is
    /// loaded from now on.
    pub(crate) fn start(&self) -> Result<Plugins, ProcessError> {
        let numbers = PluginNumbers::default();
        self.watchdog.register("plugin", |registry| numbers.register(registry));
        let (sender, changes) = mpsc::channel(WAITING);
        let mut settings = settings(self.host, self.data, &self.settings.plugins);
        settings.proxies = written::proxies(&self.settings.http_proxy);
        if self.settings.auth.is_some() {
            storage::provide(&self.settings.storage, &mut settings);
        }
        settings.clock = Arc::clone(&self.host.clock);
        let (counting, asked) = (numbers.clone(), numbers.clone());
        let is_audited = Arc::new(AtomicBool::new(false));
        let audited = Arc::clone(&is_audited);
        settings.on_call = Some(Arc::new(move |report| counting.call(report)));
        settings.on_storage = Some(Arc::new(move |question| asked.question(question)));
        settings.on_change = Some(Arc::new(move |change| {
            numbers.change(change);
            let sent = sender.try_send(change.clone());
            match &sent {
                // A secret that nobody can be told of is not revealed, so nothing is lost.
                Err(_) if matches!(change.kind, plugin_host::ChangeKind::Revealed(_)) => {}
                // A start that failed: there is no log yet, and why it failed is told at its end.
                Err(mpsc::error::TrySendError::Closed(_)) if !audited.load(Ordering::Relaxed) => {}
                Err(error) => {
                    tracing::error!(plugin = %change.plugin, %error, "an audit event of a plugin is lost");
                }
                Ok(()) => {}
            }
            sent.is_ok()
        }));
        Ok(Plugins { host: self.host(settings)?, changes, is_audited })
    }

    /// Where nothing but a list needs plugins, an auth server is not kept from starting by a plugin directory that is
    /// not there: the file that names it may be the nodes'.
    fn host(&self, settings: Settings) -> Result<Arc<PluginHost>, ProcessError> {
        let is_needed = self.settings.node.is_some() || settings.storage.is_some();
        match PluginHost::new(settings.clone()) {
            Err(LoadError::Directory(error)) if !is_needed => {
                tracing::warn!(%error, "the plugin directory is not used; here that matters to `tctl plugins` alone");
                Ok(PluginHost::new(Settings { directory: None, ..settings })?)
            }
            host => Ok(host?),
        }
    }
}

impl Plugins {
    /// Loads what labels need from now on, beside the rest of the start: that can take longer than everything else
    /// does, and waits for no proxy.
    pub(crate) fn load(&self, labels: &[DynamicLabel], stop: &CancellationToken, group: &mut Group) {
        let (names, host, stop) = (needed(labels), Arc::clone(&self.host), stop.clone());
        group.spawn("plugins of labels", async move {
            stop.run_until_cancelled(check(&host, names)).await;
            // A task of a service ends when it is told to.
            stop.cancelled().await;
        });
    }

    /// Writes what has changed since the start, and what changes, to the audit log from now on. What is told while the
    /// plugin host stops is written as well: it ends with the token of its own.
    pub(crate) fn tell(
        self,
        (recorder, context): (Arc<Recorder>, Context),
        stop: &Tokens,
        group: &mut Group,
    ) {
        self.is_audited.store(true, Ordering::Relaxed);
        let chronicle = Chronicle { changes: self.changes, recorder, context };
        group.spawn("plugins", chronicle.run(stop.plugins.clone()));
    }
}

/// What the plugin host of a daemon with this configuration is told of one plugin; for whoever asks without a daemon.
pub fn plugin_settings(settings: &config::Settings, name: &PluginName) -> PluginSettings {
    let written = settings.plugins.load.get(name).map(written::plugin);
    // It has no place: nothing is loaded by these.
    let mut told = Settings::new(PathBuf::new());
    told.plugins.insert(name.clone(), written.unwrap_or_default());
    storage::provide(&settings.storage, &mut told);
    told.plugins.remove(name).unwrap_or_default()
}

fn settings(host: &Host, data: &DataDir, plugins: &config::Plugins) -> Settings {
    let mut settings = Settings::new(data.path());
    settings.directory.clone_from(&plugins.directory);
    let publisher =
        |(name, key): (&PublisherName, &PublicKey)| Publisher { name: name.clone(), key: key.clone() };
    settings.publishers = plugins.publishers.iter().map(publisher).collect();
    settings.compiler = Compiler::Child {
        program: host.program.clone(),
        arguments: vec![plugin_host::compile::CHILD_ARGUMENT.into()],
    };
    settings.environment = passed_on();
    settings.plugins =
        plugins.load.iter().map(|(name, plugin)| (name.clone(), written::plugin(plugin))).collect();
    settings
}

/// What programs that plugins run may know of this process's environment.
fn passed_on() -> BTreeMap<String, String> {
    plugin_host::PASSED_ON
        .into_iter()
        .filter_map(|name| Some((name.to_owned(), std::env::var_os(name)?.into_string().ok()?)))
        .collect()
}

/// The plugins that labels need.
fn needed(labels: &[DynamicLabel]) -> BTreeSet<String> {
    labels.iter().map(|label| label.plugin.clone()).collect()
}

/// Loads plugins, and says now which do not load and what to change: better than a label that
/// stays empty. A host that is stopped is no news.
async fn check(plugins: &PluginHost, names: BTreeSet<String>) {
    for refusal in plugins.check(names).await {
        tracing::error!(plugin = %refusal.name, reason = %refusal.reason, "a plugin that labels need does not load");
    }
}
