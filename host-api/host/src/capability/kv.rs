//! `teleport:host/kv`: a few bytes a plugin keeps from call to call, in one small file of its own below
//! the data folder.
//!
//! The whole file is written whole, beside the old one and over it: a crash leaves the one or the other. It is synced
//! before the plugin is answered. It is read anew when it is another file than the one read or written last: what an
//! administrator has deleted or put back is not undone from memory.
//!
//! Reading and writing are waited for beside the call ([`super::disk`]): one whose time is over ends, also when the disk
//! does not answer, and what it has begun to write is written or not, as at any crash.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::io;
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::plugin::PluginName;
use domain::plugin::grant::Use;
use tokio::sync::{Mutex, OwnedMappedMutexGuard, OwnedMutexGuard};
use tokio::task::JoinError;

use super::disk::{self, Nearness};
use super::v1::teleport::host::kv::{Failure, Host};
use crate::call::CallState;
use crate::place::{self, Kept as Folder, Owner};
use crate::rehearsal::Rehearsal;

/// The longest key, in bytes.
const KEY_MAX: usize = 256;

/// What one entry costs beside its bytes, so that empty values are not free.
const ENTRY: usize = 32;

type Entries = BTreeMap<String, Vec<u8>>;

/// Which file it is, and when it was written; nothing where there is none.
type Stamp = Option<(u64, u64, i64, i64)>;

/// What is known, if anything is.
type Slot = Option<Known>;

/// What is known, in the hands of one call.
type Open = OwnedMappedMutexGuard<Slot, Known>;

/// Entries as they are in a file.
struct Known {
    entries: Entries,
    stamp: Stamp,
}

/// The file in which what a plugin of this name keeps is. It belongs to the name: a plugin that is removed leaves it
/// to the next of the same name.
pub fn kept_file(data_dir: &Path, plugin: &PluginName) -> PathBuf {
    folder(data_dir).join(format!("{plugin}.json"))
}

