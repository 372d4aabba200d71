//! Taking up what changes in the plugin directory while plugins are called.
//!
//! The new bytes go through the same gate as at first, beside the running plugin; only what has come
//! all the way takes its place. Whatever is wrong with them, the loaded one goes on. A plugin that is there
//! at first, or comes later, is loaded before anybody calls for it: whoever installed it is told at once
//! whether it runs.

use std::collections::BTreeSet;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use domain::plugin::PluginName;
use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, StreamExt as _};
use tokio::task::block_in_place;
use tokio::time::Instant;
use tracing::{info, warn};

use super::Core;
use crate::carried;
use crate::change::{ChangeKind, Facts};
use crate::error::{LoadError, chain};
use crate::load::{Plugin, Source};
use crate::registry::{Entry, LEAVE_ALONE, Refused, State};
use crate::seen::Seen;
use crate::watch::Watch;

/// Plugins that are looked at beside each other: one may take minutes to compile.
#[derive(Default)]
struct Looks<'a> {
    under_way: FuturesUnordered<BoxFuture<'a, PluginName>>,
    names: BTreeSet<PluginName>,
    /// Those to be looked at once more, for they may have changed meanwhile.
    again: BTreeSet<PluginName>,
}

impl<'a> Looks<'a> {
    fn want(&mut self, core: &'a Core, name: &PluginName) {
        if !self.names.insert(name.clone()) {
            self.again.insert(name.clone());
            return;
        }
        let name = name.clone();
        self.under_way.push(Box::pin(async move {
            core.look(&name).await;
            name
        }));
    }

    /// Looks until it is time to look at everything.
    async fn go_on(&mut self, core: &'a Core, next: impl Future<Output = ()>) {
        let mut next = pin!(next);
        loop {
            tokio::select! {
                // First: whoever waits for what is in the directory expects the looks before the next time.
                biased;
                Some(name) = self.under_way.next() => {
                    self.names.remove(&name);
                    if self.again.remove(&name) {
                        self.want(core, &name);
                    }
                }
                () = &mut next => return,
            }
        }
    }
}

impl Core {
    /// Watches the plugin directory, until the host is stopped.
    pub(super) async fn watch(&self, directory: &Path) {
        let stirred = Arc::clone(&self.stirred);
        let mut watch = Watch::new(self.settings.watching, directory.to_owned(), stirred);
        let mut stopping = self.stopping.subscribe();
        let work = async {
            let folders = |names: &BTreeSet<PluginName>| {
                names.iter().map(|name| directory.join(name.as_str())).collect::<Vec<_>>()
            };
            let (mut names, mut looks) = (BTreeSet::new(), Looks::default());
            loop {
                names = block_in_place(|| {
                    // The directory first: what comes into it after it was listed is told.
                    watch.follow(folders(&names));
                    let names = self.followed();
                    watch.follow(folders(&names));
                    names
                });
                for name in &names {
                    looks.want(self, name);
                }
                looks.go_on(self, watch.next()).await;
            }
        };
        tokio::select! {
            // First: the thread's clock may be gone by the time a stopped host is polled once more.
            biased;
            _ = stopping.wait_for(|stopping| *stopping) => {}
            () = work => {}
        }
    }

    /// The plugins whose files matter: those that are known, and those in the directory or about to be,
    /// unless somebody has switched them off.
    fn followed(&self) -> BTreeSet<PluginName> {
        let mut names: BTreeSet<_> = self.folders().filter(|name| !self.is_off(name)).collect();
        names.extend(self.registry.names());
        names
    }

    /// How a plugin's files look now.
    pub(super) fn see(&self, name: &PluginName) -> Seen {
        block_in_place(|| Seen::of(self.settings.directory.as_deref(), name))
    }

    /// Looks at a plugin's files, and takes them up if they are not what they were.
    async fn look(&self, name: &PluginName) {
        // Whoever calls for it first tries again, and is told the reason itself.
        self.look_if(name, is_due, Duration::ZERO).await;
    }

