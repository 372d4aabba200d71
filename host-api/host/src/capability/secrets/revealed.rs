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

    /// The plugin is about to see this secret. Whether it may: not before whoever is told has taken it, or
    /// it would have seen a secret that nobody knows of.
    pub(super) fn tell(&self, plugin: &Identity, label: &SecretLabel) -> bool {
        // Held meanwhile, so that of two calls at once the second knows what came of the first.
        let mut told = self.told.lock();
        if told.contains(label) {
            return true;
        }
        if let Some(observer) = &self.observer {
            let kind = ChangeKind::Revealed(label.clone());
            let change = Change { plugin: plugin.name.clone(), facts: self.facts.clone(), kind };
            if !observer(&change) {
                return false;
            }
        }
        told.insert(label.clone());
        info!(plugin = %plugin.name, version = %plugin.version, %label, "a secret was revealed to the plugin");
        true
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};

    use domain::plugin::PluginName;

    use super::*;

    #[test]
    fn what_could_not_be_told_is_not_shown_and_is_told_the_next_time() {
        let (has_room, told) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let (room, count) = (Arc::clone(&has_room), Arc::clone(&told));
        let observer: ChangeObserver = Arc::new(move |change| {
            assert_eq!(change.kind.key(), "reveal");
            let has_room = room.load(SeqCst);
            count.fetch_add(usize::from(has_room), SeqCst);
            has_room
        });
        let revealed = Revealed::new(Some(observer), Facts::default());
        let plugin = Identity { name: PluginName::new("label-x").unwrap(), version: "1.0.0".into() };
        let label = SecretLabel::new("token").unwrap();
        assert!(!revealed.tell(&plugin, &label) && !revealed.tell(&plugin, &label));
        has_room.store(true, SeqCst);
        assert!(revealed.tell(&plugin, &label));
        // Once is enough, whether or not there is room for more.
        has_room.store(false, SeqCst);
        assert!(revealed.tell(&plugin, &label));
        assert!(
            !revealed.tell(&plugin, &SecretLabel::new("other").unwrap()),
            "another one has not been told of"
        );
        assert_eq!(told.load(SeqCst), 1);
    }
}
