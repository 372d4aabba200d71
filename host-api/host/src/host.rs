//! The plugin host as the daemon sees it: computes labels, checks and lists plugins.
//!
//! It costs little until there is a plugin: with a plugin directory the thread that watches it, without
//! one nothing. Engine and cache are made by the first plugin that is in the directory or called for.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use domain::label::DynamicLabel;
use domain::plugin::{ContractKind, PluginName};
use parking_lot::Mutex;
use port::label::{Edition, LabelFailure, LabelProvider};
use port::random::SystemRandom;
use tokio::sync::{Notify, Semaphore, SemaphorePermit, watch};
use tokio::time::{Instant, timeout_at};
use tokio_util::task::TaskTracker;
use tracing::{Instrument as _, info_span};

use crate::cache::Cache;
use crate::call::{CallError, CallReport, Outcome};
use crate::capability::kv::Keeping;
use crate::capability::process;
use crate::diary::Diaries;
use crate::engine::{Engine, EngineError};
use crate::error::{LoadError, chain};
use crate::line::NoTurn;
use crate::load::Plugin;
use crate::place::{self, Owner};
use crate::registry::Registry;
use crate::runtime::PluginRuntime;
use crate::settings::Settings;
use crate::switch::Switches;

mod conduct;
mod editions;
mod list;
mod loading;
mod operate;
mod reload;
#[cfg(test)]
mod tests;

use conduct::{refusal, unserved};
use editions::Editions;
pub use list::{KnownListing, PluginListing, PluginState};
use loading::Loads;
pub use operate::PluginAccount;

/// Loads and runs plugins.
pub struct PluginHost {
    pub(crate) core: Arc<Core>,
    runtime: OnceLock<PluginRuntime>,
    starting: Mutex<()>,
}

/// What tasks on the plugins' thread share.
pub(crate) struct Core {
    settings: Settings,
    environment: Arc<BTreeMap<String, String>>,
    pub(crate) registry: Registry,
    machine: OnceLock<Machine>,
    loads: Loads,
    turns: Semaphore,
    random: SystemRandom,
    /// Set once, when the host is stopped.
    stopping: watch::Sender<bool>,
    /// What is under way for storage, what is being loaded, and the watch of the plugin directory.
    working: TaskTracker,
    /// The last outcome of each plugin, so that a change is said once and not every period.
    last: Mutex<BTreeMap<PluginName, Outcome>>,
    /// What is remembered of each plugin.
    diaries: Diaries,
    keeping: Keeping,
    /// What an administrator of this host has switched off.
    switches: Switches,
    /// How often each plugin has been taken up.
    editions: Editions,
    /// Told when the plugin directory is to be looked at.
    stirred: Arc<Notify>,
}

/// What the first plugin needs.
pub(crate) struct Machine {
    /// For calls in fresh instances.
    brief: Engine,
    /// For instances that are kept, when the first plugin is loaded that has such.
    lasting: OnceLock<Engine>,
    pub(crate) cache: Cache,
}

impl Machine {
    /// The engine for plugins of a kind.
    ///
    /// # Errors
    /// [`EngineError`] when it is the first of those that keep their instances, and the machine does not give what it
    /// needs.
    pub(crate) fn engine(&self, kind: ContractKind) -> Result<&Engine, EngineError> {
        match kind {
            ContractKind::LabelProvider => Ok(&self.brief),
            // One that counts serves one call.
            ContractKind::StorageBackend if self.brief.counts() => Ok(&self.brief),
            ContractKind::StorageBackend => match self.lasting.get() {
                Some(lasting) => Ok(lasting),
                None => {
                    let lasting = Engine::lasting()?;
                    Ok(self.lasting.get_or_init(|| lasting))
                }
            },
        }
    }

    /// What compiled code depends on beside the component, the same for all engines, and whether it counts.
    pub(crate) fn code(&self) -> (&[u8; 32], bool) {
        (self.brief.fingerprint(), self.brief.counts())
    }
}

/// A plugin that did not load.
#[derive(Debug, thiserror::Error)]
#[error("plugin {name}: {reason}")]
pub struct Refusal {
    /// Its name, as it was asked for.
    pub name: String,
    /// Why, in one line.
    pub reason: String,
}

