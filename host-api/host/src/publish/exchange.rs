//! One folder put in the place of another, in one step where the file system can.
//!
//! Between two steps a crash would leave an old component with a new signature, or none at all. Called by
//! what installs plugins; checks nobody's rights.

use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

use super::signature_path;
use crate::load::WASM_FILE;

/// Why two folders did not change places.
#[derive(Debug)]
pub(super) enum ExchangeError {
    /// The old one is in its place.
    Unchanged(io::Error),
    /// The old one is here, and could not be put back. Nothing is in its place.
    Aside(PathBuf, io::Error),
}

/// Puts `draft` in the place of `folder`. Gives back where the old one is: under a hidden name that nothing
/// else has, for the draft's own is one.
///
/// # Errors
/// [`ExchangeError`].
pub(super) fn folders(draft: &Path, folder: &Path) -> Result<PathBuf, ExchangeError> {
    exchange(draft, folder, at_once, |from, to| std::fs::rename(from, to))
}

/// Moves what else an operator keeps beside the component from the old folder to the new, and removes the
/// old one. Nothing of it is the plugin's. A link to a folder elsewhere is removed and not looked into. May
/// be done again after it failed, or was not done to the end.
///
/// # Errors
/// Those of the system, and [`io::ErrorKind::AlreadyExists`] for what lies in both: which of them is wanted
/// nobody knows here.
pub(super) fn clear(old: &Path, new: &Path) -> io::Result<()> {
    if !old.symlink_metadata()?.is_dir() {
        return std::fs::remove_file(old);
    }
    carry_over(old, new)?;
    std::fs::remove_dir_all(old)
}

fn carry_over(old: &Path, new: &Path) -> io::Result<()> {
    let signature = signature_path(Path::new(WASM_FILE));
    for entry in std::fs::read_dir(old)? {
        let entry = entry?;
        let name = entry.file_name();
        if name == WASM_FILE || name == signature.as_os_str() {
            continue;
        }
        let place = new.join(&name);
        if place.symlink_metadata().is_ok() {
            return Err(io::Error::new(
                io::ErrorKind::AlreadyExists,
                format!("{} is there as well", place.display()),
            ));
        }
        std::fs::rename(entry.path(), place)?;
    }
    sync(new)
}

fn exchange(
    draft: &Path,
    folder: &Path,
    at_once: impl FnOnce(&Path, &Path) -> io::Result<()>,
    rename: impl Fn(&Path, &Path) -> io::Result<()>,
) -> Result<PathBuf, ExchangeError> {
    match at_once(draft, folder) {
        // A file system that cannot, or a kernel before 3.15.
        Err(error) if matches!(Errno::from_io_error(&error), Some(Errno::INVAL | Errno::NOSYS)) => {}
        done => return done.map(|()| draft.to_owned()).map_err(ExchangeError::Unchanged),
    }
    // No draft has a hyphen in its name, and no other draft has the rest of it.
    let mut aside = draft.as_os_str().to_owned();
    aside.push("-old");
    let aside = PathBuf::from(aside);
    rename(folder, &aside).map_err(ExchangeError::Unchanged)?;
    if let Err(error) = rename(draft, folder) {
        return Err(match rename(&aside, folder) {
            Ok(()) => ExchangeError::Unchanged(error),
            Err(error) => ExchangeError::Aside(aside, error),
        });
    }
    Ok(aside)
}

fn at_once(one: &Path, other: &Path) -> io::Result<()> {
    Ok(renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE)?)
}

