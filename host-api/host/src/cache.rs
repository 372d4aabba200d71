//! Compiled code, kept in `<data_dir>/plugins/cache` so that a start costs a file mapping and not a
//! compilation.
//!
//! Compiled code is native code, so this module is the gate to it: an [`Artifact`], which is what
//! the engine maps, comes out of [`Cache::find`] only. The folder is of mode 0700, the files of
//! 0600, all this user's; each entry is sealed with HMAC-SHA256 under a random key in
//! `<data_dir>/plugins/cache.key`. Anything that is not exactly so is thrown away and compiled
//! again: it is a cache, nothing in it is missed.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use port::random::Random;
use tracing::warn;

use crate::compile::{CODE_MAX, INSPECTION_MAX, Inspection};
use crate::place::{self, Kept, Owner, PlaceError, io_error};

mod key;
mod prune;
mod seal;

pub(crate) use key::Key;

/// Code that has been checked, and what the component says of itself.
pub(crate) struct Artifact {
    path: PathBuf,
    inspection: Inspection,
}

impl Artifact {
    /// The file with the code.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// What the component says of itself.
    pub(crate) fn inspection(&self) -> &Inspection {
        &self.inspection
    }
}

/// The folder of compiled code.
pub(crate) struct Cache {
    data_dir: PathBuf,
    folder: PathBuf,
    seal: seal::SealKey,
}

impl Cache {
    /// Opens the cache below a daemon's `data_dir`, making what is missing.
    ///
    /// # Errors
    /// [`PlaceError`] when a folder on the way is not this user's alone to write.
    pub(crate) fn open(data_dir: &Path, random: &dyn Random) -> Result<Self, PlaceError> {
        let plugins = data_dir.join("plugins");
        let folder = plugins.join("cache");
        let kept = closed(data_dir, &folder)?;
        let seal = seal::SealKey::open(&plugins.join("cache.key"), kept, random)?;
        Ok(Self { data_dir: data_dir.to_owned(), folder, seal })
    }

    /// The code for a key, if it is there and is what this machine wrote.
    pub(crate) fn find(&self, key: &Key) -> Option<Artifact> {
        // Each time: what is checked here is mapped by its name afterwards, and somebody may have opened a folder
        // since the daemon started.
        if let Err(reason) = closed(&self.data_dir, &self.folder) {
            warn!(folder = %self.folder.display(), %reason, "no compiled plugin is used");
            return None;
        }
        let (code, seal) = self.paths(key);
        match self.checked(key, &code, &seal) {
            Ok(Some(inspection)) => Some(Artifact { path: code, inspection }),
            Ok(None) => None,
            Err(reason) => {
                warn!(file = %code.display(), %reason, "a compiled plugin is not used and is compiled anew");
                self.discard(key);
                None
            }
        }
    }

    /// A file to compile into. It becomes an entry with [`Cache::keep`] and leaves nothing behind
    /// otherwise.
    ///
    /// # Errors
    /// [`PlaceError::Io`] when the folder cannot be written.
    pub(crate) fn draft(&self, key: &Key, random: &dyn Random) -> Result<Draft, PlaceError> {
        let path = self.folder.join(format!("{key}.{}.draft", random.uuid_bytes_hex()));
        let file = place::create(&path)?;
        Ok(Draft { path, file })
    }

    /// Seals a finished draft and puts it in place.
    ///
    /// # Errors
    /// [`PlaceError::Io`] when the folder cannot be written.
    pub(crate) fn keep(&self, key: &Key, draft: Draft, inspection: &Inspection) -> Result<(), PlaceError> {
        let (code, seal) = self.paths(key);
        let path = &draft.path;
        let mut file = File::open(path).map_err(io_error(path, "read"))?;
        let sealed = self.seal.seal(key, &mut file, inspection).map_err(io_error(path, "sealed"))?;
        // Renamed over and never written into: a running plugin may have the old file mapped. A crash
        // between the two leaves a seal that does not fit, which is found out by the next reader.
        std::fs::rename(path, &code).map_err(io_error(&code, "put in place"))?;
        let sealing = path.with_extension("seal-draft");
        let written = place::create(&sealing).and_then(|mut file| {
            file.write_all(&sealed).map_err(io_error(&sealing, "written"))?;
            std::fs::rename(&sealing, &seal).map_err(io_error(&seal, "put in place"))
        });
        if written.is_err() {
            let _tidied = std::fs::remove_file(&sealing);
        }
        written?;
        prune::prune(&self.folder, key)
    }

    /// Throws an entry away.
    pub(crate) fn discard(&self, key: &Key) {
        let (code, seal) = self.paths(key);
        for path in [seal, code] {
            // What cannot be removed now is found unfit again next time.
            let _removed = std::fs::remove_file(path);
        }
    }

    fn paths(&self, key: &Key) -> (PathBuf, PathBuf) {
        (self.folder.join(format!("{key}.cwasm")), self.folder.join(format!("{key}.seal")))
    }

    /// The inspection, when code and seal fit each other, the key and this machine.
    fn checked(&self, key: &Key, code: &Path, seal: &Path) -> Result<Option<Inspection>, Unfit> {
        let (Some(mut code), Some(seal)) =
            (place::open(code, Owner::This, false)?, place::open(seal, Owner::This, false)?)
        else {
            return Ok(None);
        };
        let mut sealed = Vec::new();
        seal.take(INSPECTION_MAX + 1024).read_to_end(&mut sealed).map_err(Unfit::Read)?;
        if code.metadata().map_err(Unfit::Read)?.len() > CODE_MAX {
            return Err(Unfit::Seal);
        }
        self.seal.verify(key, &mut code, &sealed).map(Some)
    }
}

/// Closes the folder and the one it is in, as far as they are not; what was open to others is emptied.
fn closed(data_dir: &Path, folder: &Path) -> Result<Kept, PlaceError> {
    place::folder(data_dir, Owner::ThisOrRoot)?;
    let mut kept = place::private_folder(folder.parent().unwrap_or(folder))?;
    if place::private_folder(folder)? == Kept::Opened {
        kept = Kept::Opened;
    }
    if kept == Kept::Opened {
        warn!(folder = %folder.display(), "others could reach the compiled plugins; they are compiled anew");
        prune::empty(folder)?;
    }
    Ok(kept)
}

/// A file code is compiled into.
pub(crate) struct Draft {
    path: PathBuf,
    file: File,
}

impl Draft {
    /// The empty file.
    ///
    /// # Errors
    /// [`PlaceError::Io`] when the process is out of descriptors.
    pub(crate) fn file(&self) -> Result<File, PlaceError> {
        self.file.try_clone().map_err(io_error(&self.path, "opened"))
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // After `keep` it has another name and this finds nothing.
        let _removed = std::fs::remove_file(&self.path);
    }
}

/// Why an entry is not used.
#[derive(Debug, thiserror::Error)]
enum Unfit {
    #[error("{0}")]
    Place(#[from] PlaceError),
    #[error("it cannot be read: {0}")]
    Read(std::io::Error),
    #[error("it is not what this machine wrote")]
    Seal,
}

#[cfg(test)]
mod tests;