impl PluginHost {
    /// A host for these settings. It watches the plugin directory from now on, and loads what is there
    /// meanwhile; nothing of it has been done when this returns.
    ///
    /// # Errors
    /// [`LoadError::Directory`] when a plugin directory is set that is not there, or that others
    /// may write to; [`LoadError::Switches`] when it cannot be told what was switched off;
    /// [`LoadError::Runtime`] when there is no thread to watch it.
    pub fn new(settings: Settings) -> Result<Arc<Self>, LoadError> {
        let directory = settings.directory.clone();
        if let Some(directory) = &directory {
            place::folder(directory, Owner::ThisOrRoot).map_err(LoadError::Directory)?;
        }
        let environment = Arc::new(process::environment(&settings.environment));
        let turns = Semaphore::new(usize::try_from(settings.concurrency.max(1)).unwrap_or(1));
        let switches = Switches::read(&settings.data_dir).map_err(LoadError::Switches)?;
        let diaries = Diaries::new(Arc::clone(&settings.clock));
        let core = Core {
            settings,
            environment,
            registry: Registry::default(),
            machine: OnceLock::new(),
            loads: Loads::default(),
            turns,
            random: SystemRandom,
            stopping: watch::Sender::new(false),
            working: TaskTracker::new(),
            last: Mutex::new(BTreeMap::new()),
            diaries,
            keeping: Keeping::default(),
            switches,
            editions: Editions::default(),
            stirred: Arc::default(),
        };
        let host =
            Arc::new(Self { core: Arc::new(core), runtime: OnceLock::new(), starting: Mutex::new(()) });
        if let Some(directory) = directory {
            let core = Arc::clone(&host.core);
            // Whoever stops the host waits for it: it must not ask the thread for the time when there is none.
            let working = core.working.token();
            host.runtime()?.keep(async move {
                core.watch(&directory).await;
                drop(working);
            });
        }
        Ok(host)
    }

    /// Loads the plugins of these names and says which do not load: at start, so that an operator
    /// reads of a missing grant then and not in the first label that stays empty.
    pub async fn check(&self, names: impl IntoIterator<Item = impl Into<String>>) -> Vec<Refusal> {
        let mut refusals = Vec::new();
        for name in names {
            let name = name.into();
            if let Err(error) = self.load(&name).await
                && !matches!(error, LoadError::Stopped(_))
            {
                refusals.push(Refusal { name, reason: chain(&error) });
            }
        }
        refusals
    }

    /// Ends every call, with the programs they run, and serves none from now on. For the daemon's
    /// own end: a program that outlived it would belong to nobody.
    pub async fn stop(&self) {
        self.core.stopping.send_replace(true);
        let all = self.core.settings.concurrency.max(1);
        // All are free again once everything that was under way has been dropped.
        self.core.working.close();
        self.core.working.wait().await;
        let _idle = self.core.turns.acquire_many(all).await;
    }

    /// Computes a label and tells how the call went.
    ///
    /// # Errors
    /// [`LoadError`] when there was no call.
    pub async fn call(&self, label: &DynamicLabel) -> Result<CallReport, LoadError> {
        let name = PluginName::new(label.plugin.as_str())?;
        let (core, label) = (Arc::clone(&self.core), label.clone());
        let stopped = name.clone();
        let task =
            self.runtime()?.run(async move { core.unless_stopped(&name, core.call(&name, &label)).await });
        match task {
            Some(task) => task.result().await.unwrap_or(Err(LoadError::Stopped(stopped))),
            None => Err(LoadError::Stopped(stopped)),
        }
    }

