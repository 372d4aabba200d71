//! Having a plugin loaded when it is called for, by one caller at a time, and telling of it.
//!
//! A plugin may take minutes to compile. Others do not wait for it, unless two do so at once; the one the
//! cluster's records are in and those that are carried never wait.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use domain::plugin::{ContractKind, PluginName};
use parking_lot::Mutex;
use port::random::Random;
use tokio::sync::{OwnedMutexGuard, Semaphore};
use tokio_util::task::task_tracker::TaskTrackerToken;

use super::{Core, Machine};
use crate::cache::Cache;
use crate::call::CallError;
use crate::carried;
use crate::change::{Change, ChangeKind, Facts};
use crate::engine::Engine;
use crate::error::LoadError;
use crate::load::{Loader, Plugin};
use crate::registry::{LEAVE_ALONE, State};

/// Plugins loaded at one time: each is in memory as a whole meanwhile, and compiled by a process of its own.
const LOADS: usize = 2;

/// Who loads what.
pub(super) struct Loads {
    /// Held while a plugin is loaded, so that two labels of one plugin do not compile it twice. One is kept for
    /// each name there ever was, which are as many as there were folders.
    names: Mutex<BTreeMap<PluginName, Arc<tokio::sync::Mutex<()>>>>,
    /// Those of all plugins, except the one the records are in and those that are carried, which are small.
    turns: Semaphore,
    /// Held while the engine is made.
    machine: Mutex<()>,
}

/// The right to load a plugin, or to say that it is not to be.
pub(super) struct Loading {
    _name: OwnedMutexGuard<()>,
    /// Whoever stops the host waits for it.
    _working: TaskTrackerToken,
}

impl Default for Loads {
    fn default() -> Self {
        Self { names: Mutex::default(), turns: Semaphore::new(LOADS), machine: Mutex::default() }
    }
}

impl Core {
    /// The plugin, loaded if it is not yet.
    pub(crate) async fn plugin(&self, name: &PluginName) -> Result<Arc<Plugin>, LoadError> {
        if let Some(plugin) = self.registry.find(name)? {
            return Ok(plugin);
        }
        // Boxed, or every call would carry the room that loading takes.
        Box::pin(self.loaded(name)).await
    }

    /// The plugin of this name, loaded by this or by another call that came at the same time.
    async fn loaded(&self, name: &PluginName) -> Result<Arc<Plugin>, LoadError> {
        if self.is_switched_off(name) {
            return Err(LoadError::SwitchedOff(name.clone()));
        }
        let _one_at_a_time = self.loading(name).await;
        if let Some(plugin) = self.registry.find(name)? {
            return Ok(plugin);
        }
        // Again: whoever switched it off may have had the lock meanwhile.
        if self.is_switched_off(name) {
            return Err(LoadError::SwitchedOff(name.clone()));
        }
        let before = match self.registry.entry(name).map(|entry| entry.state) {
            Some(State::Refused { reason, .. }) => Some(reason),
            _ => None,
        };
        self.take_up(name, self.see(name), before.as_ref(), LEAVE_ALONE).await
    }

    /// Waits until nobody else loads this plugin.
    pub(super) async fn loading(&self, name: &PluginName) -> Loading {
        let lock = Arc::clone(self.loads.names.lock().entry(name.clone()).or_default());
        Loading { _name: lock.lock_owned().await, _working: self.working.token() }
    }

    /// Loads what there is of a plugin, unless it is the same as what is `loaded`; with what is known of
    /// it, whether it loads or not.
    pub(super) async fn load(
        &self,
        name: &PluginName,
        loaded: Option<&Plugin>,
    ) -> (Result<Option<Arc<Plugin>>, LoadError>, Facts) {
        let machine = match self.machine(name) {
            Ok(machine) => machine,
            Err(error) => return (Err(error), Facts::default()),
        };
        let settings = &self.settings;
        let random: &dyn Random = &self.random;
        let environment = &self.environment;
        let diary = self.diaries.begun(name);
        let (keeping, facts) = (&self.keeping, Mutex::default());
        let waits_for_no_other =
            self.keeps_records(name) || (carried::is_carried(name) && !self.see(name).has_component());
        let _turn = match waits_for_no_other {
            true => None,
            // Never closed.
            false => self.loads.turns.acquire().await.ok(),
        };
        let loader = Loader { settings, environment, machine, random, keeping, diary, facts };
        let plugin = loader.load(name, loaded).await;
        (plugin.map(|plugin| plugin.map(Arc::new)), loader.facts.into_inner())
    }

    /// The engine that instances are kept on.
    pub(crate) fn lasting(&self, name: &PluginName) -> Result<&Engine, CallError> {
        let failed = |error: LoadError| CallError::Host { plugin: name.clone(), source: error.into() };
        let machine = self.machine(name).map_err(failed)?;
        machine.engine(ContractKind::StorageBackend).map_err(|error| failed(error.into()))
    }

    /// Engine and cache, made by the first caller.
    pub(super) fn machine(&self, name: &PluginName) -> Result<&Machine, LoadError> {
        if let Some(machine) = self.machine.get() {
            return Ok(machine);
        }
        let _one_at_a_time = self.loads.machine.lock();
        if let Some(machine) = self.machine.get() {
            return Ok(machine);
        }
        let cache = Cache::open(&self.settings.data_dir, &self.random)
            .map_err(|source| LoadError::Place { name: name.clone(), source })?;
        let concurrency = self.settings.concurrency.max(1);
        let brief = if self.settings.counting { Engine::counting() } else { Engine::start(concurrency) }?;
        Ok(self.machine.get_or_init(|| Machine { brief, lasting: OnceLock::new(), cache }))
    }

    /// Tells whoever wants to know.
    pub(super) fn changed(&self, plugin: &PluginName, facts: Facts, kind: ChangeKind) {
        match &kind {
            ChangeKind::Loaded | ChangeKind::Reloaded(_) => self.editions.add_version(plugin),
            ChangeKind::Released => self.editions.add_release(plugin),
            ChangeKind::Rejected(_)
            | ChangeKind::Quarantined { .. }
            // It counts once it is loaded.
            | ChangeKind::Enabled(_)
            | ChangeKind::Disabled(_)
            | ChangeKind::Revealed(_) => {}
        }
        if let Some(observer) = &self.settings.on_change {
            // It happened, whether or not that was taken.
            let _ = observer(&Change { plugin: plugin.clone(), facts, kind });
        }
    }
}
