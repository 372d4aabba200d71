//! Who else could have written a file: checks of owner and mode, for the cache and for the plugin
//! directory.
//!
//! Code that runs inside the daemon is only as trustworthy as everyone who may write it. Owner and
//! mode are read from the opened file where there is one, so that what is checked is what is used.

use std::fs::{DirBuilder, File, Metadata, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// Write permission for group and others.
const OTHERS_WRITE: u32 = 0o022;

/// Any permission for everybody. The group may read a secret: that is how operators share one on purpose.
const EVERYBODY: u32 = 0o007;

/// Why a place cannot be relied on.
#[derive(Debug, thiserror::Error)]
pub enum PlaceError {
    /// It could not be looked at, made or changed.
    #[error("{path} could not be {action}", path = path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// The reason.
        #[source]
        source: io::Error,
    },
    /// Something else than a folder, or than a plain file.
    #[error("{path} is not a {wanted}; move it away", path = path.display())]
    Kind {
        /// The file or folder.
        path: PathBuf,
        /// What it should be.
        wanted: &'static str,
    },
    /// It belongs to somebody else.
    #[error("{path} belongs to user {owner} and could have been written by them; run: chown {wanted} {path}", path = path.display())]
    Owner {
        /// The file or folder.
        path: PathBuf,
        /// Whose it is.
        owner: u32,
        /// Whose it should be.
        wanted: u32,
    },
    /// Others may write to it.
    #[error("{path} may be written by others (mode {mode:03o}); run: chmod go-w {path}", path = path.display())]
    Writable {
        /// The file or folder.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// A secret that everybody may read.
    #[error("everybody on this machine may read {path} (mode {mode:03o}), which holds a secret; run: chmod o-rwx {path}", path = path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
}

/// Whose files are trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Owner {
    /// This user's alone: what the daemon writes itself.
    This,
    /// This user's or root's: what an operator installs.
    ThisOrRoot,
}

impl Owner {
    fn check(self, path: &Path, found: &Metadata) -> Result<(), PlaceError> {
        let (path, this) = (path.to_owned(), rustix::process::geteuid().as_raw());
        let owner = found.uid();
        if owner != this && !(self == Self::ThisOrRoot && owner == 0) {
            return Err(PlaceError::Owner { path, owner, wanted: this });
        }
        let mode = found.mode() & 0o7777;
        if mode & OTHERS_WRITE != 0 { Err(PlaceError::Writable { path, mode }) } else { Ok(()) }
    }
}

/// Checks that a folder is there and only the owner may write to it.
///
/// # Errors
/// [`PlaceError`] with what to do about it.
pub(crate) fn folder(path: &Path, owner: Owner) -> Result<(), PlaceError> {
    let found = std::fs::metadata(path).map_err(io_error(path, "looked at"))?;
    if !found.is_dir() {
        return Err(PlaceError::Kind { path: path.to_owned(), wanted: "folder" });
    }
    owner.check(path, &found)
}

/// Whether a private folder was found as it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kept {
    /// It was private all along, or has just been made.
    Private,
    /// Others could see or write it until now: what is in it may be theirs.
    Opened,
}

/// Makes a folder of mode 0700, or closes one that others could reach.
///
/// # Errors
/// [`PlaceError`] when it is no folder, is a link, or belongs to somebody else.
pub(crate) fn private_folder(path: &Path) -> Result<Kept, PlaceError> {
    match DirBuilder::new().mode(0o700).create(path) {
        Ok(()) => return Ok(Kept::Private),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(source) => return Err(io_error(path, "made")(source)),
    }
    // Not followed: a link put here by somebody else would lead into their folder.
    let found = std::fs::symlink_metadata(path).map_err(io_error(path, "looked at"))?;
    if !found.is_dir() {
        return Err(PlaceError::Kind { path: path.to_owned(), wanted: "folder" });
    }
    let this = rustix::process::geteuid().as_raw();
    if found.uid() != this {
        return Err(PlaceError::Owner { path: path.to_owned(), owner: found.uid(), wanted: this });
    }
    if found.mode() & 0o077 == 0 {
        return Ok(Kept::Private);
    }
    std::fs::set_permissions(path, Permissions::from_mode(0o700)).map_err(io_error(path, "made private"))?;
    Ok(Kept::Opened)
}

