//! The plugin host as the daemon sees it: computes labels, checks and lists plugins.
//!
//! It costs nothing until a plugin is used: thread, engine and cache are made by the first one.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use domain::label::DynamicLabel;
use domain::plugin::PluginName;
use parking_lot::Mutex;
use port::label::{LabelFailure, LabelProvider};
use port::random::{Random, SystemRandom};
use tokio::sync::{Semaphore, watch};
use tokio::time::Instant;
use tracing::{Instrument as _, debug, info_span, warn};

use crate::cache::Cache;
use crate::call::{CallError, CallReport, Outcome};
use crate::capability::process;
use crate::engine::Engine;
use crate::error::{LoadError, chain};
use crate::load::{Loader, Plugin};
use crate::place::{self, Owner};
use crate::registry::{Entry, LEAVE_ALONE, Registry};
use crate::runtime::PluginRuntime;
use crate::settings::Settings;

mod list;

pub use list::{PluginListing, PluginState};

/// Loads and runs plugins.
pub struct PluginHost {
    core: Arc<Core>,
    runtime: OnceLock<PluginRuntime>,
    starting: Mutex<()>,
}

/// What tasks on the plugins' thread share.
struct Core {
    settings: Settings,
    environment: Arc<BTreeMap<String, String>>,
    registry: Registry,
    machine: OnceLock<Machine>,
    /// Held while a plugin is loaded: one at a time, so that two labels of one plugin do not
    /// compile it twice.
    loading: tokio::sync::Mutex<()>,
    turns: Semaphore,
    random: SystemRandom,
    /// Set once, when the host is stopped.
    stopping: watch::Sender<bool>,
    /// The last outcome of each plugin, so that a change is said once and not every period.
    last: Mutex<BTreeMap<PluginName, Outcome>>,
}

/// What the first plugin needs.
struct Machine {
    engine: Engine,
    cache: Cache,
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
    /// A host for these settings. Nothing is started, loaded or written yet.
    ///
    /// # Errors
    /// [`LoadError::Directory`] when a plugin directory is set that is not there, or that others
    /// may write to.
    pub fn new(settings: Settings) -> Result<Arc<Self>, LoadError> {
        if let Some(directory) = &settings.directory {
            place::folder(directory, Owner::ThisOrRoot).map_err(LoadError::Directory)?;
        }
        let environment = Arc::new(process::environment(&settings.environment));
        let turns = Semaphore::new(usize::try_from(settings.concurrency.max(1)).unwrap_or(1));
        let core = Core {
            settings,
            environment,
            registry: Registry::default(),
            machine: OnceLock::new(),
            loading: tokio::sync::Mutex::new(()),
            turns,
            random: SystemRandom,
            stopping: watch::Sender::new(false),
            last: Mutex::new(BTreeMap::new()),
        };
        Ok(Arc::new(Self { core: Arc::new(core), runtime: OnceLock::new(), starting: Mutex::new(()) }))
    }