    /// The same; also if they are what they were, where that is `wanted`. What does not load is left alone for `rest`.
    async fn look_if(&self, name: &PluginName, wanted: fn(&State) -> bool, rest: Duration) {
        let changed = || {
            let (entry, seen) = (self.registry.entry(name), self.see(name));
            let is_changed = match &entry {
                Some(entry) => entry.seen != seen || wanted(&entry.state),
                None => seen.has_component() && !self.is_off(name),
            };
            is_changed.then_some((entry, seen))
        };
        if changed().is_none() {
            return;
        }
        let _one_at_a_time = self.loading(name).await;
        // Somebody who called for it may have been quicker.
        let Some((entry, seen)) = changed() else { return };
        let Some(entry) = entry else { return drop(self.take_up(name, seen, None, rest).await) };
        match entry.state {
            // It never was, and is gone: nobody expects it.
            State::Refused { .. } if seen.folder_removed() && !self.is_expected(name) => {
                self.registry.remove(name);
            }
            State::Refused { again: None, .. } if seen.folder_removed() => {}
            State::Refused { reason, .. } => drop(self.take_up(name, seen, Some(&reason), rest).await),
            State::Ready { plugin, refused } => {
                let state = self.renewed(name, &seen, &plugin, refused).await;
                if !matches!(state, State::Ready { .. }) {
                    // Before anybody sees that it is gone, and deletes what it kept.
                    self.keeping.end(name).closed().await;
                }
                let entry = Entry { seen, state };
                let now = match (self.put(name, &entry), entry.state) {
                    (true, State::Ready { plugin: now, .. }) => Some(now),
                    _ => None,
                };
                if now.as_ref().is_some_and(|now| Arc::ptr_eq(now, &plugin)) {
                    return;
                }
                // Afterwards, so that nobody finds it who calls anew.
                plugin.warm.retire();
                if let Some(new) = now {
                    let (from, to) = (&plugin.facts, &new.facts);
                    info!(plugin = %name, %from, %to, publisher = to.publisher, "plugin replaced while it was served");
                    self.changed(name, new.facts.clone(), ChangeKind::Reloaded(from.clone()));
                }
            }
        }
    }

    /// Tries files that were refused, however long they are to be left alone; `by` is who wanted it. Whether they are
    /// served now.
    pub(super) async fn retry(&self, name: &PluginName, by: &str) -> bool {
        let served = || match self.registry.entry(name)?.state {
            State::Ready { plugin, .. } => Some(plugin),
            State::Refused { .. } => None,
        };
        let before = served();
        if !self.registry.entry(name).is_some_and(|entry| is_refused(&entry.state)) {
            return false;
        }
        info!(plugin = %name, by, "what was refused is tried again");
        self.look_if(name, is_refused, LEAVE_ALONE).await;
        served().is_some_and(|now| before.is_none_or(|before| !Arc::ptr_eq(&before, &now)))
    }

    /// Loads a plugin that is not loaded. `before` is why it was not until now; if it does not load, it is left
    /// alone for `rest`. Called under the loading lock only.
    ///
    /// # Errors
    /// Why it is not loaded still.
    pub(super) async fn take_up(
        &self,
        name: &PluginName,
        seen: Seen,
        before: Option<&Arc<str>>,
        rest: Duration,
    ) -> Result<Arc<Plugin>, LoadError> {
        let (loaded, facts) = self.load(name, None).await;
        // There is nothing loaded whose bytes they could be.
        let loaded = loaded.and_then(|plugin| plugin.ok_or_else(|| LoadError::Stopped(name.clone())));
        let state = match &loaded {
            Ok(plugin) => State::Ready { plugin: Arc::clone(plugin), refused: None },
            Err(error) => {
                let (again, facts) = (Some(Instant::now() + rest), Arc::new(facts.clone()));
                State::Refused { reason: chain(error).into(), again, facts }
            }
        };
        let entry = Entry { seen, state };
        if !self.put(name, &entry) {
            return Err(LoadError::SwitchedOff(name.clone()));
        }
        // What did not come to be is not told of.
        match entry.state {
            State::Ready { plugin, .. } => {
                info!(plugin = %name, version = %plugin.manifest.version, digest = %plugin.digest, from = %plugin.source, publisher = plugin.facts.publisher, "plugin loaded");
                if carried::is_carried(name) && matches!(plugin.source, Source::File(_)) {
                    warn!(plugin = %name, from = %plugin.source, "it takes the place of the plugin of that name that this program carries");
                }
                self.changed(name, facts, ChangeKind::Loaded);
            }
            State::Refused { reason, .. } if before != Some(&reason) => {
                warn!(plugin = %name, %reason, "plugin refused");
                self.changed(name, facts, ChangeKind::Rejected(reason.to_string()));
            }
            State::Refused { .. } => {}
        }
        // Its folder is to be watched from now on.
        self.stirred.notify_one();
        loaded
    }

    /// Puts a plugin in place of what was known of it, unless it was switched off since it was found: also where it is
    /// on again, for what it keeps has ended with that. Whoever switched it on waits to load it anew.
    fn put(&self, name: &PluginName, entry: &Entry) -> bool {
        let has_ended = || match &entry.state {
            State::Ready { plugin, .. } => plugin.callable.provisions.kept.has_ended(),
            State::Refused { .. } => false,
        };
        self.registry.put(name, entry, || has_ended() || self.is_switched_off(name))
    }

