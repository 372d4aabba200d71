//! A plugin as it arrives, from a file or a registry, and its place in the plugin directory.
//!
//! A delivery is one component with its manifest in it, and the publisher's signature where it has one.
//! It is looked into in the compiler's child, since nobody vouches for it yet; then its manifest, its
//! imports and its signature are held against what the operator wrote. Nothing is written before.

use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use domain::plugin::publisher::{Rule, SIGNATURE_MAX};
use domain::plugin::{Digest, Manifest, Publisher, manifest};

use super::install::{self, InstallError};
use super::{PublishError, file, signature_path};
use crate::compile::{Compiler, Inspection, WASM_MAX};
use crate::error::LoadError;
use crate::load::source::{self, Found, Source};
use crate::load::{claims, manifest as written};
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
        Self::of(PathBuf::from(from), wasm, signature, None, compiler).await
    }

    /// `beside` is the file whose manifest counts where the component carries none.
    async fn of(
        from: PathBuf,
        wasm: Bytes,
        signature: Option<Vec<u8>>,
        beside: Option<PathBuf>,
        compiler: &Compiler,
    ) -> Result<Self, PublishError> {
        if wasm.len() as u64 > WASM_MAX {
            return Err(PublishError::TooLarge { path: from, max: WASM_MAX });
        }
        let failed = |error: &dyn std::error::Error| PublishError::Component {
            path: from.clone(),
            reason: crate::error::chain(error),
        };
        let inspection =
            compiler.inspect(wasm.clone(), INSPECTION_TIME).await.map_err(|error| failed(&error))?;
        let beside = beside.filter(|_| inspection.manifest.is_none());
        let text = beside.as_deref().map(text).transpose()?.flatten();
        let (told, path) = match (inspection.manifest.as_deref(), text.as_deref(), &beside) {
            (Some(embedded), ..) => (embedded, &from),
            (None, Some(text), Some(path)) => (text, path),
            _ => return Err(PublishError::NotEmbedded { path: from }),
        };
        let manifest =
            written::parse(told).map_err(|reason| PublishError::Manifest { path: path.clone(), reason })?;
        claims(&manifest.name, &inspection, text.as_deref())
            .map_err(|error| PublishError::Unfit(Box::new(error)))?;
        Ok(Self { from, wasm, signature, manifest, inspection })
    }

    /// The same for a file, with the signature beside it.
    ///
    /// # Errors
    /// As for [`Delivery::examine`], and when a file cannot be read.
    pub async fn read(path: &Path, compiler: &Compiler) -> Result<Self, PublishError> {
        Self::from_file(path, None, compiler).await
    }

    /// The same for a file that is only looked at: where it carries no manifest, that is the `plugin.toml` beside it,
    /// as in the plugin directory.
    ///
    /// # Errors
    /// As for [`Delivery::read`].
    pub async fn look(path: &Path, compiler: &Compiler) -> Result<Self, PublishError> {
        Self::from_file(path, Some(path.with_file_name(manifest::FILE)), compiler).await
    }

    async fn from_file(
        path: &Path,
        beside: Option<PathBuf>,
        compiler: &Compiler,
    ) -> Result<Self, PublishError> {
        let max = usize::try_from(WASM_MAX).unwrap_or(usize::MAX);
        let wasm = std::mem::take(&mut *file::read(path, max)?);
        let signature = file::read_if_there(&signature_path(path), SIGNATURE_MAX)?;
        Self::of(path.to_owned(), wasm.into(), signature, beside, compiler).await
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
        source::check_signed(name, &found, &vouched, &self.manifest, self.inspection.manifest.is_some())
            .map_err(unfit)?;
        Ok(vouched.signed.map(|signed| signed.publisher))
    }

    /// Puts it into the plugin directory: component and signature change in one step, so that the daemon
    /// sees the old two or the new two, also after a crash. Where the file system cannot exchange two
    /// folders, the old one is moved away first and the plugin is not there for a moment. What an operator
    /// keeps beside the component goes along, also what an earlier installation was stopped before. Of two
    /// who install the same plugin at once the later one wins, and the other may be told that it failed.
    /// Gives back the component's path.
    ///
    /// # Errors
    /// [`InstallError`]. A plugin that was there is then as it was, unless the error says otherwise:
    /// [`InstallError::Aside`], [`InstallError::Unsettled`] and [`InstallError::Leftover`].
    pub fn install(&self, directory: &Path) -> Result<PathBuf, InstallError> {
        install::put(directory, &self.manifest.name, &self.wasm, self.signature.as_deref())
    }
}

/// The text of a manifest, if there is one.
fn text(path: &Path) -> Result<Option<String>, PublishError> {
    let bytes = file::read_if_there(path, manifest::BYTES_MAX)?;
    let reason = "it is not text".to_owned();
    bytes
        .map(String::from_utf8)
        .transpose()
        .map_err(|_| PublishError::Manifest { path: path.to_owned(), reason })
}
