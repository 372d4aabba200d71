//! Files and folders nobody else may read or change: keys, the data folder.
//!
//! Written whole or not at all, whenever the power goes. Refuses folders that others may write to,
//! because then every check of what is in them is void.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use rustix::fs::{AtFlags, CWD, Mode, OFlags, Timespec, Timestamps, fchmod, open, utimensat};

/// What others may not do with a folder of ours, in mode bits: write.
const WRITABLE_BY_OTHERS: u32 = 0o022;

/// Why a private file or folder is not there.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// A file cannot be written.
    #[error("cannot write {path:?}")]
    Write {
        /// The file.
        path: PathBuf,
        /// What happened.
        #[source]
        source: io::Error,
    },
    /// A file cannot be removed.
    #[error("cannot remove {path:?}")]
    Remove {
        /// The file.
        path: PathBuf,
        /// What happened.
        #[source]
        source: io::Error,
    },
    /// A folder cannot be made.
    #[error("cannot make the folder {path:?}")]
    MakeFolder {
        /// The folder.
        path: PathBuf,
        /// What happened.
        #[source]
        source: io::Error,
    },
    /// A folder cannot be looked at.
    #[error("cannot look at the folder {path:?}")]
    Look {
        /// The folder.
        path: PathBuf,
        /// What happened.
        #[source]
        source: io::Error,
    },
    /// It is no folder.
    #[error("{0:?} is not a folder; move it out of the way or choose another place")]
    NotAFolder(PathBuf),
    /// It belongs to someone else.
    #[error(
        "the folder {path:?} belongs to user id {owner}, not to {ours} as whom this runs; run: chown {ours} {path:?}"
    )]
    NotOurs {
        /// The folder.
        path: PathBuf,
        /// Whose it is.
        owner: u32,
        /// Who we are.
        ours: u32,
    },
    /// Others may write to it.
    #[error("others may write to the folder {path:?} (mode {mode:03o}); run: chmod go-w {path:?}")]
    Exposed {
        /// The folder.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
}

/// Writes a file of mode 0600 and returns when it and its name are on disk. Who reads it meanwhile,
/// or after a crash, sees the old content or the new, never a part. Blocks for as long as the disk
/// takes.
///
/// # Errors
/// [`FileError::Write`]; the old file is then as it was.
pub fn write_private(path: &Path, content: &[u8]) -> Result<(), FileError> {
    let failed = |source| FileError::Write { path: path.to_owned(), source };
    let folder = folder_of(path);
    let temporary = temporary_name(path).map_err(failed)?;
    let written = write_new(&temporary, content).and_then(|()| std::fs::rename(&temporary, path));
    if let Err(error) = written {
        // It may never have been made.
        _ = std::fs::remove_file(&temporary);
        return Err(failed(error));
    }
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// A name beside the file that no other writer uses.
fn temporary_name(path: &Path) -> io::Result<PathBuf> {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name().ok_or(io::ErrorKind::InvalidInput)?);
    name.push(format!(".{}-{}", std::process::id(), COUNTER.fetch_add(1, Ordering::Relaxed)));
    Ok(path.with_file_name(name))
}

fn write_new(path: &Path, content: &[u8]) -> io::Result<()> {
    let mode = Mode::RUSR | Mode::WUSR;
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let opened = match open(path, flags, mode) {
        // Left behind by a process of our number that died while writing.
        Err(rustix::io::Errno::EXIST) => {
            std::fs::remove_file(path)?;
            open(path, flags, mode)
        }
        opened => opened,
    };
    let mut file = File::from(opened?);
    // A strange umask must not make the file unreadable for ourselves.
    fchmod(&file, mode)?;
    file.write_all(content)?;
    file.sync_all()
}

/// Removes a file, if it is there.
///
/// # Errors
/// [`FileError::Remove`].
pub fn remove(path: &Path) -> Result<(), FileError> {
    match std::fs::remove_file(path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(FileError::Remove { path: path.to_owned(), source })
        }
        _ => Ok(()),
    }
}

/// Says of a file, of whatever kind, that it was last changed at that time. What it is not: a time before 1970.
///
/// # Errors
/// The system's, when it is not there or another user's.
pub fn set_modified(path: &Path, time: SystemTime) -> io::Result<()> {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let seconds = i64::try_from(since.as_secs()).unwrap_or(i64::MAX);
    let time = Timespec { tv_sec: seconds, tv_nsec: since.subsec_nanos().into() };
    let times = Timestamps { last_access: time, last_modification: time };
    Ok(utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW)?)
}

