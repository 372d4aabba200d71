//! The plugin directory, as whoever installs plugins changes it.
//!
//! What is written is what the daemon reads: `NAME/plugin.wasm` and the signature beside it. The daemon
//! looks at both anew and decides for itself. What is not finished, or was replaced, has a hidden name with
//! the plugin's in it, so that the next installation of the same plugin finds what a crash left of the last
//! one. Looks into nothing that it writes: that is the business of [`super::Delivery`].

use std::fs::Permissions;
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use domain::plugin::PluginName;
use tempfile::TempDir;

use super::exchange::{self, ExchangeError, sync};
use super::signature_path;
use crate::load::WASM_FILE;
use crate::place::{self, Owner, PlaceError};

/// Why a plugin cannot be put into, or taken out of, the plugin directory.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// The directory is not there, not a directory, or others may write to it.
    #[error("the plugin directory cannot be used (teleport.plugins.directory)")]
    Directory(#[source] PlaceError),
    /// It cannot be written to.
    #[error("{path} cannot be {action}; run this as a user who may write there", path = path.display())]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// The reason.
        #[source]
        source: io::Error,
    },
    /// There is no such plugin in the directory.
    #[error("there is no plugin {name} in {directory}", directory = directory.display())]
    NotInstalled {
        /// The plugin.
        name: PluginName,
        /// The directory.
        directory: PathBuf,
    },
    /// The old plugin was moved away, and neither the new one nor itself could be put in its place.
    #[error(
        "{folder} is gone: the plugin that was there is {old} now and could not be put back; move it back, or install again, which brings along what you keep beside it",
        folder = folder.display(), old = old.display()
    )]
    Aside {
        /// Where it was.
        folder: PathBuf,
        /// Where it is.
        old: PathBuf,
        /// The reason.
        #[source]
        source: io::Error,
    },
    /// The plugin is installed, and may not be after a crash of the machine.
    #[error(
        "{folder} holds the new plugin, but may hold the old one again should this machine crash now, for the disk did not take all of it; look at the disk, then install again",
        folder = folder.display()
    )]
    Unsettled {
        /// Its folder.
        folder: PathBuf,
        /// The reason.
        #[source]
        source: io::Error,
    },
    /// The plugin is installed, and what an operator kept beside an older one is not with it.
    #[error(
        "{folder} holds the new plugin, but not all that lay beside the old one, which is {old} now; move there what you want to keep and remove {old}, or install again, which tries the same",
        folder = folder.display(), old = old.display()
    )]
    Leftover {
        /// Its folder.
        folder: PathBuf,
        /// Where the rest is.
        old: PathBuf,
        /// The reason.
        #[source]
        source: io::Error,
    },
}

/// As [`super::Delivery::install`], which has the contract.
pub(super) fn put(
    directory: &Path,
    name: &PluginName,
    wasm: &[u8],
    signature: Option<&[u8]>,
) -> Result<PathBuf, InstallError> {
    place::folder(directory, Owner::ThisOrRoot).map_err(InstallError::Directory)?;
    let folder = directory.join(name.as_str());
    let failed = |source| InstallError::Write { path: folder.clone(), action: "written", source };
    let mut olds = leftovers(directory, name)?;
    let draft = draft(directory, name, wasm, signature)?;
    match folder.symlink_metadata() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            std::fs::rename(draft.path(), &folder).map_err(failed)?;
        }
        Err(error) => return Err(failed(error)),
        Ok(_) => {
            place::folder(&folder, Owner::ThisOrRoot).map_err(InstallError::Directory)?;
            let old = exchange::folders(draft.path(), &folder).map_err(|error| match error {
                ExchangeError::Unchanged(source) => failed(source),
                ExchangeError::Aside(old, source) => {
                    InstallError::Aside { folder: folder.clone(), old, source }
                }
            })?;
            // What was kept last goes before what a crash left once.
            olds.insert(0, old);
        }
    }
    // It is the plugin's folder now. In its place may be the old one, and that is cleared below.
    let _ = draft.keep();
    sync(directory).map_err(|source| InstallError::Unsettled { folder: folder.clone(), source })?;
    clear(&folder, olds)?;
    Ok(folder.join(WASM_FILE))
}

