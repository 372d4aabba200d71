//! The plugins that are loaded, by name, and those that would not load.
//!
//! Readers never wait: the table is swapped whole, and calls that run keep the plugin they began
//! with. A plugin that fails to load is not tried again at once, however often it is called for.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use arc_swap::ArcSwap;
use domain::plugin::PluginName;
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::change::Facts;
use crate::error::LoadError;
use crate::load::Plugin;
use crate::seen::Seen;

/// How long a plugin that did not load is left alone.
pub(crate) const LEAVE_ALONE: Duration = Duration::from_secs(30);

/// How long files that may not take a loaded plugin's place are left alone: the reason may have been a
/// full disk.
pub(crate) const TRY_AGAIN: Duration = Duration::from_secs(300);

/// The longest they are left alone, however often they were refused.
const TRY_AGAIN_MOST: Duration = Duration::from_secs(3600);

/// What is known of a plugin.
#[derive(Clone)]
pub(crate) struct Entry {
    /// How its files looked just before they were read.
    pub(crate) seen: Seen,
    /// What came of them.
    pub(crate) state: State,
}

/// Whether a plugin can be called.
#[derive(Clone)]
pub(crate) enum State {
    /// It can be called.
    Ready {
        /// The plugin.
        plugin: Arc<Plugin>,
        /// Why what lies in the directory by now is not served, when that is something else.
        refused: Option<Refused>,
    },
    /// It did not load, and why.
    Refused {
        /// The whole reason, in one line.
        reason: Arc<str>,
        /// When it may be tried again; nothing for not before its files are others.
        again: Option<Instant>,
        /// What was found out of it by then.
        facts: Arc<Facts>,
    },
}

/// Files that may not take a loaded plugin's place.
#[derive(Clone)]
pub(crate) struct Refused {
    /// The whole reason, in one line.
    pub(crate) reason: Arc<str>,
    /// When they are tried again though they are still the same.
    pub(crate) again: Instant,
    /// How long that is from when they were tried last.
    pub(crate) wait: Duration,
}

impl Refused {
    /// Files that were refused now, and `before` for the same reason. They are tried again ever less often: that
    /// may mean to compile them once more.
    pub(crate) fn after(before: Option<&Self>, reason: Arc<str>, error: &LoadError) -> Self {
        let (first, most) = match error {
            LoadError::Unready { .. } => (LEAVE_ALONE, TRY_AGAIN),
            _ => (TRY_AGAIN, TRY_AGAIN_MOST),
        };
        let now = Instant::now();
        let wait = before.map_or(first, |before| match before.again <= now {
            true => (before.wait * 2).min(most),
            // Somebody has tried them sooner: who does so again and again does not have them tried ever later.
            false => before.wait,
        });
        Self { reason, again: now + wait, wait }
    }
}

/// Every plugin that was called for, or is in the plugin directory.
#[derive(Default)]
pub(crate) struct Registry {
    entries: ArcSwap<BTreeMap<PluginName, Entry>>,
    /// How often they have been changed.
    changes: AtomicU64,
}

/// Something that is so of a plugin until anything changes, for whoever asks that again and again: the callers of
/// storage do, on other threads than the plugins', which would wait for each other's caches at every call.
#[derive(Default)]
pub(crate) struct Fact(AtomicU64);

/// The plugin that was found last, and after how many changes, for whoever asks for the same one again and again.
#[derive(Default)]
pub(crate) struct Found(Mutex<Option<(u64, Weak<Plugin>)>>);

impl Registry {
    /// The plugin, if it is ready; nothing, if it should be loaded.
    ///
    /// # Errors
    /// [`LoadError::Again`] while it is left alone, [`LoadError::StillRemoved`] as long as its folder is
    /// not there.
    pub(crate) fn find(&self, name: &PluginName) -> Result<Option<Arc<Plugin>>, LoadError> {
        match self.entries.load().get(name).map(|entry| &entry.state) {
            Some(State::Ready { plugin, .. }) => Ok(Some(Arc::clone(plugin))),
            Some(State::Refused { reason, again: Some(again), .. }) => {
                let wait = again.saturating_duration_since(Instant::now());
                if wait.is_zero() {
                    return Ok(None);
                }
                Err(LoadError::Again { name: name.clone(), reason: reason.to_string(), wait })
            }
            Some(State::Refused { reason, again: None, .. }) => {
                Err(LoadError::StillRemoved(reason.to_string()))
            }
            None => Ok(None),
        }
    }

    /// The same; looked up only if anything has changed since it was found last.
    ///
    /// # Errors
    /// As for [`Registry::find`].
    pub(crate) fn find_again(
        &self,
        name: &PluginName,
        last: &Found,
    ) -> Result<Option<Arc<Plugin>>, LoadError> {
        // Before it is looked up: a change in between is one change too many, and not one too few.
        let changes = self.changes.load(Ordering::Acquire);
        let mut last = last.0.lock();
        if let Some((at, plugin)) = &*last
            && *at == changes
            && let Some(plugin) = plugin.upgrade()
        {
            return Ok(Some(plugin));
        }
        let found = self.find(name)?;
        *last = found.as_ref().map(|plugin| (changes, Arc::downgrade(plugin)));
        Ok(found)
    }