    /// What becomes of a loaded plugin whose files are not what they were.
    async fn renewed(
        &self,
        name: &PluginName,
        seen: &Seen,
        plugin: &Arc<Plugin>,
        refused: Option<Refused>,
    ) -> State {
        if let Some(state) = self.without_files(name, seen, plugin, refused.as_ref()) {
            return state;
        }
        let (loaded, facts) = self.load(name, Some(plugin)).await;
        if loaded.is_err()
            // Removed file by file, and looked at in between: it was no other version that did not load.
            && let Some(state) = self.without_files(name, &self.see(name), plugin, refused.as_ref())
        {
            return state;
        }
        let loaded = match loaded {
            Ok(Some(new)) => self.tried(new).await.map(Some),
            other => other,
        };
        match loaded {
            Ok(Some(new)) => State::Ready { plugin: new, refused: None },
            Ok(None) => {
                if refused.is_some() {
                    info!(plugin = %name, "the files of the plugin are those that are loaded");
                }
                State::Ready { plugin: Arc::clone(plugin), refused: None }
            }
            Err(error) => self.keep(name, plugin, refused, &error, Some(facts)),
        }
    }

    /// What becomes of a plugin that was loaded from a file, if that is gone.
    fn without_files(
        &self,
        name: &PluginName,
        seen: &Seen,
        plugin: &Arc<Plugin>,
        refused: Option<&Refused>,
    ) -> Option<State> {
        let Source::File(path) = &plugin.source else { return None };
        if seen.folder_removed() || seen.no_component() {
            // And not what was there in between.
            self.diaries.begun(name).asks(Some(plugin.asks(&self.written(name))));
        }
        // Without the one that keeps the records there is no cluster, as where somebody wants to switch it off.
        if seen.folder_removed() && !self.keeps_records(name) {
            return Some(self.unload(name, plugin, path));
        }
        if !seen.no_component() {
            return None;
        }
        let error = LoadError::FileRemoved { name: name.clone(), path: path.clone() };
        Some(self.keep(name, plugin, refused.cloned(), &error, None))
    }

    /// The loaded plugin goes on; `before` is why it did until now. With facts, what was refused is
    /// another version, and others are told.
    fn keep(
        &self,
        name: &PluginName,
        plugin: &Arc<Plugin>,
        before: Option<Refused>,
        error: &LoadError,
        other: Option<Facts>,
    ) -> State {
        let reason: Arc<str> = chain(error).into();
        let before = before.filter(|before| before.reason == reason);
        if before.is_none() {
            warn!(plugin = %name, serving = %plugin.facts, %reason, "what is in the plugin's folder is not served, the loaded version goes on");
            if let Some(facts) = other {
                self.changed(name, facts, ChangeKind::Rejected(reason.to_string()));
            }
        }
        let refused = Some(Refused::after(before.as_ref(), reason, error));
        State::Ready { plugin: Arc::clone(plugin), refused }
    }

    /// The plugin is gone with its folder. One that is carried under the same name is another plugin,
    /// with other grants, and does not slip into its place.
    fn unload(&self, name: &PluginName, plugin: &Plugin, path: &Path) -> State {
        let folder = path.parent().unwrap_or(path).to_owned();
        let otherwise = match carried::find(name.as_str()) {
            Some(_) => ", or restart to use the one of that name that this program carries",
            None if self.settings.plugins.contains_key(name) => {
                "; if it is to stay away, its entry in teleport.plugins.load can go too"
            }
            None => "",
        };
        let reason: Arc<str> = chain(&LoadError::Removed { name: name.clone(), folder, otherwise }).into();
        warn!(plugin = %name, %reason, "plugin unloaded");
        self.changed(name, plugin.facts.clone(), ChangeKind::Rejected(reason.to_string()));
        State::Refused { reason, again: None, facts: Arc::new(plugin.facts.clone()) }
    }
}

/// Whether refused files are to be tried again though they are still the same. A plugin that is not
/// loaded at all is tried by whoever calls for it, or has it explained.
fn is_due(state: &State) -> bool {
    matches!(state, State::Ready { refused: Some(refused), .. } if refused.again <= Instant::now())
}

/// Whether files were refused that may be tried again as they are.
fn is_refused(state: &State) -> bool {
    matches!(state, State::Ready { refused: Some(_), .. } | State::Refused { again: Some(_), .. })
}