/// Deletes what a plugin of this name keeps; whether there was anything. A daemon that runs on this data folder
/// notices before it serves the next call, so whoever wants nothing to be written back waits until the plugin is no
/// longer served: from then on nothing is written for it.
///
/// # Errors
/// When there is a file and it cannot be deleted.
pub fn delete_kept(data_dir: &Path, plugin: &PluginName) -> io::Result<bool> {
    match std::fs::remove_file(kept_file(data_dir, plugin)) {
        Ok(()) => std::fs::File::open(folder(data_dir))?.sync_all().map(|()| true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

fn folder(data_dir: &Path) -> PathBuf {
    data_dir.join("plugins").join("kv")
}

fn stamp(found: &std::fs::Metadata) -> Stamp {
    Some((found.dev(), found.ino(), found.mtime(), found.mtime_nsec()))
}

/// What one plugin keeps.
pub(crate) struct Kept {
    folder: PathBuf,
    path: PathBuf,
    /// The path as the system takes it.
    name: CString,
    /// As far as the file is known.
    entries: Arc<Mutex<Slot>>,
    /// Whether it can be looked at in place.
    near: Nearness,
    /// The plugin was removed or switched off: for calls of it that are still under way.
    has_ended: AtomicBool,
    /// Nothing is written to the disk.
    forgotten: bool,
}

/// What all plugins keep: one for each, also while an old version of it finishes its calls beside the new
/// one.
#[derive(Default)]
pub(crate) struct Keeping(parking_lot::Mutex<BTreeMap<PluginName, Arc<Kept>>>);

impl Keeping {
    /// What the plugin keeps. Nothing is read or made before it is asked for.
    pub(crate) fn of(
        &self,
        data_dir: &Path,
        plugin: &PluginName,
        rehearsal: Option<&Rehearsal>,
    ) -> Arc<Kept> {
        let mut all = self.0.lock();
        let kept = all
            .entry(plugin.clone())
            .or_insert_with(|| Arc::new(Kept::new(data_dir, plugin).rehearsing(rehearsal)));
        Arc::clone(kept)
    }

    /// Ends what the plugin of this name keeps, for the calls of it that are still under way. One that is loaded later
    /// begins anew with what the file has then.
    pub(crate) fn end(&self, plugin: &PluginName) -> Ended {
        let kept = self.0.lock().remove(plugin);
        if let Some(kept) = &kept {
            kept.has_ended.store(true, Ordering::SeqCst);
        }
        Ended(kept)
    }
}

/// What a plugin has kept that is no more.
#[must_use = "it is written until then"]
pub(crate) struct Ended(Option<Arc<Kept>>);

impl Ended {
    /// Returns when nothing is written any more: whoever deletes the file then has deleted it.
    pub(crate) async fn closed(self) {
        if let Some(kept) = self.0 {
            drop(kept.entries.lock().await);
        }
    }
}

impl Kept {
    /// Whether it is no more: what was loaded with it can keep nothing.
    pub(crate) fn has_ended(&self) -> bool {
        self.has_ended.load(Ordering::SeqCst)
    }

    fn new(data_dir: &Path, plugin: &PluginName) -> Self {
        let path = kept_file(data_dir, plugin);
        Self {
            folder: folder(data_dir),
            // A path with a NUL is none to the system, and nothing is at the empty one either.
            name: CString::new(path.as_os_str().as_bytes()).unwrap_or_default(),
            path,
            entries: Arc::default(),
            near: Nearness::default(),
            has_ended: AtomicBool::new(false),
            forgotten: false,
        }
    }

    /// With these entries and without a file, where the plugin is tried out.
    fn rehearsing(mut self, rehearsal: Option<&Rehearsal>) -> Self {
        if let Some(kept) = rehearsal.and_then(|rehearsal| rehearsal.kept.clone()) {
            let known = Known { entries: kept, stamp: None };
            (self.entries, self.forgotten) = (Arc::new(Mutex::new(Some(known))), true);
        }
        self
    }

    /// The entries, read from the file the first time and when it is another.
    async fn open(self: &Arc<Self>) -> Result<Open, Failure> {
        let mut slot = Arc::clone(&self.entries).lock_owned().await;
        // Under the lock: whoever ends it waits for that.
        if self.has_ended() {
            return Err(Failure::Unavailable("the plugin was removed or switched off meanwhile".to_owned()));
        }
        let is_in_place = self.forgotten || self.near.is_near();
        if !(is_in_place && self.is_current(&slot)) {
            let kept = Arc::clone(self);
            slot = disk::beside(self.near.is_near(), move || kept.renew(slot))
                .await
                .map_err(|error| interrupted(&error))??;
        }
        let gone = |_| Failure::Unavailable("nothing is known of what is kept".to_owned());
        OwnedMutexGuard::try_map(slot, Option::as_mut).map_err(gone)
    }

    fn renew(&self, mut slot: OwnedMutexGuard<Slot>) -> Result<OwnedMutexGuard<Slot>, Failure> {
        if !self.is_current(&slot) {
            // A file that cannot be read is not what was known of the one before it.
            *slot = None;
            *slot = Some(self.read().map_err(Failure::Unavailable)?);
            // Now that there is a folder.
            self.near.find(std::iter::once(self.folder.as_path()));
        }
        Ok(slot)
    }

    fn is_current(&self, slot: &Slot) -> bool {
        slot.as_ref().is_some_and(|known| self.forgotten || known.stamp == self.stamp_now())
    }

    /// Asked for in each call, on the instance's own stack: the system's call itself, for the standard library's copies
    /// the path onto that stack, and a kept instance would hold one more page.
    fn stamp_now(&self) -> Stamp {
        let found = rustix::fs::lstat(self.name.as_c_str()).ok()?;
        Some((found.st_dev, found.st_ino, found.st_mtime, i64::try_from(found.st_mtime_nsec).ok()?))
    }

    fn read(&self) -> Result<Known, String> {
        self.make_folder()?;
        let path = &self.path;
        let Some(file) = place::open(path, Owner::This, false).map_err(|error| error.to_string())? else {
            return Ok(Known { entries: Entries::new(), stamp: None });
        };
        let stamp = file.metadata().ok().as_ref().and_then(stamp);
        let damaged = |error: &dyn std::fmt::Display| format!("{} is damaged: {error}", path.display());
        let text: BTreeMap<String, String> =
            serde_json::from_reader(io::BufReader::new(file)).map_err(|error| damaged(&error))?;
        let decode = |(key, value): (String, String)| STANDARD.decode(value).map(|value| (key, value));
        let entries =
            text.into_iter().map(decode).collect::<Result<_, _>>().map_err(|error| damaged(&error))?;
        Ok(Known { entries, stamp })
    }

    fn make_folder(&self) -> Result<(), String> {
        for folder in [self.folder.parent(), Some(self.folder.as_path())].into_iter().flatten() {
            // What others could write is not taken back: it is the plugin's own again from now on.
            let _: Folder = place::private_folder(folder).map_err(|error| error.to_string())?;
        }
        Ok(())
    }

    fn write(&self, entries: &Entries) -> Result<Stamp, String> {
        let text: BTreeMap<_, _> = entries.iter().map(|(key, value)| (key, STANDARD.encode(value))).collect();
        let path = &self.path;
        let failed = |error: io::Error| format!("{} cannot be written: {error}", path.display());
        let mut file = tempfile::Builder::new().tempfile_in(&self.folder).map_err(failed)?;
        serde_json::to_writer(&mut file, &text).map_err(|error| failed(error.into()))?;
        file.flush().and_then(|()| file.as_file().sync_all()).map_err(failed)?;
        // Before it has its name: from then on somebody may delete it.
        let stamp = file.as_file().metadata().ok().as_ref().and_then(stamp);
        file.persist(path).map_err(|error| failed(error.error))?;
        std::fs::File::open(&self.folder).and_then(|folder| folder.sync_all()).map_err(failed)?;
        Ok(stamp)
    }

    /// Makes a change, if it fits and the disk takes it; otherwise all is as it was.
    async fn change<T>(
        self: &Arc<Self>,
        bytes_max: u64,
        change: impl FnOnce(&mut Entries) -> (bool, T),
    ) -> Result<T, Failure> {
        let mut known = self.open().await?;
        let mut entries = known.entries.clone();
        let (changed, answer) = change(&mut entries);
        if !changed {
            return Ok(answer);
        }
        let size: usize = entries.iter().map(|(key, value)| key.len() + value.len() + ENTRY).sum();
        if size as u64 > bytes_max {
            return Err(Failure::Full(bytes_max));
        }
        if self.forgotten {
            known.entries = entries;
            return Ok(answer);
        }
        let kept = Arc::clone(self);
        let written = move || kept.write(&entries).map(|stamp| *known = Known { entries, stamp });
        disk::beside(self.near.is_near(), written)
            .await
            .map_err(|error| interrupted(&error))?
            .map_err(Failure::Unavailable)?;
        Ok(answer)
    }
}

fn interrupted(error: &JoinError) -> Failure {
    Failure::Unavailable(format!("what is kept was not read or written to the end: {error}"))
}

impl CallState {
    /// What the plugin keeps, and how much that may be.
    fn kept(&mut self, key: &str) -> Result<(Arc<Kept>, u64), Failure> {
        let plugin = &self.provisions.identity.name;
        if !self.provisions.effective.may_keep() {
            let text = format!(
                "plugin {plugin} is not granted kv; if it may, add under teleport.plugins.load.{plugin}.grants: kv: yes, and to its manifest a need of kv"
            );
            self.denied.get_or_insert_with(|| text.clone());
            return Err(Failure::Denied(text));
        }
        if key.len() > KEY_MAX {
            return Err(Failure::Invalid(format!("a key is at most {KEY_MAX} bytes long")));
        }
        self.provisions.diary.used(&Use::Kv);
        Ok((Arc::clone(&self.provisions.kept), self.provisions.limits.kv_bytes))
    }
}

fn named(key: &str) -> Result<(), Failure> {
    if key.is_empty() { Err(Failure::Invalid("the key is empty".to_owned())) } else { Ok(()) }
}

impl Host for CallState {
    async fn get(&mut self, key: String) -> Result<Option<Vec<u8>>, Failure> {
        let (kept, _) = self.kept(&key)?;
        let known = kept.open().await?;
        Ok(known.entries.get(&key).cloned())
    }

    async fn set(&mut self, key: String, value: Vec<u8>) -> Result<(), Failure> {
        let (kept, max) = self.kept(&key)?;
        named(&key)?;
        kept.change(max, |entries| (entries.insert(key, value.clone()).as_ref() != Some(&value), ())).await
    }

    async fn swap(
        &mut self,
        key: String,
        expected: Option<Vec<u8>>,
        value: Vec<u8>,
    ) -> Result<bool, Failure> {
        let (kept, max) = self.kept(&key)?;
        named(&key)?;
        kept.change(max, |entries| {
            let holds = entries.get(&key) == expected.as_ref();
            if holds {
                entries.insert(key, value);
            }
            (holds, holds)
        })
        .await
    }

    async fn delete(&mut self, key: String) -> Result<(), Failure> {
        let (kept, max) = self.kept(&key)?;
        kept.change(max, |entries| (entries.remove(&key).is_some(), ())).await
    }

    async fn keys(&mut self, prefix: String) -> Result<Vec<String>, Failure> {
        let (kept, _) = self.kept(&prefix)?;
        let known = kept.open().await?;
        Ok(known.entries.keys().filter(|key| key.starts_with(&prefix)).cloned().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAX: u64 = 200;

    fn kept(folder: &Path) -> Arc<Kept> {
        let kept = Arc::new(Kept::new(folder, &PluginName::new("label-x").unwrap()));
        std::fs::create_dir_all(folder.join("plugins")).unwrap();
        place::private_folder(&folder.join("plugins")).unwrap();
        kept
    }

    async fn set(kept: &Arc<Kept>, key: &str, value: &[u8]) -> Result<(), Failure> {
        kept.change(MAX, |entries| (entries.insert(key.to_owned(), value.to_vec()).is_none(), ())).await
    }

    #[tokio::test]
    async fn what_was_set_is_there_after_a_restart() {
        let root = tempfile::tempdir().unwrap();
        set(&kept(root.path()), "a", b"\0\xff").await.unwrap();
        let again = kept(root.path());
        let known = again.open().await.unwrap();
        assert_eq!(known.entries.get("a").map(Vec::as_slice), Some(&b"\0\xff"[..]));
    }

    #[tokio::test]
    async fn what_was_deleted_is_gone_for_one_who_has_read_it_and_is_not_written_back() {
        let (root, name) = (tempfile::tempdir().unwrap(), PluginName::new("label-x").unwrap());
        let kept = kept(root.path());
        set(&kept, "a", b"1").await.unwrap();
        assert!(delete_kept(root.path(), &name).unwrap() && !delete_kept(root.path(), &name).unwrap());
        assert_eq!(kept.open().await.unwrap().entries.len(), 0);
        set(&kept, "b", b"2").await.unwrap();
        let text = std::fs::read_to_string(kept_file(root.path(), &name)).unwrap();
        assert_eq!(text, r#"{"b":"Mg=="}"#);
        // What was put back is there again.
        std::fs::write(root.path().join("put"), r#"{"c":"Mw=="}"#).unwrap();
        std::fs::rename(root.path().join("put"), kept_file(root.path(), &name)).unwrap();
        let chmod = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(kept_file(root.path(), &name), chmod).unwrap();
        assert_eq!(kept.open().await.unwrap().entries.keys().collect::<Vec<_>>(), ["c"]);
    }

    #[tokio::test]
    async fn two_versions_of_a_plugin_keep_the_same() {
        let root = tempfile::tempdir().unwrap();
        drop(kept(root.path()));
        let (keeping, name) = (Keeping::default(), PluginName::new("label-x").unwrap());
        let (old, new) = (keeping.of(root.path(), &name, None), keeping.of(root.path(), &name, None));
        set(&old, "a", b"1").await.unwrap();
        set(&new, "b", b"2").await.unwrap();
        set(&old, "c", b"3").await.unwrap();
        assert_eq!(new.open().await.unwrap().entries.len(), 3);
    }

    #[tokio::test]
    async fn nothing_is_written_for_a_plugin_that_is_gone_and_one_that_comes_later_begins_anew() {
        let (root, name) = (tempfile::tempdir().unwrap(), PluginName::new("label-x").unwrap());
        drop(kept(root.path()));
        let keeping = Keeping::default();
        let old = keeping.of(root.path(), &name, None);
        set(&old, "a", b"1").await.unwrap();
        keeping.end(&name).closed().await;
        assert!(delete_kept(root.path(), &name).unwrap());
        assert!(matches!(set(&old, "b", b"2").await, Err(Failure::Unavailable(_))));
        assert!(!kept_file(root.path(), &name).exists());
        let new = keeping.of(root.path(), &name, None);
        set(&new, "c", b"3").await.unwrap();
        assert_eq!(new.open().await.unwrap().entries.keys().collect::<Vec<_>>(), ["c"]);
    }

    #[tokio::test]
    async fn what_does_not_fit_changes_nothing() {
        let root = tempfile::tempdir().unwrap();
        let kept = kept(root.path());
        set(&kept, "a", b"1").await.unwrap();
        assert!(matches!(set(&kept, "b", &[0; 200]).await, Err(Failure::Full(200))));
        assert_eq!(kept.open().await.unwrap().entries.len(), 1);
        set(&kept, "c", b"2").await.unwrap();
    }

    #[tokio::test]
    async fn a_damaged_file_is_named_and_left_alone() {
        let root = tempfile::tempdir().unwrap();
        set(&kept(root.path()), "a", b"1").await.unwrap();
        let path = root.path().join("plugins/kv/label-x.json");
        std::fs::write(&path, "{").unwrap();
        let Err(Failure::Unavailable(text)) = set(&kept(root.path()), "a", b"2").await else {
            panic!("refused")
        };
        assert!(text.contains("label-x.json is damaged"), "{text}");
        assert_eq!(std::fs::read_to_string(path).unwrap(), "{");
    }
}
