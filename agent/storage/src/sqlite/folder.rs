//! The folder of the database: made, closed to others, and locked while somebody opens it.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::time::Duration;

use crate::OpenError;

/// How long opening waits for another process that is opening too, or that keeps the file locked.
pub(super) const LOCK_WAIT: Duration = Duration::from_secs(10);

/// How long one try at the lock is from the next.
const LOCK_STEP: Duration = Duration::from_millis(20);

/// Makes the folder, with what is missing above it, and closes it to others.
pub(super) fn make(folder: &Path) -> Result<(), OpenError> {
    let failed = |source| OpenError::Folder { path: folder.to_owned(), source };
    DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed)?;
    restrict(folder, 0o700)
}

/// Makes the database file, empty, when it is not there, and closes it to others.
///
/// The caller holds the [`Lock`]: closing any descriptor of a database file drops the locks SQLite
/// holds on it elsewhere in this process, so only one that nobody can have open yet is opened here.
pub(super) fn make_file(path: &Path) -> Result<(), OpenError> {
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => restrict(path, 0o600),
        Err(source) => Err(OpenError::File { path: path.to_owned(), source }),
    }
}

fn restrict(path: &Path, mode: u32) -> Result<(), OpenError> {
    let failed = |source| OpenError::Mode { path: path.to_owned(), source };
    let current = fs::metadata(path).map_err(failed)?.permissions().mode();
    if current & 0o077 == 0 {
        return Ok(());
    }
    fs::set_permissions(path, Permissions::from_mode(mode)).map_err(failed)
}

/// Held while the database is made and brought up to date, by one process at a time. Freed when it
/// is dropped, and by the system when the process dies.
#[derive(Debug)]
pub(super) struct Lock(#[allow(dead_code, reason = "held, not read: closing it frees the lock")] File);

/// Waits for the lock. Blocks.
pub(super) fn lock(folder: &Path) -> Result<Lock, OpenError> {
    let path = folder.join("lock");
    let failed = |source| OpenError::File { path: path.clone(), source };
    let opened = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path);
    let file = opened.map_err(failed)?;
    let mut waited = Duration::ZERO;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(Lock(file)),
            Err(TryLockError::Error(source)) => return Err(failed(source)),
            Err(TryLockError::WouldBlock) if waited >= LOCK_WAIT => {
                return Err(OpenError::Locked { path, seconds: LOCK_WAIT.as_secs() });
            }
            Err(TryLockError::WouldBlock) => {
                // A blocking thread, not one of the executor's.
                std::thread::park_timeout(LOCK_STEP);
                waited += LOCK_STEP;
            }
        }
    }
}
