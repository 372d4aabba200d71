//! What there is, for whoever lists plugins: carried, configured, in the directory, loaded or refused.

use std::collections::BTreeSet;

use domain::plugin::{Contract, Digest, PluginName};

use super::{Core, PluginHost, refusal};
use crate::carried;
use crate::load::{Plugin, WASM_FILE};
use crate::registry::{Refused, State};

/// One plugin in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PluginListing {
    /// Its name.
    pub name: PluginName,
    /// How it is.
    pub state: PluginState,
    /// What is known of it once it has been loaded.
    pub loaded: Option<LoadedListing>,
}

/// How a plugin is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PluginState {
    /// It has been loaded and can be called.
    Ready,
    /// It can be called as it was loaded, but what is in its folder by now is something else that is
    /// not served, and why.
    Behind(String),
    /// It is loaded, and not called for a while because it failed too often; until when, and the last
    /// failure.
    Quarantined(String),
    /// Nobody has called for it yet.
    NotLoaded,
    /// The operator switched it off.
    Disabled,
    /// It did not load, and why.
    Refused(String),
}

/// What is known of a plugin that has been loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadedListing {
    /// Its own version.
    pub version: String,
    /// What it is for.
    pub description: String,
    /// Its contract.
    pub contract: Contract,
    /// Which bytes it is.
    pub digest: Digest,
    /// Who signed it and with which key, where the configuration asks for a signature.
    pub publisher: Option<String>,
    /// Where it came from: a path, or `this program`.
    pub source: String,
    /// What it may do, one line each.
    pub grants: Vec<String>,
}

impl PluginHost {
    /// Every plugin carried, configured, in the directory or called for, by name. Loads nothing.
    pub fn list(&self) -> Vec<PluginListing> {
        self.core.names().iter().map(|name| self.core.listing(name)).collect()
    }
}

impl Core {
    fn names(&self) -> BTreeSet<PluginName> {
        let mut names: BTreeSet<_> = self.settings.plugins.keys().cloned().collect();
        names.extend(carried::all().iter().filter_map(|carried| PluginName::new(carried.name).ok()));
        names.extend(self.registry.names());
        // A directory that cannot be read shows up as the refusal of whatever is called for from it.
        let folders =
            self.settings.directory.as_ref().and_then(|directory| std::fs::read_dir(directory).ok());
        for folder in folders.into_iter().flatten().flatten() {
            if folder.path().join(WASM_FILE).exists() {
                names.extend(
                    folder.file_name().into_string().ok().and_then(|name| PluginName::new(name).ok()),
                );
            }
        }
        names
    }

    fn listing(&self, name: &PluginName) -> PluginListing {
        let disabled = self.settings.plugins.get(name).is_some_and(|written| !written.enabled);
        let (state, loaded) = match self.registry.entry(name).map(|entry| entry.state) {
            _ if disabled => (PluginState::Disabled, None),
            None => (PluginState::NotLoaded, None),
            Some(State::Refused { reason, .. }) => (PluginState::Refused(reason.to_string()), None),
            Some(State::Ready { plugin, refused }) => {
                let loaded = LoadedListing {
                    version: plugin.manifest.version.clone(),
                    description: plugin.manifest.description.clone(),
                    contract: plugin.manifest.contract.clone(),
                    digest: plugin.digest,
                    publisher: plugin.publisher.as_ref().map(ToString::to_string),
                    source: plugin.source.to_string(),
                    grants: plugin.callable.provisions.effective.lines(),
                };
                (state(&plugin, refused), Some(loaded))
            }
        };
        PluginListing { name: name.clone(), state, loaded }
    }
}

/// How a loaded plugin is. That it is not called at all goes before what is in its folder.
fn state(plugin: &Plugin, refused: Option<Refused>) -> PluginState {
    if let Some(quarantine) = plugin.conduct.quarantine() {
        return PluginState::Quarantined(refusal(&plugin.manifest.name, quarantine).to_string());
    }
    refused.map_or(PluginState::Ready, |refused| PluginState::Behind(refused.reason.to_string()))
}
