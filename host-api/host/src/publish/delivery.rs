//! A plugin as it arrives, from a file or a registry, and its place in the plugin directory.
//!
//! A delivery is one component with its manifest in it, and the publisher's signature where it has one.
//! It is looked into in the compiler's child, since nobody vouches for it yet; then its manifest, its
//! imports and its signature are held against what the operator wrote. Nothing is written before.
//!
//! What is written is what the daemon reads: `NAME/plugin.wasm` and the signature beside it. The daemon
//! looks at both anew and decides for itself.

use std::fs::Permissions;
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use domain::plugin::publisher::{Rule, SIGNATURE_MAX};
use domain::plugin::{Digest, Manifest, PluginName, Publisher};

use super::exchange::{self, sync};
use super::{PublishError, file, signature_path};
use crate::compile::{Compiler, Inspection, WASM_MAX};
use crate::error::LoadError;
use crate::load::source::{self, Found, Source};
use crate::load::{WASM_FILE, claims, manifest as written};
use crate::place::{self, Owner, PlaceError};
use crate::settings::{PluginSettings, Settings};

/// How long looking into a component may take.
const INSPECTION_TIME: Duration = Duration::from_secs(60);

/// A component somebody handed over, with what it says of itself.
pub struct Delivery {
    /// Where it came from, for errors and for the digest's sake nowhere else.
    from: PathBuf,
    wasm: Bytes,
    signature: Option<Vec<u8>>,
    manifest: Manifest,
    inspection: Inspection,
}

/// Why a plugin cannot be put into, or taken out of, the plugin directory.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// The directory is not there, not a directory, or others may write to it.
    #[error("the plugin directory cannot be used (teleport.plugins.directory)")]
    Directory(#[source] PlaceError),
    /// It cannot be written to.
    #[error("{path} cannot be {action}; run this as a user who may write there", path = path.display())]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// The reason.
        #[source]
        source: io::Error,
    },
    /// There is no such plugin in the directory.
    #[error("there is no plugin {name} in {directory}", directory = directory.display())]
    NotInstalled {
        /// The plugin.
        name: PluginName,
        /// The directory.
        directory: PathBuf,
    },
}

impl Delivery {
    /// Looks into a component that is in memory. `from` is how it is called in errors.
    ///
    /// # Errors
    /// [`PublishError`] for what is no plugin, is too large, or claims what is not so.
    pub async fn examine(
        from: &str,
        wasm: Bytes,
        signature: Option<Vec<u8>>,
        compiler: &Compiler,
    ) -> Result<Self, PublishError> {
        let from = PathBuf::from(from);
        if wasm.len() as u64 > WASM_MAX {
            return Err(PublishError::TooLarge { path: from, max: WASM_MAX });
        }
        let failed = |error: &dyn std::error::Error| PublishError::Component {
            path: from.clone(),
            reason: crate::error::chain(error),
        };
        let inspection =
            compiler.inspect(wasm.clone(), INSPECTION_TIME).await.map_err(|error| failed(&error))?;
        let Some(text) = inspection.manifest.as_deref() else {
            return Err(PublishError::NotEmbedded { path: from });
        };
        let manifest =
            written::parse(text).map_err(|reason| PublishError::Manifest { path: from.clone(), reason })?;
        claims(&manifest.name, &inspection, None).map_err(|error| PublishError::Unfit(Box::new(error)))?;
        Ok(Self { from, wasm, signature, manifest, inspection })
    }

    /// The same for a file, with the signature beside it.
    ///
    /// # Errors
    /// As for [`Delivery::examine`], and when a file cannot be read.
    pub async fn read(path: &Path, compiler: &Compiler) -> Result<Self, PublishError> {
        let max = usize::try_from(WASM_MAX).unwrap_or(usize::MAX);
        let wasm = std::mem::take(&mut *file::read(path, max)?);
        let signature = file::read_if_there(&signature_path(path), SIGNATURE_MAX)?;
        let mut delivery = Self::examine(&path.to_string_lossy(), wasm.into(), signature, compiler).await?;
        path.clone_into(&mut delivery.from);
        Ok(delivery)
    }

    /// What it says of itself.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Which bytes it is.
    pub fn digest(&self) -> Digest {
        Digest::of(&self.wasm)
    }

    /// The bytes themselves.
    pub fn wasm(&self) -> &Bytes {
        &self.wasm
    }

    /// The signature as it arrived.
    pub fn signature(&self) -> Option<&[u8]> {
        self.signature.as_deref()
    }

    /// The interfaces it imports.
    pub fn imports(&self) -> &[String] {
        &self.inspection.imports
    }

    /// The interfaces it exports.
    pub fn exports(&self) -> &[String] {
        &self.inspection.exports
    }