    /// Whether something is so of the plugin of this name, as long as it serves; found out only if anything has
    /// changed since.
    pub(crate) fn fact(&self, name: &PluginName, last: &Fact, is_so: impl FnOnce(&Plugin) -> bool) -> bool {
        // One more, so that nothing known yet is not the first state; the lowest bit is the fact.
        let now = (self.changes.load(Ordering::Acquire) + 1) << 1;
        let known = last.0.load(Ordering::Relaxed);
        if known & !1 == now {
            return known & 1 == 1;
        }
        let is_so = self.find(name).ok().flatten().is_some_and(|plugin| is_so(&plugin));
        last.0.store(now | u64::from(is_so), Ordering::Relaxed);
        is_so
    }

    /// What is known of a plugin.
    pub(crate) fn entry(&self, name: &PluginName) -> Option<Entry> {
        self.entries.load().get(name).cloned()
    }

    /// The names of all.
    pub(crate) fn names(&self) -> Vec<PluginName> {
        self.entries.load().keys().cloned().collect()
    }

    /// Forgets a plugin.
    pub(crate) fn remove(&self, name: &PluginName) {
        self.entries.rcu(|entries| {
            let mut entries = BTreeMap::clone(entries);
            entries.remove(name);
            entries
        });
        self.changes.fetch_add(1, Ordering::Release);
    }

    /// Puts a plugin in place of what was known of it, unless it is off: whoever switches it off does so first
    /// and then has it forgotten, so that it is not put back by a load that began before. Says whether it is there.
    pub(crate) fn put(&self, name: &PluginName, entry: &Entry, is_off: impl Fn() -> bool) -> bool {
        let mut is_put = true;
        self.entries.rcu(|entries| {
            is_put = !is_off();
            if !is_put {
                return Arc::clone(entries);
            }
            let mut entries = BTreeMap::clone(entries);
            entries.insert(name.clone(), entry.clone());
            Arc::new(entries)
        });
        self.changes.fetch_add(1, Ordering::Release);
        is_put
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(again: Option<Instant>) -> Entry {
        Entry {
            seen: Seen::default(),
            state: State::Refused { reason: "broken".into(), again, facts: Arc::default() },
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_did_not_load_is_left_alone_for_a_while() {
        let registry = Registry::default();
        let name = PluginName::new("label-x").unwrap();
        assert!(registry.find(&name).unwrap().is_none());
        registry.put(&name, &refused(Some(Instant::now() + LEAVE_ALONE)), || false);
        let Err(error) = registry.find(&name) else { panic!("it is left alone") };
        assert_eq!(
            error.to_string(),
            "broken (not tried again for 30 s, or by: tctl plugins enable label-x)"
        );
        tokio::time::advance(LEAVE_ALONE).await;
        assert!(registry.find(&name).unwrap().is_none(), "it may be tried again");
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_refused_is_tried_again_ever_less_often() {
        let unready = LoadError::Unready {
            name: PluginName::new("storage-x").unwrap(),
            version: "1".into(),
            step: "open",
            reason: "nobody is there".into(),
        };
        let (mut waits, mut before) = (Vec::new(), None);
        for _ in 0..6 {
            let refused = Refused::after(before.as_ref(), "r".into(), &unready);
            assert_eq!(refused.again, Instant::now() + refused.wait);
            waits.push(refused.wait.as_secs());
            let sooner = Refused::after(Some(&refused), "r".into(), &unready);
            assert_eq!(sooner.wait, refused.wait);
            tokio::time::advance(refused.wait).await;
            before = Some(refused);
        }
        assert_eq!(waits, [30, 60, 120, 240, 300, 300]);
        let wrong = LoadError::Stopped(PluginName::new("storage-x").unwrap());
        let (mut waits, mut before) = (Vec::new(), None);
        for _ in 0..6 {
            let refused = Refused::after(before.as_ref(), "r".into(), &wrong);
            waits.push(refused.wait.as_secs());
            tokio::time::advance(refused.wait).await;
            before = Some(refused);
        }
        assert_eq!(waits, [300, 600, 1200, 2400, 3600, 3600]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_removed_is_not_tried_however_long_it_takes() {
        let registry = Registry::default();
        let name = PluginName::new("label-x").unwrap();
        registry.put(&name, &refused(None), || false);
        tokio::time::advance(LEAVE_ALONE * 100).await;
        let Err(error) = registry.find(&name) else { panic!("it is not tried") };
        assert_eq!(error.to_string(), "broken");
    }
}
