//! When to look at the plugin directory again: at once when the kernel tells of changes, now and then in
//! any case, and every few seconds where the kernel tells nothing.
//!
//! Events only say that something happened; what, is found out by looking ([`crate::seen`]). So
//! a lost event, a queue that ran over or a watch on a folder that was replaced costs time until the
//! next look, and nothing else.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use notify::event::{AccessKind, AccessMode};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout, timeout_at};
use tracing::{info, warn};

/// When the plugin directory is looked at. [`Watching::default`] is what the product does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Watching {
    /// Whether the kernel is asked to tell of changes.
    pub events: bool,
    /// How long nothing must have happened before a change is looked at: files are copied in many
    /// small steps.
    pub quiet: Duration,
    /// The longest it waits for that.
    pub longest: Duration,
    /// How often it looks where the kernel tells nothing, or the directory is not there.
    pub poll: Duration,
    /// How often it looks although the kernel tells of changes: not of all, such as to a file behind
    /// a link, or on a network disk.
    pub sweep: Duration,
}

impl Default for Watching {
    fn default() -> Self {
        Self {
            events: true,
            quiet: Duration::from_millis(200),
            longest: Duration::from_secs(2),
            poll: Duration::from_secs(5),
            sweep: Duration::from_secs(30),
        }
    }
}

/// Watches a plugin directory and the folders in it that matter.
pub(crate) struct Watch {
    rules: Watching,
    directory: PathBuf,
    stirred: Arc<Notify>,
    watcher: Option<RecommendedWatcher>,
    /// Which folder was found under each path, by device and inode.
    watched: BTreeMap<PathBuf, (u64, u64)>,
    /// Whether it was said that the kernel tells nothing.
    told: bool,
}

impl Watch {
    /// A watch that has not begun. `stirred` is told of changes, and may be told by others.
    pub(crate) fn new(rules: Watching, directory: PathBuf, stirred: Arc<Notify>) -> Self {
        Self { rules, directory, stirred, watcher: None, watched: BTreeMap::new(), told: false }
    }

    /// Follows the directory and these folders from now on, as they are now. Called before each look,
    /// so that whatever happens during the look is told.
    pub(crate) fn follow(&mut self, folders: impl IntoIterator<Item = PathBuf>) {
        let mut wanted: Vec<_> = folders.into_iter().collect();
        wanted.push(self.directory.clone());
        match self.try_to_follow(&wanted) {
            Ok(()) if self.told && self.watcher.is_some() => {
                info!(directory = %self.directory.display(), "the system tells of changes to plugins again");
                self.told = false;
            }
            Ok(()) => {}
            Err(error) => {
                self.watcher = None;
                self.watched.clear();
                if !std::mem::replace(&mut self.told, true) {
                    let (directory, every) = (self.directory.display(), self.rules.poll);
                    warn!(%directory, ?every, %error, "the system does not tell of changes to plugins; they are looked for");
                }
            }
        }
    }

