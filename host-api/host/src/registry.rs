//! The plugins that are loaded, by name, and those that would not load.
//!
//! Readers never wait: the table is swapped whole, and calls that run keep the plugin they began
//! with. A plugin that fails to load is not tried again at once, however often it is called for.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use domain::plugin::PluginName;
use tokio::time::Instant;

use crate::error::LoadError;
use crate::load::Plugin;

/// How long a plugin that did not load is left alone.
pub(crate) const LEAVE_ALONE: Duration = Duration::from_secs(30);

/// What is known of a plugin.
#[derive(Clone)]
pub(crate) enum Entry {
    /// It can be called.
    Ready(Arc<Plugin>),
    /// It did not load, and why.
    Refused {
        /// The whole reason, in one line.
        reason: Arc<str>,
        /// When it may be tried again.
        again: Instant,
    },
}

/// Every plugin that was called for.
#[derive(Default)]
pub(crate) struct Registry {
    entries: ArcSwap<BTreeMap<PluginName, Entry>>,
}

impl Registry {
    /// The plugin, if it is ready; nothing, if it should be loaded.
    ///
    /// # Errors
    /// [`LoadError::Again`] while it is left alone.
    pub(crate) fn find(&self, name: &PluginName) -> Result<Option<Arc<Plugin>>, LoadError> {
        match self.entries.load().get(name) {
            Some(Entry::Ready(plugin)) => Ok(Some(Arc::clone(plugin))),
            Some(Entry::Refused { reason, again }) => {
                let wait = again.saturating_duration_since(Instant::now());
                if wait.is_zero() {
                    return Ok(None);
                }
                Err(LoadError::Again { reason: reason.to_string(), wait })
            }
            None => Ok(None),
        }
    }

    /// What is known of a plugin.
    pub(crate) fn entry(&self, name: &PluginName) -> Option<Entry> {
        self.entries.load().get(name).cloned()
    }

    /// The names of all.
    pub(crate) fn names(&self) -> Vec<PluginName> {
        self.entries.load().keys().cloned().collect()
    }

    /// Puts a plugin in place of what was known of it.
    pub(crate) fn put(&self, name: &PluginName, entry: &Entry) {
        self.entries.rcu(|entries| {
            let mut entries = BTreeMap::clone(entries);
            entries.insert(name.clone(), entry.clone());
            entries
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_did_not_load_is_left_alone_for_a_while() {
        let registry = Registry::default();
        let name = PluginName::new("label-x").unwrap();
        assert!(registry.find(&name).unwrap().is_none());
        registry.put(&name, &Entry::Refused { reason: "broken".into(), again: Instant::now() + LEAVE_ALONE });
        let Err(error) = registry.find(&name) else { panic!("it is left alone") };
        assert_eq!(error.to_string(), "broken (not tried again for 30 s)");
        tokio::time::advance(LEAVE_ALONE).await;
        assert!(registry.find(&name).unwrap().is_none(), "it may be tried again");
    }
}
