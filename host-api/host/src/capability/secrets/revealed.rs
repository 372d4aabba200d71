//! Telling that a plugin has seen a secret: whoever answers for it later needs to know which versions
//! could have kept or passed it on. Told at the first time for each secret while the plugin is loaded, so
//! that a plugin that asks in every call does not fill the audit log.

use std::collections::BTreeSet;

use domain::plugin::SecretLabel;
use parking_lot::Mutex;
use tracing::info;

use crate::call::Identity;
use crate::change::{Change, ChangeKind, ChangeObserver, Facts};

/// What a loaded plugin has seen, and who is told of it.
pub(crate) struct Revealed {
    observer: Option<ChangeObserver>,
    facts: Facts,
    /// As many as the operator granted, at most.
    told: Mutex<BTreeSet<SecretLabel>>,
}

impl Revealed {
    /// For the plugin with these facts; nobody has seen anything yet.
    pub(crate) fn new(observer: Option<ChangeObserver>, facts: Facts) -> Self {
        Self { observer, facts, told: Mutex::default() }
    }

    /// The plugin is about to see this secret.
    pub(super) fn tell(&self, plugin: &Identity, label: &SecretLabel) {
        if !self.told.lock().insert(label.clone()) {
            return;
        }
        info!(plugin = %plugin.name, version = %plugin.version, %label, "a secret was revealed to the plugin");
        if let Some(observer) = &self.observer {
            let kind = ChangeKind::Revealed(label.clone());
            observer(&Change { plugin: plugin.name.clone(), facts: self.facts.clone(), kind });
        }
    }
}
