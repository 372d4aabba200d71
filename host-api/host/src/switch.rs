//! Plugins that an administrator of this host has switched off, without a word in the configuration: kept
//! in `plugins/state.json` below the data folder, and true until they are switched on again.
//!
//! Two daemons may have one data folder. Each does what it was told; what another one was told is in the file, stays
//! there, and is done here too once somebody asks for it ([`Switches::elsewhere`]).
//!
//! What the configuration switches off stays off; nothing here can let it run. A file that cannot be read
//! is an error and not an empty list, for a plugin that somebody stopped must not run again by itself.

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use domain::plugin::PluginName;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use crate::place::{self, Owner, PlaceError, io_error};

/// The largest file, in bytes.
const FILE_MAX: u64 = 1 << 20;

/// Why switches cannot be read or set.
#[derive(Debug, thiserror::Error)]
pub enum SwitchError {
    /// The place is not as it should be.
    #[error(transparent)]
    Place(#[from] PlaceError),
    /// The file holds something else.
    #[error("{path} is damaged ({reason}); remove it, and switch plugins off again with `tctl plugins disable`", path = path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}

#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct State {
    #[serde(default)]
    disabled: BTreeSet<PluginName>,
}

/// The plugins that are switched off.
pub(crate) struct Switches {
    path: PathBuf,
    off: Mutex<BTreeSet<PluginName>>,
}

impl Switches {
    /// Those that were switched off before the daemon started.
    pub(crate) fn read(data_dir: &Path) -> Result<Self, SwitchError> {
        let path = data_dir.join("plugins/state.json");
        let off = Mutex::new(written(&path)?);
        Ok(Self { path, off })
    }

    /// Whether a plugin is switched off.
    pub(crate) fn is_off(&self, name: &PluginName) -> bool {
        self.off.lock().contains(name)
    }

    /// All that are switched off.
    pub(crate) fn names(&self) -> BTreeSet<PluginName> {
        self.off.lock().clone()
    }

    /// Switches a plugin on or off; says whether that is a change here. It is on disk when this returns, beside what
    /// another daemon has written there.
    pub(crate) fn set(&self, name: &PluginName, on: bool) -> Result<bool, SwitchError> {
        let mut off = self.off.lock();
        let folder = self.path.parent().unwrap_or(&self.path);
        let _: place::Kept = place::private_folder(folder)?;
        // Until it is closed.
        let held = std::fs::File::open(folder).map_err(io_error(folder, "opened"))?;
        held.lock().map_err(io_error(folder, "locked"))?;
        let mut disabled = written(&self.path)?;
        if switch(&mut disabled, name, on) {
            self.write(&State { disabled })?;
        }
        Ok(switch(&mut off, name, on))
    }

    /// What another daemon was told since this one read the file: which plugins, and whether each is on.
    pub(crate) fn elsewhere(&self) -> Result<Vec<(PluginName, bool)>, SwitchError> {
        // First: what this one is told meanwhile is not another's.
        let off = self.off.lock();
        let written = written(&self.path)?;
        let others = written.symmetric_difference(&off).cloned();
        Ok(others
            .map(|name| {
                let on = off.contains(&name);
                (name, on)
            })
            .collect())
    }

    fn write(&self, state: &State) -> Result<(), SwitchError> {
        let failed = |error: std::io::Error| io_error(&self.path, "written")(error);
        let folder = self.path.parent().unwrap_or(&self.path);
        let mut file = tempfile::Builder::new().tempfile_in(folder).map_err(failed)?;
        serde_json::to_writer(&mut file, state).map_err(|error| failed(error.into()))?;
        file.flush().and_then(|()| file.as_file().sync_all()).map_err(failed)?;
        file.persist(&self.path).map_err(|error| failed(error.error))?;
        std::fs::File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)?;
        Ok(())
    }
}

/// Those that the file says are off.
fn written(path: &Path) -> Result<BTreeSet<PluginName>, SwitchError> {
    let Some(file) = place::open(path, Owner::This, false)? else { return Ok(BTreeSet::new()) };
    let mut text = String::new();
    file.take(FILE_MAX).read_to_string(&mut text).map_err(io_error(path, "read"))?;
    let state: State = serde_json::from_str(&text)
        .map_err(|error| SwitchError::Damaged { path: path.to_owned(), reason: error.to_string() })?;
    Ok(state.disabled)
}

/// Takes a plugin out of those that are off, or adds it; whether that is a change.
fn switch(off: &mut BTreeSet<PluginName>, name: &PluginName, on: bool) -> bool {
    if on { off.remove(name) } else { off.insert(name.clone()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_another_daemon_was_told_stays_in_the_file_and_is_seen() {
        let root = tempfile::tempdir().unwrap();
        let names = ["label-x", "label-y", "label-z"].map(|name| PluginName::new(name).unwrap());
        let [x, y, z] = &names;
        let first = Switches::read(root.path()).unwrap();
        assert!(first.set(x, false).unwrap());
        let second = Switches::read(root.path()).unwrap();
        assert!(second.set(x, true).unwrap() && second.set(y, false).unwrap());
        assert_eq!(second.elsewhere().unwrap(), []);
        assert_eq!(first.elsewhere().unwrap(), [(x.clone(), true), (y.clone(), false)]);
        assert!(first.set(z, false).unwrap());
        let written = Switches::read(root.path()).unwrap();
        assert_eq!(written.names().into_iter().collect::<Vec<_>>(), [y.clone(), z.clone()]);
        // It is told what the file says already.
        assert!(first.set(y, false).unwrap() && !first.set(y, false).unwrap() && first.set(x, true).unwrap());
        assert_eq!(first.elsewhere().unwrap(), []);
    }

    #[test]
    fn what_was_switched_off_stays_off() {
        let root = tempfile::tempdir().unwrap();
        let name = PluginName::new("label-x").unwrap();
        let switches = Switches::read(root.path()).unwrap();
        assert!(!switches.is_off(&name));
        assert!(switches.set(&name, false).unwrap() && !switches.set(&name, false).unwrap());
        let again = Switches::read(root.path()).unwrap();
        assert!(again.is_off(&name) && again.set(&name, true).unwrap());
        assert!(!Switches::read(root.path()).unwrap().is_off(&name));
    }

    #[test]
    fn a_damaged_file_is_no_empty_one() {
        let root = tempfile::tempdir().unwrap();
        let name = PluginName::new("label-x").unwrap();
        Switches::read(root.path()).unwrap().set(&name, false).unwrap();
        let path = root.path().join("plugins/state.json");
        for text in ["{", r#"{"disabled":["../x"]}"#, r#"{"enabled":[]}"#] {
            std::fs::write(&path, text).unwrap();
            let Err(error) = Switches::read(root.path()) else { panic!("{text} is read") };
            assert!(error.to_string().contains("state.json is damaged"), "{error}");
        }
    }
}