    /// Loads the plugins of these names and says which do not load: at start, so that an operator
    /// reads of a missing grant then and not in the first label that stays empty.
    pub async fn check(&self, names: impl IntoIterator<Item = impl Into<String>>) -> Vec<Refusal> {
        let mut refusals = Vec::new();
        for name in names {
            let name = name.into();
            if let Err(error) = self.load(&name).await {
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
        // Both are free again once everything that was under way has been dropped.
        let _idle = self.core.turns.acquire_many(all).await;
        let _not_loading = self.core.loading.lock().await;
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
        let span = info_span!("plugin.call", plugin = %name, version = %plugin.manifest.version, label = %label.name);
        let report = async {
            let began = Instant::now();
            let turn = tokio::time::timeout(callable.limits.wall(), self.turns.acquire()).await;
            match turn {
                Ok(Ok(_turn)) => callable.evaluate(&machine.engine, &self.environment, label).await,
                _ => self.busy(&plugin, label, began),
            }
        };
        let report = report.instrument(span).await;
        self.tell(&report);
        Ok(report)
    }

    /// Does the work, or drops it when the host is stopped.
    async fn unless_stopped<T>(
        &self,
        name: &PluginName,
        work: impl Future<Output = Result<T, LoadError>>,
    ) -> Result<T, LoadError> {
        let mut stopping = self.stopping.subscribe();
        tokio::select! {
            result = work => result,
            _ = stopping.wait_for(|stopping| *stopping) => Err(LoadError::Stopped(name.clone())),
        }
    }

    fn busy(&self, plugin: &Plugin, label: &DynamicLabel, began: Instant) -> CallReport {
        let name = plugin.manifest.name.clone();
        let waited = began.elapsed();
        let concurrency = self.settings.concurrency;
        CallReport {
            plugin: name.clone(),
            version: plugin.manifest.version.clone(),
            label: label.name.clone(),
            result: Err(CallError::Busy { plugin: name, waited, concurrency }),
            wall: waited,
            cpu: std::time::Duration::ZERO,
            memory: 0,
            log_lines: 0,
            log_dropped: 0,
        }
    }

    /// Counts a call and logs it: quietly, unless a plugin begins to break its limits or ends doing so.
    fn tell(&self, report: &CallReport) {
        if let Some(observer) = &self.settings.on_call {
            observer(report);
        }
        let outcome = report.outcome();
        debug!(
            plugin = %report.plugin, version = %report.version, label = %report.label, outcome = outcome.key(),
            wall_us = report.wall.as_micros(), cpu_us = report.cpu.as_micros(), memory = report.memory,
            log_lines = report.log_lines, log_dropped = report.log_dropped, "plugin called"
        );
        let before = self.last.lock().insert(report.plugin.clone(), outcome);
        let Err(error) = &report.result else { return };
        if before != Some(outcome) && outcome != Outcome::Guest {
            let (plugin, version) = (&report.plugin, &report.version);
            warn!(%plugin, %version, outcome = outcome.key(), reason = chain(error), "a call of the plugin failed");
        }
    }

    /// The plugin, loaded if it is not yet.
    async fn plugin(&self, name: &PluginName) -> Result<Arc<Plugin>, LoadError> {
        if let Some(plugin) = self.registry.find(name)? {
            return Ok(plugin);
        }
        let _one_at_a_time = self.loading.lock().await;
        if let Some(plugin) = self.registry.find(name)? {
            return Ok(plugin);
        }
        let loaded = self.load(name).await;
        let entry = match &loaded {
            Ok(plugin) => Entry::Ready(Arc::clone(plugin)),
            Err(error) => {
                let reason = chain(error);
                warn!(plugin = %name, %reason, "plugin refused");
                Entry::Refused { reason: reason.into(), again: Instant::now() + LEAVE_ALONE }
            }
        };
        self.registry.put(name, &entry);
        loaded
    }

    async fn load(&self, name: &PluginName) -> Result<Arc<Plugin>, LoadError> {
        let machine = self.machine(name)?;
        let random: &dyn Random = &self.random;
        let loader =
            Loader { settings: &self.settings, engine: &machine.engine, cache: &machine.cache, random };
        loader.load(name).await.map(Arc::new)
    }

    /// Engine and cache, made by the first caller. Called with nothing loaded under the loading
    /// lock only.
    fn machine(&self, name: &PluginName) -> Result<&Machine, LoadError> {
        if let Some(machine) = self.machine.get() {
            return Ok(machine);
        }
        let cache = Cache::open(&self.settings.data_dir, &self.random)
            .map_err(|source| LoadError::Place { name: name.clone(), source })?;
        let engine = Engine::start(self.settings.concurrency.max(1))?;
        Ok(self.machine.get_or_init(|| Machine { engine, cache }))
    }
}

#[async_trait]
impl LabelProvider for PluginHost {
    async fn evaluate(&self, label: &DynamicLabel) -> Result<String, LabelFailure> {
        let failure = |error: &dyn std::error::Error| LabelFailure { reason: chain(error) };
        let report = self.call(label).await.map_err(|error| failure(&error))?;
        report.result.map_err(|error| failure(&error))
    }
}
