//! What an administrator of the host does with plugins while the daemon runs: has one explained, reads
//! what it logged, switches it off and on.

use std::sync::Arc;

use domain::plugin::PluginName;
use domain::plugin::grant::{self, Item, Use};
use tracing::{info, warn};

use super::list::PluginListing;
use super::{Core, PluginHost};
use crate::change::{ChangeKind, Facts};
use crate::diary::LoggedLine;
use crate::error::{LoadError, chain};
use crate::registry::State;

/// Everything asked, granted and used of one plugin.
#[derive(Debug, Clone)]
pub struct PluginAccount {
    /// How it is.
    pub listing: PluginListing,
    /// The version whose manifest asks: the one in the folder, where that is not the one that is served.
    /// None while nobody vouches for the file, whose manifest is not read then.
    pub version: Option<String>,
    /// Whether that manifest is another than the one that is served.
    pub is_other: bool,
    /// Needs and grants side by side.
    pub items: Vec<Item>,
    /// What was used since the daemon started, and how often. Items refer to these.
    pub uses: Vec<(Use, u64)>,
    /// Uses that are not told apart any more.
    pub further: u64,
}

impl PluginHost {
    /// What a plugin asks for, is granted and has used. One that is not loaded is loaded, or tried again; but for one
    /// that this program carries and nobody has asked for, of which everything is known.
    ///
    /// # Errors
    /// [`LoadError::Unknown`], [`LoadError::Stopped`]. One that does not load is explained all the same.
    pub async fn account(&self, name: &PluginName) -> Result<PluginAccount, LoadError> {
        self.core.known(name)?;
        let is_loaded =
            self.core.registry.entry(name).is_some_and(|entry| matches!(entry.state, State::Ready { .. }));
        if !is_loaded && !self.core.is_off(name) && !self.core.is_idle(name) {
            // That it does not load is part of the account.
            let _ = self.load(name.as_str()).await;
        }
        Ok(self.core.account(name))
    }

    /// The lines a plugin logged after that number; the last few hundred are remembered.
    ///
    /// # Errors
    /// [`LoadError::Unknown`].
    pub fn lines(&self, name: &PluginName, after: u64) -> Result<Vec<LoggedLine>, LoadError> {
        self.core.known(name)?;
        Ok(self.core.diaries.find(name).map(|diary| diary.lines(after)).unwrap_or_default())
    }

    /// Switches a plugin off, now and for later starts; `by` is who wanted it. Calls that are under way
    /// end as they would but for what they keep, which is closed to them; what is being loaded is not taken up. Says
    /// whether it is a change.
    ///
    /// # Errors
    /// [`LoadError::KeepsRecords`] for the plugin the records are in; [`LoadError::Switch`] when it could
    /// not be written down, and nothing has changed.
    pub async fn disable(&self, name: &PluginName, by: &str) -> Result<bool, LoadError> {
        self.core.known(name)?;
        let loaded = match self.core.registry.entry(name).map(|entry| entry.state) {
            Some(State::Ready { plugin, .. }) => Some(plugin),
            _ => None,
        };
        if self.core.keeps_records(name) {
            return Err(LoadError::KeepsRecords(name.clone()));
        }
        if !self.core.switch(name, false)? {
            return Ok(false);
        }
        let kept = self.core.keeping.end(name);
        // Called no more first: what it keeps may be on a disk that hangs.
        self.core.registry.remove(name);
        kept.closed().await;
        let facts = loaded.map(|plugin| plugin.facts.clone()).unwrap_or_default();
        info!(plugin = %name, by, "plugin switched off");
        self.core.changed(name, facts, ChangeKind::Disabled(by.to_owned()));
        Ok(true)
    }

    /// Lets a plugin run again, and loads it; one that is quarantined is called again at once, and one that was refused
    /// is tried again at once. Says whether it is a change; whether it loads is in its account.
    ///
    /// # Errors
    /// [`LoadError::Disabled`] where the configuration has it switched off; [`LoadError::Switch`] when it
    /// could not be written down, and nothing has changed.
    pub async fn enable(&self, name: &PluginName, by: &str) -> Result<bool, LoadError> {
        self.core.known(name)?;
        if self.core.settings.plugins.get(name).is_some_and(|written| !written.enabled) {
            return Err(LoadError::Disabled(name.clone()));
        }
        if !self.core.switch(name, true)? {
            let released = self.core.release(name, by);
            let is_change = self.retry(name, by).await || released;
            if !is_change {
                // Somebody may have put right what it failed for.
                self.core.editions.add_release(name);
            }
            return Ok(is_change);
        }
        info!(plugin = %name, by, "plugin switched on");
        self.core.changed(name, Facts::default(), ChangeKind::Enabled(by.to_owned()));
        let _ = self.load(name.as_str()).await;
        Ok(true)
    }

