//! One folder put in the place of another, in one step where the file system can.
//!
//! Between two steps a crash would leave an old component with a new signature, or none at all. Called by
//! what installs plugins; checks nobody's rights.

use std::io;
use std::path::Path;

use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

use super::signature_path;
use crate::load::WASM_FILE;

/// Exchanges two folders; afterwards `draft` is the old one. An error leaves the old one in its place.
///
/// # Errors
/// Those of the system.
pub(super) fn folders(draft: &Path, folder: &Path) -> io::Result<()> {
    exchange(draft, folder, at_once)
}

/// Moves what else an operator keeps beside the component from the old folder to the new. Nothing of it is
/// the plugin's. A link to a folder elsewhere is not looked into.
///
/// # Errors
/// Those of the system.
pub(super) fn carry_over(old: &Path, new: &Path) -> io::Result<()> {
    if !old.symlink_metadata()?.is_dir() {
        return Ok(());
    }
    let signature = signature_path(Path::new(WASM_FILE));
    for entry in std::fs::read_dir(old)? {
        let entry = entry?;
        let name = entry.file_name();
        if name != WASM_FILE && name != signature.as_os_str() {
            std::fs::rename(entry.path(), new.join(name))?;
        }
    }
    sync(new)
}

fn exchange(
    draft: &Path,
    folder: &Path,
    at_once: impl FnOnce(&Path, &Path) -> io::Result<()>,
) -> io::Result<()> {
    match at_once(draft, folder) {
        // A file system that cannot, or a kernel before 3.15.
        Err(error) if matches!(Errno::from_io_error(&error), Some(Errno::INVAL | Errno::NOSYS)) => {}
        done => return done,
    }
    let aside = draft.with_extension("aside");
    std::fs::rename(folder, &aside)?;
    if let Err(error) = std::fs::rename(draft, folder) {
        std::fs::rename(&aside, folder)?;
        return Err(error);
    }
    std::fs::rename(aside, draft)
}

fn at_once(one: &Path, other: &Path) -> io::Result<()> {
    Ok(renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE)?)
}

pub(super) fn sync(folder: &Path) -> io::Result<()> {
    std::fs::File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    /// Two folders, each with one file that holds its name.
    fn two(root: &Path) -> (PathBuf, PathBuf) {
        let make = |name: &str| {
            let folder = root.join(name);
            std::fs::create_dir(&folder).unwrap();
            std::fs::write(folder.join("file"), name).unwrap();
            folder
        };
        (make(".install.x"), make("plugin"))
    }

    fn inside(folder: &Path) -> String {
        std::fs::read_to_string(folder.join("file")).unwrap()
    }

    #[test]
    fn folders_change_places_also_where_it_takes_several_steps() {
        let cannot = |_: &Path, _: &Path| Err(Errno::INVAL.into());
        for several in [false, true] {
            let root = tempfile::tempdir().unwrap();
            let (draft, folder) = two(root.path());
            match several {
                true => exchange(&draft, &folder, cannot).unwrap(),
                false => folders(&draft, &folder).unwrap(),
            }
            assert_eq!((inside(&folder).as_str(), inside(&draft).as_str()), (".install.x", "plugin"));
            assert_eq!(std::fs::read_dir(root.path()).unwrap().count(), 2);
        }
    }

    #[test]
    fn a_step_that_fails_leaves_the_old_plugin() {
        let root = tempfile::tempdir().unwrap();
        let (draft, folder) = two(root.path());
        let full = |_: &Path, _: &Path| Err(Errno::NOSPC.into());
        assert!(exchange(&draft, &folder, full).is_err());
        assert_eq!(inside(&folder), "plugin");
        // The second step: there is no draft to take the place.
        std::fs::remove_dir_all(&draft).unwrap();
        assert!(exchange(&draft, &folder, |_, _| Err(Errno::NOSYS.into())).is_err());
        assert_eq!(inside(&folder), "plugin");
        assert_eq!(std::fs::read_dir(root.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_else_lies_there_stays_and_the_old_plugin_goes() {
        let root = tempfile::tempdir().unwrap();
        let (old, new) = two(root.path());
        for name in [WASM_FILE, "plugin.wasm.minisig", "notes"] {
            std::fs::write(old.join(name), "old").unwrap();
        }
        std::fs::write(new.join(WASM_FILE), "new").unwrap();
        carry_over(&old, &new).unwrap();
        assert_eq!(std::fs::read_to_string(new.join("notes")).unwrap(), "old");
        assert_eq!(std::fs::read_to_string(new.join(WASM_FILE)).unwrap(), "new");
        assert!(
            !new.join("plugin.wasm.minisig").exists(),
            "the old signature is not beside the new component"
        );
    }
}