/// Makes a folder of mode 0700, and those above it that are missing. One that is there must be ours
/// ([`check_private_dir`]) and loses what others may do with it.
///
/// # Errors
/// [`FileError`] says which folder and what to change.
pub fn make_private_dir(path: &Path) -> Result<(), FileError> {
    let failed = |source| FileError::MakeFolder { path: path.to_owned(), source };
    match std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(failed(error)),
        _ => {}
    }
    check_private_dir(path)?;
    std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o700)).map_err(failed)
}

/// Whether a folder is ours and nobody else may write to it.
///
/// # Errors
/// [`FileError`] says what is wrong with it and which command puts it right.
pub fn check_private_dir(path: &Path) -> Result<(), FileError> {
    let metadata =
        std::fs::metadata(path).map_err(|source| FileError::Look { path: path.to_owned(), source })?;
    if !metadata.is_dir() {
        return Err(FileError::NotAFolder(path.to_owned()));
    }
    let ours = rustix::process::geteuid().as_raw();
    if metadata.uid() != ours {
        return Err(FileError::NotOurs { path: path.to_owned(), owner: metadata.uid(), ours });
    }
    if metadata.mode() & WRITABLE_BY_OTHERS != 0 {
        return Err(FileError::Exposed { path: path.to_owned(), mode: metadata.mode() & 0o777 });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_file_is_replaced_whole_and_is_ours_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        fs::write(&path, "old").unwrap();
        fs::set_permissions(&path, PermissionsExt::from_mode(0o644)).unwrap();
        write_private(&path, b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing temporary stays");
    }

    #[test]
    fn a_link_is_replaced_and_not_written_through() {
        let folder = tempfile::tempdir().unwrap();
        let (victim, link) = (folder.path().join("victim"), folder.path().join("link"));
        fs::write(&victim, "text").unwrap();
        std::os::unix::fs::symlink(&victim, &link).unwrap();
        write_private(&link, b"new").unwrap();
        assert_eq!(fs::read(&victim).unwrap(), b"text");
        assert_eq!(fs::read(&link).unwrap(), b"new");
    }

    #[test]
    fn many_writers_leave_one_whole_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        std::thread::scope(|scope| {
            for byte in 0..8u8 {
                let path = &path;
                scope.spawn(move || write_private(path, &vec![byte; 10_000]).unwrap());
            }
        });
        let content = fs::read(&path).unwrap();
        assert_eq!(content.len(), 10_000);
        assert!(content.iter().all(|byte| *byte == content[0]));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_file_that_cannot_be_written_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("none").join("key");
        let error = write_private(&path, b"x").unwrap_err();
        assert!(error.to_string().contains("none/key"), "{error}");
    }

    #[test]
    fn a_folder_is_made_with_those_above_and_closed_to_others() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b");
        make_private_dir(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o700);
        fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
        make_private_dir(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o700);
    }

    #[test]
    fn a_folder_others_may_write_to_is_refused_with_the_command_that_helps() {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o775)).unwrap();
        for error in
            [check_private_dir(folder.path()), make_private_dir(folder.path())].map(Result::unwrap_err)
        {
            assert!(error.to_string().contains("chmod go-w"), "{error}");
            assert!(error.to_string().contains("775"), "{error}");
        }
    }

    #[test]
    fn a_folder_of_someone_else_and_a_file_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        assert!(matches!(check_private_dir(&file), Err(FileError::NotAFolder(_))));
        assert!(matches!(make_private_dir(&file), Err(FileError::NotAFolder(_))));
        assert!(matches!(check_private_dir(&folder.path().join("none")), Err(FileError::Look { .. })));
        if !rustix::process::geteuid().is_root() {
            assert!(matches!(check_private_dir(Path::new("/")), Err(FileError::NotOurs { owner: 0, .. })));
            return;
        }
        std::os::unix::fs::chown(folder.path(), Some(65_534), None).unwrap();
        let error = check_private_dir(folder.path()).unwrap_err();
        assert!(error.to_string().contains("chown 0"), "{error}");
    }
}