    /// Switches off and on what another daemon was told of this data folder since this one started; `by` is who told it.
    /// Whatever cannot be done is logged, and is to be told anew.
    pub async fn switch_as_written(&self, by: &str) {
        let told = self.core.switches.elsewhere().unwrap_or_else(|error| {
            warn!(%error, "what another daemon switched is not known");
            Vec::new()
        });
        for (name, on) in told {
            let switched = if on { self.enable(&name, by).await } else { self.disable(&name, by).await };
            if let Err(error) = switched {
                warn!(plugin = %name, on, reason = chain(&error), "a plugin is not switched as another daemon was told");
            }
        }
    }

    /// Tries what was refused, however long it is to be left alone. Whether it is served now.
    async fn retry(&self, name: &PluginName, by: &str) -> bool {
        let (name, by) = (name.clone(), by.to_owned());
        self.on_thread(move |core| async move { core.retry(&name, &by).await }).await.unwrap_or_default()
    }
}

impl Core {
    /// That there is such a plugin, of whatever kind.
    fn known(&self, name: &PluginName) -> Result<(), LoadError> {
        if self.names().contains(name) {
            return Ok(());
        }
        Err(crate::load::source::unknown(&self.settings, name))
    }

    /// How many instances of one plugin may follow the changes.
    pub(crate) fn tails(&self) -> u32 {
        self.settings.tails
    }

    /// Whether this program carries it, and nobody has called for it, nor written or installed anything.
    fn is_idle(&self, name: &PluginName) -> bool {
        let is_written = self.settings.plugins.contains_key(name);
        !is_written && self.registry.entry(name).is_none() && self.carried_asks(name).is_some()
    }

    /// Whether this is the plugin that the cluster's records are in.
    pub(crate) fn keeps_records(&self, name: &PluginName) -> bool {
        self.settings.storage.as_ref() == Some(name)
    }

    /// Ends a plugin's quarantine; `by` is who wanted it. Whether it was in one.
    fn release(&self, name: &PluginName, by: &str) -> bool {
        let Some(State::Ready { plugin, .. }) = self.registry.entry(name).map(|entry| entry.state) else {
            return false;
        };
        let is_change = plugin.conduct.release();
        if is_change {
            info!(plugin = %name, by, "plugin let out of quarantine");
            self.changed(name, plugin.facts.clone(), ChangeKind::Released);
        }
        is_change
    }

    fn switch(&self, name: &PluginName, on: bool) -> Result<bool, LoadError> {
        let failed = |source| LoadError::Switch { name: name.clone(), source };
        self.switches.set(name, on).map_err(failed)
    }

    /// Whether an administrator has switched it off. Not where it keeps the records: without them there is no
    /// cluster, and nobody who could switch it on again.
    pub(super) fn is_switched_off(&self, name: &PluginName) -> bool {
        self.switches.is_off(name) && !self.keeps_records(name)
    }

    /// Whether somebody has switched it off, here or in the configuration.
    pub(super) fn is_off(&self, name: &PluginName) -> bool {
        self.is_switched_off(name) || self.settings.plugins.get(name).is_some_and(|written| !written.enabled)
    }

    fn account(&self, name: &PluginName) -> PluginAccount {
        let listing = self.listing(name);
        let diary = self.diaries.find(name);
        let used = diary.as_ref().map(|diary| diary.uses()).unwrap_or_default();
        let uses: Vec<Use> = used.times.iter().map(|(what, _)| what.clone()).collect();
        let asked = diary.and_then(|diary| diary.asked()).or_else(|| self.carried_asks(name).map(Arc::new));
        let items = asked.as_ref().map(|asked| grant::account(&asked.manifest, &asked.grants, &uses));
        let is_other = match (&asked, self.registry.entry(name).map(|entry| entry.state)) {
            // Also while it is still being loaded.
            (Some(asked), Some(State::Ready { plugin, .. })) => asked.manifest != plugin.manifest,
            _ => false,
        };
        let version = asked.map(|asked| asked.manifest.version.clone());
        let items = items.unwrap_or_default();
        PluginAccount { listing, version, is_other, items, uses: used.times, further: used.further }
    }
}