/// Finishes what a crash kept an installation of this plugin from: moves to the plugin what an operator
/// kept beside the one before. Without a plugin of that name, or anything left, there is nothing to do.
///
/// # Errors
/// [`InstallError`].
pub fn settle(directory: &Path, name: &PluginName) -> Result<(), InstallError> {
    if installed(directory, name).is_none() {
        return Ok(());
    }
    let folder = directory.join(name.as_str());
    // Where others may write, what lies there is not moved by whoever may write everywhere.
    for place in [directory, folder.as_path()] {
        place::folder(place, Owner::ThisOrRoot).map_err(InstallError::Directory)?;
    }
    clear(&folder, leftovers(directory, name)?)
}

fn clear(folder: &Path, olds: Vec<PathBuf>) -> Result<(), InstallError> {
    olds.into_iter().try_for_each(|old| {
        exchange::clear(&old, folder).map_err(|source| InstallError::Leftover {
            folder: folder.to_owned(),
            old,
            source,
        })
    })
}

/// How what is not in its place is called. No plugin's name begins with a dot, so the daemon looks at none
/// of it, nor has one in it, so it is this plugin's alone.
fn prefix(name: &PluginName) -> String {
    format!(".install.{name}.")
}

/// What installations of this plugin have left.
fn leftovers(directory: &Path, name: &PluginName) -> Result<Vec<PathBuf>, InstallError> {
    let failed = |source| InstallError::Write { path: directory.to_owned(), action: "read", source };
    let mut left = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if entry.file_name().as_encoded_bytes().starts_with(prefix(name).as_bytes()) {
            left.push(entry.path());
        }
    }
    Ok(left)
}

/// The plugin's folder, complete and on disk, beside its place.
fn draft(
    directory: &Path,
    name: &PluginName,
    wasm: &[u8],
    signature: Option<&[u8]>,
) -> Result<TempDir, InstallError> {
    let failed = |source| InstallError::Write { path: directory.to_owned(), action: "written to", source };
    let draft = tempfile::Builder::new()
        .prefix(&prefix(name))
        .permissions(Permissions::from_mode(0o755))
        .tempdir_in(directory)
        .map_err(failed)?;
    let component = draft.path().join(WASM_FILE);
    write(&component, wasm)?;
    if let Some(signature) = signature {
        write(&signature_path(&component), signature)?;
    }
    sync(draft.path()).map_err(failed)?;
    Ok(draft)
}

/// The component of a plugin in the directory, if there is one.
pub fn installed(directory: &Path, name: &PluginName) -> Option<PathBuf> {
    let path = directory.join(name.as_str()).join(WASM_FILE);
    path.symlink_metadata().is_ok().then_some(path)
}

/// Takes a plugin out of the directory, with everything in its folder. Another's files that its folder
/// is a link to are left alone.
///
/// # Errors
/// [`InstallError`].
pub fn uninstall(directory: &Path, name: &PluginName) -> Result<(), InstallError> {
    let folder = directory.join(name.as_str());
    let failed = |source| InstallError::Write { path: folder.clone(), action: "removed", source };
    match folder.symlink_metadata() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(InstallError::NotInstalled { name: name.clone(), directory: directory.to_owned() });
        }
        Err(error) => return Err(failed(error)),
        Ok(found) if found.is_dir() => {}
        Ok(_) => return std::fs::remove_file(&folder).map_err(failed),
    }
    // Out of the daemon's sight in one step. No plugin's name begins with a dot.
    let gone = directory.join(format!(".{name}.removed.{}", std::process::id()));
    std::fs::rename(&folder, &gone).map_err(failed)?;
    std::fs::remove_dir_all(&gone).map_err(|source| InstallError::Write {
        path: gone,
        action: "removed",
        source,
    })
}

fn write(path: &Path, content: &[u8]) -> Result<(), InstallError> {
    let failed = |source| InstallError::Write { path: path.to_owned(), action: "written", source };
    let mut file = std::fs::File::create_new(path).map_err(failed)?;
    file.set_permissions(Permissions::from_mode(0o644)).map_err(failed)?;
    file.write_all(content).and_then(|()| file.sync_all()).map_err(failed)
}

#[cfg(test)]
mod tests;