    /// Whether somebody vouches for it: as the configuration asks where it says something of this plugin,
    /// else whoever signed it, who must be known. Gives back the publisher; nobody for one that is
    /// neither pinned nor signed, which the daemon will not load before its digest is written.
    ///
    /// # Errors
    /// [`PublishError::Unfit`] with what the daemon would say.
    pub fn vouched(
        &self,
        written: &PluginSettings,
        known: &[Publisher],
    ) -> Result<Option<Publisher>, PublishError> {
        let mut written = written.clone();
        if Rule::of(&written.digests, &written.publishers) == Rule::Refuse {
            if self.signature.is_none() {
                return Ok(None);
            }
            written.publishers = known.to_vec();
            if known.is_empty() {
                return Err(PublishError::NoPublishers { path: self.from.clone(), digest: self.digest() });
            }
        }
        let unfit = |error: LoadError| PublishError::Unfit(Box::new(error));
        let name = &self.manifest.name;
        let mut settings = Settings::new(PathBuf::new());
        settings.plugins.insert(name.clone(), written);
        settings.publishers = known.to_vec();
        let found = Found {
            source: Source::File(self.from.clone()),
            wasm: self.wasm.clone(),
            signature: self.signature.clone(),
            manifest: None,
            grants: Vec::new(),
        };
        let vouched = source::verify(&settings, name, &found).map_err(unfit)?;
        source::check_signed(name, &found, &vouched, &self.manifest, true).map_err(unfit)?;
        Ok(vouched.signed.map(|signed| signed.publisher))
    }

    /// Puts it into the plugin directory: component and signature change in one step, so that the daemon
    /// sees the old two or the new two, also after a crash. Where the file system cannot exchange two
    /// folders, the old one is moved away first and the plugin is not there for a moment. Gives back the
    /// component's path.
    ///
    /// # Errors
    /// [`InstallError`]; a plugin that was there is then as it was, except when only what an operator
    /// keeps beside it could not be moved along: it is then where the error says.
    pub fn install(&self, directory: &Path) -> Result<PathBuf, InstallError> {
        place::folder(directory, Owner::ThisOrRoot).map_err(InstallError::Directory)?;
        let folder = directory.join(self.manifest.name.as_str());
        let failed = |source| InstallError::Write { path: folder.clone(), action: "written", source };
        // No plugin's name begins with a dot, so the daemon looks at no draft.
        let draft = tempfile::Builder::new()
            .prefix(".install.")
            .permissions(Permissions::from_mode(0o755))
            .tempdir_in(directory)
            .map_err(|source| InstallError::Write {
                path: directory.to_owned(),
                action: "written to",
                source,
            })?;
        write(&draft.path().join(WASM_FILE), &self.wasm)?;
        if let Some(signature) = &self.signature {
            write(&signature_path(&draft.path().join(WASM_FILE)), signature)?;
        }
        sync(draft.path()).map_err(failed)?;
        match folder.symlink_metadata() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                std::fs::rename(draft.path(), &folder).map_err(failed)?;
                // It has another name now: nothing is left to clean up.
                let _ = draft.keep();
            }
            Err(error) => return Err(failed(error)),
            Ok(_) => {
                place::folder(&folder, Owner::ThisOrRoot).map_err(InstallError::Directory)?;
                // What is in the draft's place afterwards is the old plugin, which goes with it.
                exchange::folders(draft.path(), &folder).map_err(failed)?;
                if let Err(source) = exchange::carry_over(draft.path(), &folder) {
                    // What else lies in it is the operator's, and not to be removed with it.
                    return Err(InstallError::Write { path: draft.keep(), action: "emptied", source });
                }
            }
        }
        sync(directory).map_err(failed)?;
        Ok(folder.join(WASM_FILE))
    }
}

/// The component of a plugin in the directory, if there is one.
pub fn installed(directory: &Path, name: &PluginName) -> Option<PathBuf> {
    let path = directory.join(name.as_str()).join(WASM_FILE);
    path.symlink_metadata().is_ok().then_some(path)
}

/// Takes a plugin out of the directory, with everything in its folder. Another's files that its folder
/// is a link to are left alone.
///
/// # Errors
/// [`InstallError`].
pub fn uninstall(directory: &Path, name: &PluginName) -> Result<(), InstallError> {
    let folder = directory.join(name.as_str());
    let failed = |source| InstallError::Write { path: folder.clone(), action: "removed", source };
    match folder.symlink_metadata() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(InstallError::NotInstalled { name: name.clone(), directory: directory.to_owned() });
        }
        Err(error) => return Err(failed(error)),
        Ok(found) if found.is_dir() => {}
        Ok(_) => return std::fs::remove_file(&folder).map_err(failed),
    }
    // Out of the daemon's sight in one step. No plugin's name begins with a dot.
    let gone = directory.join(format!(".{name}.removed.{}", std::process::id()));
    std::fs::rename(&folder, &gone).map_err(failed)?;
    std::fs::remove_dir_all(&gone).map_err(|source| InstallError::Write {
        path: gone,
        action: "removed",
        source,
    })
}

fn write(path: &Path, content: &[u8]) -> Result<(), InstallError> {
    let failed = |source| InstallError::Write { path: path.to_owned(), action: "written", source };
    let mut file = std::fs::File::create_new(path).map_err(failed)?;
    file.set_permissions(Permissions::from_mode(0o644)).map_err(failed)?;
    file.write_all(content).and_then(|()| file.sync_all()).map_err(failed)
}
