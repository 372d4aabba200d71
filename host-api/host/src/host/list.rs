//! What there is, for whoever lists plugins: carried, configured, in the directory, loaded or refused.

use std::collections::BTreeSet;

use domain::plugin::{Contract, Digest, PluginName, effective};

use super::{Core, PluginHost, refusal};
use crate::carried;
use crate::change::Facts;
use crate::compile::manifest_of;
use crate::diary::Asked;
use crate::load::{Plugin, Source, WASM_FILE, granted, manifest};
use crate::registry::{Refused, State};
use crate::settings::PluginSettings;

/// One plugin in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PluginListing {
    /// Its name.
    pub name: PluginName,
    /// How it is.
    pub state: PluginState,
    /// What is known of it once it has been loaded, or refused after its manifest was read, or because this program
    /// carries it.
    pub known: Option<KnownListing>,
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
    /// Nobody has called for it yet, and it is not in the directory, or has not been looked at there.
    NotLoaded,
    /// The operator switched it off in the configuration.
    Disabled,
    /// An administrator of this host switched it off.
    SwitchedOff,
    /// It did not load, and why.
    Refused(String),
}

/// What is known of a plugin whose manifest was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownListing {
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
    /// What it may do, one line each; nothing where it was refused.
    pub grants: Vec<String>,
}

impl KnownListing {
    /// Of what was found out of a plugin, if its manifest was read.
    fn of(facts: &Facts, description: String, grants: Vec<String>) -> Option<Self> {
        Some(Self {
            version: facts.version.clone()?,
            description,
            contract: facts.contract.clone()?,
            digest: facts.digest?,
            publisher: facts.publisher.clone(),
            source: facts.source.clone()?,
            grants,
        })
    }
}

impl PluginHost {
    /// Every plugin carried, configured, in the directory or called for, by name. Loads nothing.
    pub fn list(&self) -> Vec<PluginListing> {
        self.core.names().iter().map(|name| self.core.listing(name)).collect()
    }
}

impl Core {
    pub(super) fn names(&self) -> BTreeSet<PluginName> {
        let mut names: BTreeSet<_> = self.settings.plugins.keys().cloned().collect();
        names.extend(carried::all().iter().filter_map(|carried| PluginName::new(carried.name).ok()));
        names.extend(self.registry.names());
        // One that is gone can be switched on again, so that its next version runs.
        names.extend(self.switches.names());
        names.extend(self.installed());
        names
    }

    /// The plugins in the directory.
    fn installed(&self) -> impl Iterator<Item = PluginName> {
        let has_component = |name: &PluginName| {
            let directory = self.settings.directory.as_deref();
            directory.is_some_and(|directory| directory.join(name.as_str()).join(WASM_FILE).exists())
        };
        self.folders().filter(has_component)
    }

    /// The folders of the directory that could be those of plugins. A directory that cannot be read shows up
    /// as the refusal of whatever is called for from it.
    pub(super) fn folders(&self) -> impl Iterator<Item = PluginName> + use<> {
        let directory = self.settings.directory.as_ref();
        let folders = directory.and_then(|directory| std::fs::read_dir(directory).ok());
        let names = folders.into_iter().flatten().flatten().map(|folder| folder.file_name().into_string());
        names.filter_map(|name| PluginName::new(name.ok()?).ok())
    }

    /// Whether somebody would miss it: it is configured, or this program carries it.
    pub(super) fn is_expected(&self, name: &PluginName) -> bool {
        self.settings.plugins.contains_key(name) || carried::find(name.as_str()).is_some()
    }

    pub(super) fn listing(&self, name: &PluginName) -> PluginListing {
        let disabled = self.settings.plugins.get(name).is_some_and(|written| !written.enabled);
        let (state, known) = match self.registry.entry(name).map(|entry| entry.state) {
            _ if disabled => (PluginState::Disabled, self.carried(name)),
            _ if self.is_switched_off(name) => (PluginState::SwitchedOff, self.carried(name)),
            None => (PluginState::NotLoaded, self.carried(name)),
            Some(State::Refused { reason, facts, .. }) => {
                let asked = self.diaries.find(name).and_then(|diary| diary.asked());
                let description = asked.map(|asked| asked.manifest.description.clone());
                let found = KnownListing::of(&facts, description.unwrap_or_default(), Vec::new());
                (PluginState::Refused(reason.to_string()), found.or_else(|| self.carried(name)))
            }
            Some(State::Ready { plugin, refused }) => {
                let grants = plugin.callable.provisions.effective.lines();
                let loaded = KnownListing::of(&plugin.facts, plugin.manifest.description.clone(), grants);
                (state(&plugin, refused), loaded)
            }
        };
        PluginListing { name: name.clone(), state, known }
    }

    /// What a carried plugin asks for, without loading it, unless one from the directory goes before it.
    pub(super) fn carried_asks(&self, name: &PluginName) -> Option<Asked> {
        let in_directory = self.settings.directory.as_ref().map(|directory| directory.join(name.as_str()));
        if in_directory.is_some_and(|folder| folder.exists()) {
            return None;
        }
        let carried = carried::find(name.as_str())?;
        let text = manifest_of(carried.wasm).ok().flatten()?;
        let manifest = manifest::parse(&text).ok()?;
        Some(Asked { manifest, grants: granted(carried.grants(), &self.written(name)) })
    }

    /// What the operator says of a plugin.
    pub(super) fn written(&self, name: &PluginName) -> PluginSettings {
        self.settings.plugins.get(name).cloned().unwrap_or_default()
    }

    fn carried(&self, name: &PluginName) -> Option<KnownListing> {
        let Asked { manifest, grants } = self.carried_asks(name)?;
        let wasm = carried::find(name.as_str())?.wasm;
        let effective = effective(&manifest, &grants).unwrap_or_default();
        Some(KnownListing {
            version: manifest.version,
            description: manifest.description,
            contract: manifest.contract,
            digest: Digest::of(wasm),
            publisher: None,
            source: Source::Carried.to_string(),
            grants: effective.lines(),
        })
    }
}

/// How a loaded plugin is. That it is not called at all goes before what is in its folder.
fn state(plugin: &Plugin, refused: Option<Refused>) -> PluginState {
    if let Some(quarantine) = plugin.conduct.quarantine() {
        return PluginState::Quarantined(refusal(&plugin.manifest.name, quarantine).to_string());
    }
    refused.map_or(PluginState::Ready, |refused| PluginState::Behind(refused.reason.to_string()))
}