    /// Runs work on the plugins' thread; nothing when the host is stopped first, which waits until the work
    /// has been dropped.
    pub(crate) async fn on_thread<T, F>(
        &self,
        work: impl FnOnce(Arc<Core>) -> F + Send + 'static,
    ) -> Option<T>
    where
        T: Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        let core = Arc::clone(&self.core);
        let mut stopping = core.stopping.subscribe();
        let working = core.working.token();
        let task = self.runtime().ok()?.run(async move {
            let _working = working;
            if *stopping.borrow() {
                return None;
            }
            tokio::select! {
                // First: most of it is done at once, and to wait costs as much as a short answer.
                biased;
                answer = work(core) => Some(answer),
                _ = stopping.wait_for(|stopping| *stopping) => None,
            }
        });
        task?.result().await.flatten()
    }

    async fn load(&self, name: &str) -> Result<Arc<Plugin>, LoadError> {
        let name = PluginName::new(name)?;
        let (core, stopped) = (Arc::clone(&self.core), name.clone());
        let task = self.runtime()?.run(async move { core.unless_stopped(&name, core.plugin(&name)).await });
        match task {
            Some(task) => task.result().await.unwrap_or(Err(LoadError::Stopped(stopped))),
            None => Err(LoadError::Stopped(stopped)),
        }
    }

    fn runtime(&self) -> Result<&PluginRuntime, LoadError> {
        if let Some(runtime) = self.runtime.get() {
            return Ok(runtime);
        }
        let _one_at_a_time = self.starting.lock();
        if let Some(runtime) = self.runtime.get() {
            return Ok(runtime);
        }
        let started = PluginRuntime::start().map_err(LoadError::Runtime)?;
        Ok(self.runtime.get_or_init(|| started))
    }
}

impl Core {
    async fn call(&self, name: &PluginName, label: &DynamicLabel) -> Result<CallReport, LoadError> {
        let plugin = self.plugin(name).await?;
        let machine = self.machine(name)?;
        let callable = &plugin.callable;
        let pass = match plugin.conduct.admit(Instant::now()) {
            Ok(pass) => pass,
            Err(quarantine) => {
                let report = unserved(&plugin, label, Duration::ZERO, refusal(name, quarantine));
                self.tell(&report);
                return Ok(report);
            }
        };
        let span = info_span!("plugin.call", plugin = %name, version = %plugin.manifest.version, label = %label.name);
        let report = async {
            let began = Instant::now();
            match self.turn(&plugin, began).await {
                Ok(_turn) => callable.evaluate(&machine.brief, label).await,
                Err(error) => unserved(&plugin, label, began.elapsed(), error),
            }
        };
        let report = report.instrument(span).await;
        self.judge(&plugin, pass, &report);
        self.tell(&report);
        Ok(report)
    }

    /// A turn of the plugin's, and of all plugins', within the time a call may take.
    async fn turn<'a>(
        &'a self,
        plugin: &'a Plugin,
        began: Instant,
    ) -> Result<(SemaphorePermit<'a>, SemaphorePermit<'a>), CallError> {
        let (name, wall) = (&plugin.manifest.name, plugin.callable.provisions.limits.wall());
        let named = |no_turn: NoTurn| no_turn.named(name, began.elapsed(), self.settings.concurrency);
        let own = plugin.line.turn(wall).await.map_err(named)?;
        match timeout_at(began + wall, self.turns.acquire()).await {
            Ok(Ok(turn)) => Ok((own, turn)),
            _ => Err(named(NoTurn::Late)),
        }
    }

    /// Does the work, or drops it when the host is stopped.
    async fn unless_stopped<T>(
        &self,
        name: &PluginName,
        work: impl Future<Output = Result<T, LoadError>>,
    ) -> Result<T, LoadError> {
        let mut stopping = self.stopping.subscribe();
        tokio::select! {
            biased;
            _ = stopping.wait_for(|stopping| *stopping) => Err(LoadError::Stopped(name.clone())),
            result = work => result,
        }
    }
}

#[async_trait]
impl LabelProvider for PluginHost {
    async fn evaluate(&self, label: &DynamicLabel) -> Result<String, LabelFailure> {
        let failure = |error: &dyn std::error::Error| LabelFailure { reason: chain(error) };
        let report = self.call(label).await.map_err(|error| failure(&error))?;
        report.result.map_err(|error| failure(&error))
    }

    fn edition(&self, label: &DynamicLabel) -> Edition {
        let name = PluginName::new(label.plugin.as_str());
        name.map(|name| self.core.editions.now(&name)).unwrap_or_default()
    }

    async fn renewed(&self, label: &DynamicLabel, edition: Edition, has_failed: bool) {
        match PluginName::new(label.plugin.as_str()) {
            Ok(name) => self.core.editions.after(&name, edition, has_failed).await,
            // It never will be.
            Err(_) => std::future::pending().await,
        }
    }
}
