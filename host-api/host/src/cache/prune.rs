//! Keeps the cache bounded: old entries go, by the time they were written.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::Key;
use crate::place::{PlaceError, io_error};

/// The most files kept: two per entry.
const FILES_MAX: usize = 128;

/// The most bytes kept.
const BYTES_MAX: u64 = 1 << 30;

/// Removes the oldest files beyond the bounds, never those of `fresh`.
///
/// # Errors
/// [`PlaceError::Io`] when the folder cannot be read.
pub(super) fn prune(folder: &Path, fresh: &Key) -> Result<(), PlaceError> {
    let fresh = fresh.to_string();
    let mut files = list(folder)?;
    files.sort_by_key(|file| std::cmp::Reverse(file.written));
    let mut bytes = 0u64;
    for (index, file) in files.iter().enumerate() {
        bytes = bytes.saturating_add(file.size);
        let is_fresh = file.path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&fresh));
        if (index >= FILES_MAX || bytes > BYTES_MAX) && !is_fresh {
            // Another process may have removed it first.
            let _removed = std::fs::remove_file(&file.path);
        }
    }
    Ok(())
}

/// Removes everything.
///
/// # Errors
/// [`PlaceError::Io`] when something stays.
pub(super) fn empty(folder: &Path) -> Result<(), PlaceError> {
    for file in list(folder)? {
        std::fs::remove_file(&file.path).map_err(io_error(&file.path, "removed"))?;
    }
    Ok(())
}

struct Found {
    path: PathBuf,
    size: u64,
    written: SystemTime,
}

fn list(folder: &Path) -> Result<Vec<Found>, PlaceError> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(io_error(folder, "read"))? {
        let entry = entry.map_err(io_error(folder, "read"))?;
        // Gone since it was listed, or no file of ours: a folder stays for whoever made it to remove.
        let Ok(found) = entry.metadata() else { continue };
        if !found.is_dir() {
            let written = found.modified().unwrap_or(SystemTime::UNIX_EPOCH);
            files.push(Found { path: entry.path(), size: found.len(), written });
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use domain::plugin::Digest;

    use super::*;

    #[test]
    fn the_oldest_go_first_and_the_fresh_stay() {
        let folder = tempfile::tempdir().unwrap();
        let fresh = Key::new(&Digest::of(b"x"), &[0; 32]);
        let write = |name: &str, age: u64| {
            let path = folder.path().join(name);
            let file = std::fs::File::create(&path).unwrap();
            file.set_modified(SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000 - age))
                .unwrap();
            path
        };
        let oldest = write(&format!("{fresh}.cwasm"), 999_999);
        let others: Vec<_> =
            (0..FILES_MAX as u64 + 10).map(|age| write(&format!("{age:04}.cwasm"), age)).collect();
        prune(folder.path(), &fresh).unwrap();
        assert!(oldest.exists());
        let kept = others.iter().filter(|path| path.exists()).count();
        assert_eq!(kept, FILES_MAX);
        assert!(others[FILES_MAX - 1].exists() && !others[FILES_MAX].exists());
    }
}
