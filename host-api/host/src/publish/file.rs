//! Reading with a bound, and writing files that are there whole or not at all.

use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::PublishError;

/// A file's bytes, `max` at most. They may be secret.
pub(super) fn read(path: &Path, max: usize) -> Result<Zeroizing<Vec<u8>>, PublishError> {
    let file = File::open(path).map_err(cannot_read(path))?;
    read_from(file, path, max)
}

/// The same where there may be no file.
pub(super) fn read_if_there(path: &Path, max: usize) -> Result<Option<Vec<u8>>, PublishError> {
    match File::open(path) {
        Ok(file) => Ok(Some(std::mem::take(&mut *read_from(file, path, max)?))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(cannot_read(path)(source)),
    }
}

/// A file that nobody else may read, if it is one: a pipe is as private as who made it.
pub(super) fn read_secret(path: &Path, max: usize) -> Result<Zeroizing<Vec<u8>>, PublishError> {
    let file = File::open(path).map_err(cannot_read(path))?;
    let found = file.metadata().map_err(cannot_read(path))?;
    let mode = found.permissions().mode() & 0o777;
    if found.is_file() && mode & 0o077 != 0 {
        return Err(PublishError::Exposed { path: path.to_owned(), mode });
    }
    read_from(file, path, max)
}

fn read_from(file: File, path: &Path, max: usize) -> Result<Zeroizing<Vec<u8>>, PublishError> {
    let mut bytes = Zeroizing::new(Vec::new());
    let most = max as u64;
    file.take(most + 1).read_to_end(&mut bytes).map_err(cannot_read(path))?;
    if bytes.len() > max {
        return Err(PublishError::TooLarge { path: path.to_owned(), max: most });
    }
    Ok(bytes)
}

fn cannot_read(path: &Path) -> impl FnOnce(io::Error) -> PublishError {
    let path = path.to_owned();
    move |source| PublishError::Read { path, source }
}

/// Makes a file that is not there yet.
pub(super) fn create(path: &Path, mode: u32, content: &[u8]) -> Result<(), PublishError> {
    let made = OpenOptions::new().write(true).create_new(true).mode(mode).open(path);
    let mut file = match made {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            return Err(PublishError::Exists { path: path.to_owned() });
        }
        Err(source) => return Err(PublishError::Write { path: path.to_owned(), source }),
    };
    file.write_all(content).and_then(|()| file.sync_all()).map_err(|source| {
        // Half a key is none, and would be in the way of the next try.
        let _ = std::fs::remove_file(path);
        PublishError::Write { path: path.to_owned(), source }
    })
}

/// Puts a file in the place of another, with its mode, or where none was.
pub(super) fn replace(path: &Path, content: &[u8]) -> Result<(), PublishError> {
    let failed = |source| PublishError::Write { path: path.to_owned(), source };
    // What a link names is replaced, not the link.
    let target = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let mode = std::fs::metadata(&target).map_or(0o644, |found| found.permissions().mode() & 0o777);
    let draft = draft_path(&target);
    let _ = std::fs::remove_file(&draft);
    let written = create(&draft, 0o600, content).and_then(|()| {
        std::fs::set_permissions(&draft, Permissions::from_mode(mode)).map_err(failed)?;
        std::fs::rename(&draft, &target).map_err(failed)
    });
    if written.is_err() {
        let _ = std::fs::remove_file(&draft);
    }
    written
}

fn draft_path(path: &Path) -> PathBuf {
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(format!(".{}", std::process::id()));
    path.with_file_name(name)
}
