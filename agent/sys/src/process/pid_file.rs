//! The pid file: says which process is the daemon, and that there is one only.
//!
//! A lock on the file, not the number in it, tells whether its daemon lives: numbers are used again,
//! locks end with their process. Made only when the operator asks for one.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, Mode, OFlags, flock, ftruncate, open};
use rustix::io::Errno;

/// Why there is no pid file.
#[derive(Debug, thiserror::Error)]
pub enum PidFileError {
    /// Its daemon is alive.
    #[error(
        "another teleport runs as process {pid} and holds {path:?}; stop it first, or give this one another --pid-file"
    )]
    Running {
        /// The other process, as the file says; `?` when it says nothing.
        pid: String,
        /// The file.
        path: PathBuf,
    },
    /// It cannot be written.
    #[error("cannot write the pid file {path:?}; check that its folder exists and may be written to")]
    Write {
        /// The file.
        path: PathBuf,
        /// What happened.
        #[source]
        source: io::Error,
    },
}

/// A pid file of this process; dropping it removes the file.
#[derive(Debug)]
pub struct PidFile {
    path: PathBuf,
    file: File,
}

impl PidFile {
    /// Writes this process's number to the file, mode 0644. One left behind is taken over.
    ///
    /// # Errors
    /// [`PidFileError::Running`] while the process that wrote it lives.
    pub fn create(path: &Path) -> Result<Self, PidFileError> {
        let failed = |source: io::Error| PidFileError::Write { path: path.to_owned(), source };
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let mode = Mode::RUSR | Mode::WUSR | Mode::RGRP | Mode::ROTH;
        let mut file = File::from(open(path, flags, mode).map_err(|error| failed(error.into()))?);
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => {
                return Err(PidFileError::Running { pid: read_pid(&mut file), path: path.to_owned() });
            }
            Err(error) => return Err(failed(error.into())),
        }
        ftruncate(&file, 0).map_err(|error| failed(error.into()))?;
        writeln!(file, "{}", std::process::id()).map_err(failed)?;
        Ok(Self { path: path.to_owned(), file })
    }

    /// Whether the path still leads to the file that was written.
    fn is_ours(&self) -> io::Result<bool> {
        let (ours, there) = (self.file.metadata()?, std::fs::symlink_metadata(&self.path)?);
        Ok((ours.dev(), ours.ino()) == (there.dev(), there.ino()))
    }
}

/// What the file says, for an error message.
fn read_pid(file: &mut File) -> String {
    let mut text = String::new();
    _ = file.take(20).read_to_string(&mut text);
    let pid = text.trim();
    if pid.is_empty() { "?".to_owned() } else { pid.to_owned() }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        if self.is_ours().unwrap_or(false)
            && let Err(error) = std::fs::remove_file(&self.path)
        {
            tracing::warn!(path = %self.path.display(), %error, "the pid file stays behind");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_holds_our_number_and_goes_with_us() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("teleport.pid");
        std::fs::write(&path, "4194304999\nleft behind").unwrap();
        let file = PidFile::create(&path).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), format!("{}\n", std::process::id()));
        drop(file);
        assert!(!path.exists());
    }

    #[test]
    fn a_second_daemon_is_told_of_the_first() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("teleport.pid");
        let first = PidFile::create(&path).unwrap();
        let error = PidFile::create(&path).unwrap_err();
        assert!(error.to_string().contains(&std::process::id().to_string()), "{error}");
        assert!(path.exists(), "the first one keeps its file");
        drop(first);
        PidFile::create(&path).unwrap();
    }

    #[test]
    fn a_file_that_was_replaced_is_not_removed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("teleport.pid");
        let file = PidFile::create(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, "someone else's").unwrap();
        drop(file);
        assert!(path.exists());
    }

    #[test]
    fn a_link_is_not_followed_and_a_missing_folder_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let victim = folder.path().join("victim");
        std::fs::write(&victim, "text").unwrap();
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&victim, &link).unwrap();
        assert!(matches!(PidFile::create(&link), Err(PidFileError::Write { .. })));
        assert_eq!(std::fs::read_to_string(&victim).unwrap(), "text");
        let error = PidFile::create(&folder.path().join("none/teleport.pid")).unwrap_err();
        assert!(error.to_string().contains("none/teleport.pid"), "{error}");
    }
}