/// Opens a plain file that only the owner may write, without waiting and, where `follow` is not
/// set, without following a link. `None` when there is none.
///
/// # Errors
/// [`PlaceError`] when it is another kind of file, or others may write to it.
pub(crate) fn open(path: &Path, owner: Owner, follow: bool) -> Result<Option<File>, PlaceError> {
    // Opening a named pipe would otherwise wait for its writer.
    let mut flags = rustix::fs::OFlags::NONBLOCK;
    flags.set(rustix::fs::OFlags::NOFOLLOW, !follow);
    let flags = i32::try_from(flags.bits()).unwrap_or_default();
    let file = match OpenOptions::new().read(true).custom_flags(flags).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(io_error(path, "opened")(source)),
    };
    let found = file.metadata().map_err(io_error(path, "looked at"))?;
    if !found.is_file() {
        return Err(PlaceError::Kind { path: path.to_owned(), wanted: "plain file" });
    }
    owner.check(path, &found)?;
    Ok(Some(file))
}

/// Opens a file with a secret in it, which an operator wrote: a link is followed, nobody else may write it, and
/// not everybody may read it. `None` when there is none.
///
/// # Errors
/// As [`open`], and [`PlaceError::Exposed`].
pub(crate) fn open_secret(path: &Path) -> Result<Option<File>, PlaceError> {
    let Some(file) = open(path, Owner::ThisOrRoot, true)? else { return Ok(None) };
    let mode = file.metadata().map_err(io_error(path, "looked at"))?.mode() & 0o7777;
    if mode & EVERYBODY != 0 {
        return Err(PlaceError::Exposed { path: path.to_owned(), mode });
    }
    Ok(Some(file))
}

/// Makes a new file of mode 0600; one that exists is an error.
///
/// # Errors
/// [`PlaceError::Io`].
pub(crate) fn create(path: &Path) -> Result<File, PlaceError> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(io_error(path, "written"))
}

