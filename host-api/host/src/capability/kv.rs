//! `teleport:host/kv`: a few bytes a plugin keeps from call to call, in one small file of its own below
//! the data folder.
//!
//! The whole file is read once and written whole, beside the old one and over it: a crash leaves the one
//! or the other. It is synced before the plugin is answered.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::plugin::grant::Use;
use domain::plugin::{Limits, PluginName};
use tokio::sync::{Mutex, MutexGuard};
use tokio::task::block_in_place;

use super::v1::teleport::host::kv::{Failure, Host};
use crate::call::CallState;
use crate::place::{self, Kept as Folder, Owner};
use crate::rehearsal::Rehearsal;

/// The longest key, in bytes.
const KEY_MAX: usize = 256;

/// What one entry costs beside its bytes, so that empty values are not free.
const ENTRY: usize = 32;

type Entries = BTreeMap<String, Vec<u8>>;

/// What one plugin keeps.
pub(crate) struct Kept {
    folder: PathBuf,
    file: String,
    bytes_max: usize,
    entries: Mutex<Option<Entries>>,
    /// Nothing is written to the disk.
    forgotten: bool,
}

impl Kept {
    /// Nothing is read or made before it is asked for.
    pub(crate) fn new(data_dir: &Path, plugin: &PluginName, limits: &Limits) -> Self {
        Self {
            folder: data_dir.join("plugins").join("kv"),
            file: format!("{plugin}.json"),
            bytes_max: usize::try_from(limits.kv_bytes).unwrap_or(usize::MAX),
            entries: Mutex::new(None),
            forgotten: false,
        }
    }

    /// With these entries and without a file, where the plugin is tried out.
    pub(crate) fn rehearsing(mut self, rehearsal: Option<&Rehearsal>) -> Self {
        if let Some(kept) = rehearsal.and_then(|rehearsal| rehearsal.kept.clone()) {
            (self.entries, self.forgotten) = (Mutex::new(Some(kept)), true);
        }
        self
    }

    /// The entries, read from the file the first time.
    async fn open(&self) -> Result<MutexGuard<'_, Option<Entries>>, Failure> {
        let mut entries = self.entries.lock().await;
        if entries.is_none() {
            let read = block_in_place(|| self.read()).map_err(Failure::Unavailable)?;
            *entries = Some(read);
        }
        Ok(entries)
    }

    fn read(&self) -> Result<Entries, String> {
        self.make_folder()?;
        let path = self.folder.join(&self.file);
        let Some(file) = place::open(&path, Owner::This, false).map_err(|error| error.to_string())? else {
            return Ok(Entries::new());
        };
        let damaged = |error: &dyn std::fmt::Display| format!("{} is damaged: {error}", path.display());
        let text: BTreeMap<String, String> =
            serde_json::from_reader(std::io::BufReader::new(file)).map_err(|error| damaged(&error))?;
        let decode = |(key, value): (String, String)| STANDARD.decode(value).map(|value| (key, value));
        text.into_iter().map(decode).collect::<Result<_, _>>().map_err(|error| damaged(&error))
    }

    fn make_folder(&self) -> Result<(), String> {
        for folder in [self.folder.parent(), Some(self.folder.as_path())].into_iter().flatten() {
            // What others could write is not taken back: it is the plugin's own again from now on.
            let _: Folder = place::private_folder(folder).map_err(|error| error.to_string())?;
        }
        Ok(())
    }

    fn write(&self, entries: &Entries) -> Result<(), String> {
        let text: BTreeMap<_, _> = entries.iter().map(|(key, value)| (key, STANDARD.encode(value))).collect();
        let path = self.folder.join(&self.file);
        let failed = |error: std::io::Error| format!("{} cannot be written: {error}", path.display());
        let mut file = tempfile::Builder::new().tempfile_in(&self.folder).map_err(failed)?;
        serde_json::to_writer(&mut file, &text).map_err(|error| failed(error.into()))?;
        file.flush().and_then(|()| file.as_file().sync_all()).map_err(failed)?;
        file.persist(&path).map_err(|error| failed(error.error))?;
        std::fs::File::open(&self.folder).and_then(|folder| folder.sync_all()).map_err(failed)
    }

    /// Makes a change, if it fits and the disk takes it; otherwise all is as it was.
    async fn change<T>(&self, change: impl FnOnce(&mut Entries) -> (bool, T)) -> Result<T, Failure> {
        let mut slot = self.open().await?;
        let mut entries = slot.clone().unwrap_or_default();
        let (changed, answer) = change(&mut entries);
        if !changed {
            return Ok(answer);
        }
        let size: usize = entries.iter().map(|(key, value)| key.len() + value.len() + ENTRY).sum();
        if size > self.bytes_max {
            return Err(Failure::Full(self.bytes_max as u64));
        }
        if !self.forgotten {
            block_in_place(|| self.write(&entries)).map_err(Failure::Unavailable)?;
        }
        *slot = Some(entries);
        Ok(answer)
    }
}

