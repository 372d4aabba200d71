//! A component with its manifest, as it is handed from author to operator.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use domain::plugin::publisher::{PublicKey, SIGNATURE_MAX, Statement};
use domain::plugin::{ContractKind, Digest, Grant, Manifest, PluginName, Publisher, PublisherName, manifest};

use super::{PublishError, SecretKey, file, signature_path};
use crate::carried;
use crate::compile::{Inspection, Task, WASM_MAX, manifest_of};
use crate::error::LoadError;
use crate::load::source::{self, Found, Source};
use crate::load::{claims, granted, manifest as written, terms};
use crate::section;
use crate::settings::{PluginSettings, Settings};
use crate::signature::{self, Trust};

/// A component and what its manifest says. Nothing of it has run, and nobody vouches for it yet.
pub struct Package {
    path: PathBuf,
    wasm: Bytes,
    manifest: Manifest,
    text: String,
    embedded: bool,
}

/// A component that was just signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedPackage {
    /// What the signature says.
    pub statement: Statement,
    /// The digest of the file as it is now.
    pub digest: Digest,
    /// Where the signature is.
    pub signature: PathBuf,
    /// Whether the manifest was put into the component, which changed the file.
    pub embedded_now: bool,
}

impl Package {
    /// Reads a component, and the manifest it carries or the `plugin.toml` beside it.
    ///
    /// # Errors
    /// [`PublishError`] when there is no manifest, or two that differ.
    pub fn read(path: &Path) -> Result<Self, PublishError> {
        Self::read_with(path, &path.with_file_name(manifest::FILE))
    }

    /// The same as the daemon reads what is installed: the one beside does not matter where the component carries one.
    ///
    /// # Errors
    /// [`PublishError`] when there is no manifest.
    pub fn installed(path: &Path) -> Result<Self, PublishError> {
        Self::of(path, &path.with_file_name(manifest::FILE), false)
    }

    /// Reads a component, and the manifest it carries or the one at `beside`.
    ///
    /// # Errors
    /// As [`Package::read`].
    pub fn read_with(path: &Path, beside: &Path) -> Result<Self, PublishError> {
        Self::of(path, beside, true)
    }

    fn of(path: &Path, beside: &Path, must_agree: bool) -> Result<Self, PublishError> {
        let at = beside.to_owned();
        let max = usize::try_from(WASM_MAX).unwrap_or(usize::MAX);
        let wasm = std::mem::take(&mut *file::read(path, max)?);
        let component = |reason| PublishError::Component { path: path.to_owned(), reason };
        if !wasm.starts_with(b"\0asm") {
            return Err(component("it is not a WebAssembly component".to_owned()));
        }
        let inside = manifest_of(&wasm).map_err(component)?;
        let beside = file::read_if_there(&at, manifest::BYTES_MAX)?;
        let not_text = |_| PublishError::Manifest { path: at.clone(), reason: "it is not text".to_owned() };
        let beside = beside.map(String::from_utf8).transpose().map_err(not_text)?;
        let embedded = inside.is_some();
        let (text, from) = match (inside, beside) {
            (Some(inside), Some(beside)) if must_agree && inside != beside => {
                return Err(PublishError::OtherManifest { path: path.to_owned(), beside: at });
            }
            (Some(inside), _) => (inside, path.to_owned()),
            (None, Some(beside)) => (beside, at),
            (None, None) => return Err(PublishError::NoManifest { path: path.to_owned(), beside: at }),
        };
        let manifest =
            written::parse(&text).map_err(|reason| PublishError::Manifest { path: from, reason })?;
        Ok(Self { path: path.to_owned(), wasm: wasm.into(), manifest, text, embedded })
    }

    /// What it says of itself.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Which bytes it is.
    pub fn digest(&self) -> Digest {
        Digest::of(&self.wasm)
    }