pub(super) fn sync(folder: &Path) -> io::Result<()> {
    std::fs::File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

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

    fn rename(from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    fn cannot(_: &Path, _: &Path) -> io::Result<()> {
        Err(Errno::INVAL.into())
    }

    #[test]
    fn folders_change_places_also_where_it_takes_several_steps() {
        for several in [false, true] {
            let root = tempfile::tempdir().unwrap();
            let (draft, folder) = two(root.path());
            let old = match several {
                true => exchange(&draft, &folder, cannot, rename).unwrap(),
                false => folders(&draft, &folder).unwrap(),
            };
            assert_eq!((inside(&folder).as_str(), inside(&old).as_str()), (".install.x", "plugin"));
            assert_eq!(std::fs::read_dir(root.path()).unwrap().count(), 2);
        }
    }

    #[test]
    fn what_a_crash_left_of_several_steps_is_in_nobodys_way() {
        let root = tempfile::tempdir().unwrap();
        let (draft, folder) = two(root.path());
        exchange(&draft, &folder, cannot, rename).unwrap();
        // The old one is left; the next draft is another.
        let next = root.path().join(".install.y");
        std::fs::create_dir(&next).unwrap();
        std::fs::write(next.join("file"), "next").unwrap();
        exchange(&next, &folder, cannot, rename).unwrap();
        assert_eq!(inside(&folder), "next");
        assert_eq!(std::fs::read_dir(root.path()).unwrap().count(), 3);
    }

    #[test]
    fn a_step_that_fails_leaves_the_old_plugin() {
        let root = tempfile::tempdir().unwrap();
        let (draft, folder) = two(root.path());
        let full = |_: &Path, _: &Path| Err(Errno::NOSPC.into());
        assert!(matches!(exchange(&draft, &folder, full, rename), Err(ExchangeError::Unchanged(_))));
        assert_eq!(inside(&folder), "plugin");
        // The first step, and the second.
        for fails_at in [1, 2] {
            let step = Cell::new(0);
            let failing = |from: &Path, to: &Path| match step.replace(step.get() + 1) + 1 {
                step if step == fails_at => Err(Errno::NOSPC.into()),
                _ => std::fs::rename(from, to),
            };
            let failed = exchange(&draft, &folder, cannot, failing);
            assert!(matches!(failed, Err(ExchangeError::Unchanged(_))), "{failed:?}");
            assert_eq!(inside(&folder), "plugin");
            assert_eq!(std::fs::read_dir(root.path()).unwrap().count(), 2);
        }
    }

    #[test]
    fn an_old_plugin_that_cannot_be_put_back_is_told_of() {
        let root = tempfile::tempdir().unwrap();
        let (draft, folder) = two(root.path());
        let once = Cell::new(true);
        let failing = |from: &Path, to: &Path| match once.take() {
            true => std::fs::rename(from, to),
            false => Err(Errno::NOSPC.into()),
        };
        let Err(ExchangeError::Aside(old, _)) = exchange(&draft, &folder, cannot, failing) else {
            panic!("there is nothing in its place")
        };
        assert_eq!(inside(&old), "plugin");
        assert!(!folder.exists());
    }

    #[test]
    fn what_else_lies_there_stays_and_the_old_plugin_goes() {
        let root = tempfile::tempdir().unwrap();
        let (old, new) = two(root.path());
        std::fs::remove_file(new.join("file")).unwrap();
        for name in [WASM_FILE, "plugin.wasm.minisig", "notes"] {
            std::fs::write(old.join(name), "old").unwrap();
        }
        std::fs::write(new.join(WASM_FILE), "new").unwrap();
        clear(&old, &new).unwrap();
        assert_eq!(std::fs::read_to_string(new.join("notes")).unwrap(), "old");
        assert_eq!(std::fs::read_to_string(new.join(WASM_FILE)).unwrap(), "new");
        assert!(
            !new.join("plugin.wasm.minisig").exists(),
            "the old signature is not beside the new component"
        );
        assert!(!old.exists());
    }

    #[test]
    fn a_link_in_the_old_ones_place_goes_and_what_it_leads_to_stays() {
        let root = tempfile::tempdir().unwrap();
        let (elsewhere, new) = two(root.path());
        let old = root.path().join("link");
        std::os::unix::fs::symlink(&elsewhere, &old).unwrap();
        clear(&old, &new).unwrap();
        assert!(old.symlink_metadata().is_err() && elsewhere.join("file").exists());
    }
}
