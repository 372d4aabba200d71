//! Having a plugin loaded when it is called for, by one caller at a time, and telling of it.

use std::sync::Arc;

use domain::plugin::PluginName;
use parking_lot::Mutex;
use port::random::Random;

use super::{Core, Machine};
use crate::cache::Cache;
use crate::call::CallError;
use crate::change::{Change, ChangeKind, Facts};
use crate::engine::Engine;
use crate::error::LoadError;
use crate::load::{Loader, Plugin};
use crate::registry::{LEAVE_ALONE, State};
use crate::warm;

/// One for trying a new version while the one before it is served.
const TRIALS: u32 = 1;

/// Instances set aside for following the changes of a storage backend.
/// The store follows with one, and reads the past to watchers that come late with eight more.
const TAILS: u32 = 10;

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
        if self.switches.is_off(name) {
            return Err(LoadError::SwitchedOff(name.clone()));
        }
        let _one_at_a_time = self.loading.lock().await;
        if let Some(plugin) = self.registry.find(name)? {
            return Ok(plugin);
        }
        // Again: whoever switched it off may have had the lock meanwhile.
        if self.switches.is_off(name) {
            return Err(LoadError::SwitchedOff(name.clone()));
        }
        let before = match self.registry.entry(name).map(|entry| entry.state) {
            Some(State::Refused { reason, .. }) => Some(reason),
            _ => None,
        };
        self.take_up(name, self.see(name), before.as_ref(), LEAVE_ALONE).await
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
        let (settings, engine, cache) = (&self.settings, &machine.engine, &machine.cache);
        let random: &dyn Random = &self.random;
        let environment = &self.environment;
        let diary = self.diaries.begun(name);
        let (keeping, facts) = (&self.keeping, Mutex::default());
        let loader = Loader { settings, environment, engine, cache, random, keeping, diary, facts };
        let plugin = loader.load(name, loaded).await;
        (plugin.map(|plugin| plugin.map(Arc::new)), loader.facts.into_inner())
    }

    /// The engine a loaded plugin runs on.
    pub(crate) fn engine(&self, name: &PluginName) -> Result<&Engine, CallError> {
        let failed = |error: LoadError| CallError::Host { plugin: name.clone(), source: error.into() };
        self.machine(name).map(|machine| &machine.engine).map_err(failed)
    }

    /// Engine and cache, made by the first caller. Called with nothing loaded under the loading
    /// lock only.
    pub(super) fn machine(&self, name: &PluginName) -> Result<&Machine, LoadError> {
        if let Some(machine) = self.machine.get() {
            return Ok(machine);
        }
        let cache = Cache::open(&self.settings.data_dir, &self.random)
            .map_err(|source| LoadError::Place { name: name.clone(), source })?;
        let kept = if self.settings.storage.is_some() { warm::INSTANCES + TAILS + TRIALS } else { 0 };
        let instances = self.settings.concurrency.max(1).saturating_add(kept);
        let engine =
            if self.settings.counting { Engine::counting(instances) } else { Engine::start(instances) }?;
        Ok(self.machine.get_or_init(|| Machine { engine, cache }))
    }

    /// Tells whoever wants to know.
    pub(super) fn changed(&self, plugin: &PluginName, facts: Facts, kind: ChangeKind) {
        if let Some(observer) = &self.settings.on_change {
            // It happened, whether or not that was taken.
            let _ = observer(&Change { plugin: plugin.clone(), facts, kind });
        }
    }
}
