//! The folder and the file of the database, closed to everyone but their owner.
//!
//! Permissions are set by path. The database file itself is never opened here: closing any
//! descriptor of it would drop the locks SQLite holds on it elsewhere in this process.

use std::fs::{self, DirBuilder, Permissions};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;

use crate::OpenError;

/// Makes the folder, with what is missing above it, and closes it to others.
pub(super) fn make(folder: &Path) -> Result<(), OpenError> {
    let failed = |source| OpenError::Folder { path: folder.to_owned(), source };
    DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed)?;
    restrict(folder, 0o700)
}

/// Takes away what others may do with a folder or file.
pub(super) fn restrict(path: &Path, mode: u32) -> Result<(), OpenError> {
    let failed = |source| OpenError::Mode { path: path.to_owned(), source };
    let current = fs::metadata(path).map_err(failed)?.permissions().mode();
    if current & 0o077 == 0 {
        return Ok(());
    }
    fs::set_permissions(path, Permissions::from_mode(mode)).map_err(failed)
}