    /// Signs it: puts the manifest into the component if it is not there yet, and the signature beside
    /// it. A signature that was there is replaced.
    ///
    /// # Errors
    /// [`PublishError`]; unless it is of writing, nothing was changed.
    pub fn sign(self, key: &SecretKey) -> Result<SignedPackage, PublishError> {
        let Self { path, wasm, manifest, text, embedded } = self;
        let wasm = if embedded { wasm } else { section::with_manifest(&wasm, &text).into() };
        let component = |reason| PublishError::Component { path: path.clone(), reason };
        let json = Task::Inspect.run(&wasm).map_err(component)?;
        let inspection = Inspection::from_json(&json).map_err(|error| component(error.to_string()))?;
        claims(&manifest.name, &inspection, None).map_err(unfit)?;
        let statement = Statement { name: manifest.name, version: manifest.version };
        let comment = format!("signature of {} {}", statement.name, statement.version);
        let signature =
            minisign::sign(None, &key.secret, &wasm[..], Some(&statement.to_string()), Some(&comment))
                .map_err(|source| PublishError::Sign { path: path.clone(), source })?
                .into_string();
        check_own(key.public(), &statement, &wasm, &signature)
            .map_err(|source| PublishError::Check { path: path.clone(), source })?;
        if !embedded {
            file::replace(&path, &wasm)?;
        }
        let beside = signature_path(&path);
        file::replace(&beside, signature.as_bytes())?;
        Ok(SignedPackage { statement, digest: Digest::of(&wasm), signature: beside, embedded_now: !embedded })
    }

    /// Whether the daemon would take it for what it is, with what the operator says of it: the
    /// publisher whose signature it has, if one is asked for. Looks at the signature beside it.
    ///
    /// # Errors
    /// [`PublishError::Unfit`] with what the daemon would say. Whose files these are, what the component
    /// imports and what it may do are not looked at.
    pub fn verify(
        &self,
        written: &PluginSettings,
        known: &[Publisher],
    ) -> Result<Option<Publisher>, PublishError> {
        let name = &self.manifest.name;
        let signature = file::read_if_there(&signature_path(&self.path), SIGNATURE_MAX)?;
        // No daemon, so no place of its own: only what is said of this one plugin is looked at.
        let mut settings = Settings::new(PathBuf::new());
        settings.plugins.insert(name.clone(), written.clone());
        settings.publishers = known.to_vec();
        let found = Found {
            source: Source::File(self.path.clone()),
            wasm: self.wasm.clone(),
            signature,
            manifest: None,
            grants: Vec::new(),
        };
        let vouched = source::verify(&settings, name, &found).map_err(unfit)?;
        source::check_signed(name, &found, &vouched, &self.manifest, self.embedded).map_err(unfit)?;
        Ok(vouched.signed.map(|signed| signed.publisher))
    }

    /// Whether it is to run, and what it asks for and what the operator says of it meet: grants, limits, configuration.
    ///
    /// # Errors
    /// [`PublishError::Unfit`] with what the daemon would say.
    pub fn agrees(&self, written: &PluginSettings) -> Result<(), PublishError> {
        agree(&self.manifest, Vec::new(), written)
    }
}

/// The same of a plugin that this program carries; there is nothing to say of others.
///
/// # Errors
/// As [`Package::agrees`].
pub fn carried_agrees(name: &PluginName, written: &PluginSettings) -> Result<(), PublishError> {
    let Some(carried) = carried::find(name.as_str()) else { return Ok(()) };
    let Ok(Some(text)) = manifest_of(carried.wasm) else { return Ok(()) };
    let manifest = written::read(name, Some(&text)).map_err(unfit)?;
    agree(&manifest, carried.grants(), written)
}

/// Whether a plugin is to run, and what it asks for and what the operator says of it meet; `anyway` is what it is
/// granted without that.
fn agree(manifest: &Manifest, anyway: Vec<Grant>, written: &PluginSettings) -> Result<(), PublishError> {
    let Manifest { name, contract, .. } = manifest;
    if !written.enabled {
        return Err(unfit(LoadError::Disabled(name.clone())));
    }
    let unserved = |source| unfit(LoadError::Contract { name: name.clone(), source });
    let kind = ContractKind::serving(contract).map_err(unserved)?;
    terms(kind, manifest, &granted(anyway, written), written).map(drop).map_err(unfit)
}

fn unfit(error: LoadError) -> PublishError {
    PublishError::Unfit(Box::new(error))
}

/// Reads the fresh signature back as the daemon will.
fn check_own(
    key: &PublicKey,
    statement: &Statement,
    wasm: &[u8],
    signature: &str,
) -> Result<(), signature::SignatureError> {
    let Ok(name) = PublisherName::new("signer") else { return Ok(()) };
    let signer = [Publisher { name, key: key.clone() }];
    let trust = Trust { listed: &signer, known: &[] };
    signature::check(&statement.name, wasm, signature.as_bytes(), trust).map(drop)
}