impl CallState {
    fn kept(&self, key: &str) -> Result<&Kept, Failure> {
        let plugin = &self.provisions.identity.name;
        if !self.provisions.effective.may_keep() {
            return Err(Failure::Denied(format!(
                "plugin {plugin} is not granted kv; if it may, add under teleport.plugins.load.{plugin}.grants: kv: yes, and to its manifest a need of kv"
            )));
        }
        if key.len() > KEY_MAX {
            return Err(Failure::Invalid(format!("a key is at most {KEY_MAX} bytes long")));
        }
        self.provisions.diary.used(&Use::Kv);
        Ok(&self.provisions.kept)
    }
}

fn named(key: &str) -> Result<(), Failure> {
    if key.is_empty() { Err(Failure::Invalid("the key is empty".to_owned())) } else { Ok(()) }
}

impl Host for CallState {
    async fn get(&mut self, key: String) -> Result<Option<Vec<u8>>, Failure> {
        let entries = self.kept(&key)?.open().await?;
        Ok(entries.as_ref().and_then(|entries| entries.get(&key).cloned()))
    }

    async fn set(&mut self, key: String, value: Vec<u8>) -> Result<(), Failure> {
        let kept = self.kept(&key)?;
        named(&key)?;
        kept.change(|entries| (entries.insert(key, value.clone()).as_ref() != Some(&value), ())).await
    }

    async fn swap(
        &mut self,
        key: String,
        expected: Option<Vec<u8>>,
        value: Vec<u8>,
    ) -> Result<bool, Failure> {
        let kept = self.kept(&key)?;
        named(&key)?;
        kept.change(|entries| {
            let holds = entries.get(&key) == expected.as_ref();
            if holds {
                entries.insert(key, value);
            }
            (holds, holds)
        })
        .await
    }

    async fn delete(&mut self, key: String) -> Result<(), Failure> {
        self.kept(&key)?.change(|entries| (entries.remove(&key).is_some(), ())).await
    }

    async fn keys(&mut self, prefix: String) -> Result<Vec<String>, Failure> {
        let entries = self.kept(&prefix)?.open().await?;
        let all = entries.iter().flat_map(Entries::keys);
        Ok(all.filter(|key| key.starts_with(&prefix)).cloned().collect())
    }
}

#[cfg(test)]
mod tests {
    use domain::plugin::ContractKind;

    use super::*;

    fn kept(folder: &Path) -> Kept {
        let limits = Limits { kv_bytes: 200, ..Limits::of(ContractKind::LabelProvider) };
        let kept = Kept::new(folder, &PluginName::new("label-x").unwrap(), &limits);
        std::fs::create_dir_all(folder.join("plugins")).unwrap();
        place::private_folder(&folder.join("plugins")).unwrap();
        kept
    }

    async fn set(kept: &Kept, key: &str, value: &[u8]) -> Result<(), Failure> {
        kept.change(|entries| (entries.insert(key.to_owned(), value.to_vec()).is_none(), ())).await
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_was_set_is_there_after_a_restart() {
        let root = tempfile::tempdir().unwrap();
        set(&kept(root.path()), "a", b"\0\xff").await.unwrap();
        let again = kept(root.path());
        let entries = again.open().await.unwrap();
        assert_eq!(entries.as_ref().unwrap().get("a").map(Vec::as_slice), Some(&b"\0\xff"[..]));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_does_not_fit_changes_nothing() {
        let root = tempfile::tempdir().unwrap();
        let kept = kept(root.path());
        set(&kept, "a", b"1").await.unwrap();
        assert!(matches!(set(&kept, "b", &[0; 200]).await, Err(Failure::Full(200))));
        assert_eq!(kept.open().await.unwrap().as_ref().unwrap().len(), 1);
        set(&kept, "c", b"2").await.unwrap();
    }

    #[tokio::test(flavor = "multi_thread")]
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