    fn try_to_follow(&mut self, wanted: &[PathBuf]) -> notify::Result<()> {
        if !self.rules.events {
            return Err(notify::Error::generic("it is not asked to"));
        }
        let watcher = match &mut self.watcher {
            Some(watcher) => watcher,
            None => {
                let stirred = Arc::clone(&self.stirred);
                let tell = move |event: notify::Result<Event>| {
                    if event.map_or(true, |event| stirs(&event)) {
                        stirred.notify_one();
                    }
                };
                self.watcher.insert(notify::recommended_watcher(tell)?)
            }
        };
        let dropped: Vec<_> = self.watched.keys().filter(|path| !wanted.contains(path)).cloned().collect();
        for path in dropped {
            self.watched.remove(&path);
            // Its folder may be gone, and the watch with it.
            let _gone = watcher.unwatch(&path);
        }
        for path in wanted {
            let found = folder(path);
            if self.watched.get(path).is_some_and(|before| Some(*before) != found) {
                self.watched.remove(path);
                let _gone = watcher.unwatch(path);
            }
            let Some(found) = found else { continue };
            // Each time anew: a watch ends with its folder, and the number of a folder that is gone may
            // be given to the next.
            match watcher.watch(path, RecursiveMode::NonRecursive) {
                Ok(()) => drop(self.watched.insert(path.clone(), found)),
                // Gone since, or closed to us; the directory tells when that changes.
                Err(_) if folder(path) != Some(found) => {}
                Err(error) if closed(&error) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Waits until it is time to look.
    pub(crate) async fn next(&self) {
        let blind = self.watcher.is_none() || !self.watched.contains_key(&self.directory);
        let period = if blind { self.rules.poll } else { self.rules.sweep };
        if timeout(period, self.stirred.notified()).await.is_err() {
            return;
        }
        let latest = Instant::now() + self.rules.longest;
        while Instant::now() < latest {
            let quiet = latest.min(Instant::now() + self.rules.quiet);
            if timeout_at(quiet, self.stirred.notified()).await.is_err() {
                return;
            }
        }
    }
}

fn folder(path: &Path) -> Option<(u64, u64)> {
    std::fs::metadata(path).ok().filter(std::fs::Metadata::is_dir).map(|found| (found.dev(), found.ino()))
}

fn closed(error: &notify::Error) -> bool {
    matches!(&error.kind, notify::ErrorKind::Io(error) if error.kind() == std::io::ErrorKind::PermissionDenied)
}

/// Whether an event may mean that files are others now. Reading does not, least of all our own.
fn stirs(event: &Event) -> bool {
    match event.kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => true,
        EventKind::Access(_) => event.need_rescan(),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use notify::event::{CreateKind, Flag};

    use super::*;

    const LONG: Duration = Duration::from_secs(3600);

    fn watch(rules: Watching, directory: &Path) -> (Watch, Arc<Notify>) {
        let stirred = Arc::new(Notify::new());
        (Watch::new(rules, directory.to_owned(), Arc::clone(&stirred)), stirred)
    }

    #[test]
    fn reading_is_no_change_and_a_lost_event_may_be() {
        let opened = Event::new(EventKind::Access(AccessKind::Open(AccessMode::Any)));
        assert!(!stirs(&opened));
        assert!(!stirs(&Event::new(EventKind::Access(AccessKind::Close(AccessMode::Read)))));
        assert!(stirs(&Event::new(EventKind::Access(AccessKind::Close(AccessMode::Write)))));
        assert!(stirs(&Event::new(EventKind::Create(CreateKind::Any))));
        // What the library makes of a queue that ran over.
        assert!(stirs(&Event::new(EventKind::Other).set_flag(Flag::Rescan)));
    }

    #[tokio::test(start_paused = true)]
    async fn changes_are_gathered_until_it_is_quiet_but_not_for_ever() {
        let root = tempfile::tempdir().unwrap();
        let (mut watch, stirred) = watch(Watching::default(), root.path());
        watch.follow([]);
        let began = Instant::now();
        stirred.notify_one();
        watch.next().await;
        assert_eq!(began.elapsed(), Watching::default().quiet);
        let began = Instant::now();
        let restless = async {
            loop {
                stirred.notify_one();
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::select! {
            () = watch.next() => {}
            () = restless => {}
        }
        assert_eq!(began.elapsed(), Watching::default().longest);
    }

    #[tokio::test(start_paused = true)]
    async fn it_looks_now_and_then_and_often_where_nothing_is_told() {
        let root = tempfile::tempdir().unwrap();
        let rules = Watching::default();
        for (rules, directory, expected) in [
            (rules, root.path().to_owned(), rules.sweep),
            (Watching { events: false, ..rules }, root.path().to_owned(), rules.poll),
            (rules, root.path().join("none"), rules.poll),
        ] {
            let (mut watch, _stirred) = watch(rules, &directory);
            watch.follow([root.path().join("no-folder")]);
            let began = Instant::now();
            watch.next().await;
            assert_eq!(began.elapsed(), expected);
        }
    }

    /// Waits for the kernel, which nobody can hurry.
    async fn told(watch: &Watch) {
        timeout(Duration::from_secs(60), watch.next()).await.expect("it is told");
    }

    #[tokio::test]
    async fn the_kernel_tells_of_folders_that_came_and_went() {
        let rules = Watching { poll: LONG, sweep: LONG, ..Watching::default() };
        let root = tempfile::tempdir().unwrap();
        let (directory, folder) = (root.path().join("plugins"), root.path().join("plugins/label-x"));
        std::fs::create_dir(&directory).unwrap();
        let (mut watch, _stirred) = watch(rules, &directory);
        for round in 0..3 {
            watch.follow([folder.clone()]);
            std::fs::create_dir(&folder).unwrap();
            told(&watch).await;
            watch.follow([folder.clone()]);
            std::fs::write(folder.join("plugin.wasm"), b"x").unwrap();
            told(&watch).await;
            watch.follow([folder.clone()]);
            std::fs::rename(&folder, directory.join(format!("old-{round}"))).unwrap();
            told(&watch).await;
        }
        watch.follow([]);
        std::fs::rename(&directory, root.path().join("gone")).unwrap();
        told(&watch).await;
    }
}