/// An input or output error with its path.
pub(crate) fn io_error(path: &Path, action: &'static str) -> impl FnOnce(io::Error) -> PlaceError {
    let path = path.to_owned();
    move |source| PlaceError::Io { path, action, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Neither root nor whoever runs the tests: the user that owns nothing on Debian.
    const SOMEBODY: u32 = 65_534;

    fn mode(path: &Path, mode: u32) {
        std::fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn a_private_folder_is_made_and_kept() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("cache");
        assert_eq!(private_folder(&path).unwrap(), Kept::Private);
        assert_eq!(private_folder(&path).unwrap(), Kept::Private);
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o700);
    }

    #[test]
    fn a_folder_others_could_reach_is_closed_and_reported() {
        let root = tempfile::tempdir().unwrap();
        mode(root.path(), 0o755);
        assert_eq!(private_folder(root.path()).unwrap(), Kept::Opened);
        assert_eq!(private_folder(root.path()).unwrap(), Kept::Private);
    }

    #[test]
    fn a_link_is_no_private_folder() {
        let root = tempfile::tempdir().unwrap();
        let (real, link) = (root.path().join("real"), root.path().join("link"));
        std::fs::create_dir(&real).unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        assert!(matches!(private_folder(&link), Err(PlaceError::Kind { .. })));
    }

    #[test]
    fn what_others_may_write_is_refused_with_the_way_out() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("plugin.wasm");
        std::fs::write(&path, b"x").unwrap();
        for bad in [0o664, 0o646, 0o666] {
            mode(&path, bad);
            let error = open(&path, Owner::ThisOrRoot, true).unwrap_err().to_string();
            assert!(error.contains("may be written by others") && error.contains("chmod go-w"), "{error}");
        }
        mode(&path, 0o644);
        assert!(open(&path, Owner::ThisOrRoot, true).unwrap().is_some());
        mode(root.path(), 0o777);
        assert!(matches!(folder(root.path(), Owner::ThisOrRoot), Err(PlaceError::Writable { .. })));
    }

    #[test]
    fn what_belongs_to_somebody_else_is_refused_with_the_way_out() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("plugin.wasm");
        std::fs::write(&path, b"x").unwrap();
        let this = rustix::process::geteuid();
        // Only root may give a file away; for anybody else, root's own files are somebody else's.
        let (theirs, owner) = if this.is_root() {
            std::os::unix::fs::chown(&path, Some(SOMEBODY), None).unwrap();
            (path, SOMEBODY)
        } else {
            ("/etc/passwd".into(), 0)
        };
        let refused = |outcome: Result<Option<File>, PlaceError>| {
            let text = outcome.unwrap_err().to_string();
            let way_out = format!("run: chown {} {}", this.as_raw(), theirs.display());
            assert!(
                text.contains(&format!("belongs to user {owner} ")) && text.ends_with(&way_out),
                "{text}"
            );
        };
        refused(open(&theirs, Owner::This, true));
        if this.is_root() {
            refused(open(&theirs, Owner::ThisOrRoot, true));
        } else {
            assert!(open(&theirs, Owner::ThisOrRoot, true).unwrap().is_some(), "an operator's");
        }
    }

    #[test]
    fn a_folder_of_somebody_else_is_no_private_one() {
        let root = tempfile::tempdir().unwrap();
        let theirs = if rustix::process::geteuid().is_root() {
            mode(root.path(), 0o700);
            std::os::unix::fs::chown(root.path(), Some(SOMEBODY), None).unwrap();
            root.path()
        } else {
            Path::new("/")
        };
        assert!(matches!(private_folder(theirs), Err(PlaceError::Owner { .. })));
        assert!(matches!(folder(theirs, Owner::This), Err(PlaceError::Owner { .. })));
    }

    #[test]
    fn a_secret_that_everybody_may_read_is_refused_with_the_way_out() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("token");
        std::fs::write(&path, b"x").unwrap();
        for bad in [0o644, 0o604, 0o601] {
            mode(&path, bad);
            let error = open_secret(&path).unwrap_err().to_string();
            assert!(error.ends_with(&format!("run: chmod o-rwx {}", path.display())), "{error}");
        }
        mode(&path, 0o622);
        assert!(matches!(open_secret(&path), Err(PlaceError::Writable { .. })));
        for good in [0o600, 0o640, 0o400] {
            mode(&path, good);
            assert!(open_secret(&path).unwrap().is_some(), "{good:o}");
        }
    }

    #[test]
    fn other_kinds_of_file_are_refused_without_waiting() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("pipe");
        rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        assert!(matches!(open(&path, Owner::This, true), Err(PlaceError::Kind { .. })));
        assert!(matches!(open(root.path(), Owner::This, true), Err(PlaceError::Kind { .. })));
        assert!(open(&root.path().join("none"), Owner::This, true).unwrap().is_none());
    }

    #[test]
    fn a_link_is_followed_only_where_that_is_asked_for() {
        let root = tempfile::tempdir().unwrap();
        let (real, link) = (root.path().join("real"), root.path().join("link"));
        drop(create(&real).unwrap());
        std::os::unix::fs::symlink(&real, &link).unwrap();
        assert!(open(&link, Owner::This, true).unwrap().is_some());
        assert!(matches!(open(&link, Owner::This, false), Err(PlaceError::Io { .. })));
        assert!(create(&real).is_err(), "an existing file is not written over");
    }
}
