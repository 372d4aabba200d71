//! How often each plugin has been taken up: loaded, replaced, let out of quarantine. Whoever keeps what a
//! plugin has computed, or why it could not, asks it anew then instead of at its next turn.

use std::collections::BTreeMap;

use domain::plugin::PluginName;
use tokio::sync::watch;

/// One number for each plugin there ever was, which are as many as there were folders.
#[derive(Default)]
pub(crate) struct Editions(watch::Sender<BTreeMap<PluginName, u64>>);

impl Editions {
    /// One more.
    pub(super) fn add(&self, name: &PluginName) {
        self.0.send_modify(|editions| *editions.entry(name.clone()).or_default() += 1);
    }

    /// How many there have been by now.
    pub(super) fn now(&self, name: &PluginName) -> u64 {
        self.0.borrow().get(name).copied().unwrap_or_default()
    }

    /// Waits until there have been others than so many.
    pub(super) async fn after(&self, name: &PluginName, edition: u64) {
        let is_another =
            |editions: &BTreeMap<PluginName, u64>| editions.get(name).copied().unwrap_or_default() != edition;
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
        let mut waiting = Box::pin(editions.after(&one, 0));
        assert!(waiting.as_mut().now_or_never().is_none());
        editions.add(&other);
        assert!(waiting.as_mut().now_or_never().is_none());
        editions.add(&one);
        assert!(waiting.as_mut().now_or_never().is_some());
        assert_eq!((editions.now(&one), editions.now(&other)), (1, 1));
        assert!(editions.after(&one, 0).now_or_never().is_some(), "what came before is not missed");
        assert!(editions.after(&one, 1).now_or_never().is_none());
    }
}
