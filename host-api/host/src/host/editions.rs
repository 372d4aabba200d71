//! How often each plugin has been taken up, loaded or replaced, and how often let out of quarantine. Whoever keeps what a
//! plugin has computed, or why it could not, asks it anew then instead of at its next turn.

use std::collections::BTreeMap;

use domain::plugin::PluginName;
use port::label::Edition;
use tokio::sync::watch;

/// One number for each plugin there ever was, which are as many as there were folders.
#[derive(Default)]
pub(crate) struct Editions(watch::Sender<BTreeMap<PluginName, Edition>>);

impl Editions {
    /// It has been loaded or replaced.
    pub(super) fn add_version(&self, name: &PluginName) {
        self.0.send_modify(|editions| editions.entry(name.clone()).or_default().versions += 1);
    }

    /// What it failed for may be over.
    pub(super) fn add_release(&self, name: &PluginName) {
        self.0.send_modify(|editions| editions.entry(name.clone()).or_default().releases += 1);
    }

    /// How many there have been by now.
    pub(super) fn now(&self, name: &PluginName) -> Edition {
        self.0.borrow().get(name).copied().unwrap_or_default()
    }

    /// Waits until it may give another answer than in this one, in which it `has_failed` or not.
    pub(super) async fn after(&self, name: &PluginName, edition: Edition, has_failed: bool) {
        let is_another = |editions: &BTreeMap<PluginName, Edition>| {
            edition.is_past(editions.get(name).copied().unwrap_or_default(), has_failed)
        };
        // The sender is here.
        let _ = self.0.subscribe().wait_for(is_another).await;
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn each_plugin_has_editions_of_its_own() {
        let (editions, one) = (Editions::default(), PluginName::new("label-x").unwrap());
        let other = PluginName::new("label-y").unwrap();
        let none = Edition::default();
        let mut waiting = Box::pin(editions.after(&one, none, true));
        assert!(waiting.as_mut().now_or_never().is_none());
        editions.add_version(&other);
        assert!(waiting.as_mut().now_or_never().is_none());
        editions.add_version(&one);
        assert!(waiting.as_mut().now_or_never().is_some());
        let first = Edition { versions: 1, releases: 0 };
        assert_eq!((editions.now(&one), editions.now(&other)), (first, first));
        assert!(editions.after(&one, none, false).now_or_never().is_some(), "what came before is not missed");
        assert!(editions.after(&one, first, true).now_or_never().is_none());
        editions.add_release(&one);
        assert!(
            editions.after(&one, first, false).now_or_never().is_none(),
            "its answer is as good as it was"
        );
        assert!(editions.after(&one, first, true).now_or_never().is_some());
    }
}
