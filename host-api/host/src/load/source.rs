//! Where a plugin's bytes come from: the program itself, or the plugin directory.
//!
//! A folder in the directory goes before a carried plugin of the same name, and loads only when somebody
//! vouches for its file: the operator by a digest, a publisher by a signature, both where both are
//! written. It never falls back to the carried one in silence.

use std::fmt;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use domain::plugin::publisher::{Rule, SIGNATURE_MAX, SIGNATURE_SUFFIX};
use domain::plugin::{Digest, Grant, Manifest, PluginName, manifest};

use crate::carried;
use crate::compile::WASM_MAX;
use crate::error::LoadError;
use crate::place::{self, Owner, PlaceError, io_error};
use crate::settings::{PluginSettings, Settings};
use crate::signature::{self, Signed, Trust};

/// The component's file in a plugin's folder.
pub(crate) const WASM_FILE: &str = "plugin.wasm";

/// Where a plugin came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    /// This program.
    Carried,
    /// This file.
    File(PathBuf),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Carried => f.write_str("this program"),
            Self::File(path) => path.display().fmt(f),
        }
    }
}

/// A plugin's bytes.
pub(crate) struct Found {
    /// Where they came from.
    pub(crate) source: Source,
    /// The component.
    pub(crate) wasm: Bytes,
    /// The publisher's signature beside it; looked for where one is asked for.
    pub(crate) signature: Option<Vec<u8>>,
    /// The manifest beside it. The one in the component goes before it: digest and signature cover
    /// that one.
    pub(crate) manifest: Option<String>,
    /// What its configuration implies.
    pub(crate) grants: Vec<Grant>,
}

/// Why a plugin's bytes may be looked at.
#[derive(Debug)]
pub(crate) struct Vouched {
    /// Which bytes they are.
    pub(crate) digest: Digest,
    /// Who signed them, where that was asked for.
    pub(crate) signed: Option<Signed>,
}

/// Finds a plugin that is not switched off.
///
/// # Errors
/// [`LoadError`] when there is none, or when others could have written it.
pub(super) fn find(settings: &Settings, name: &PluginName) -> Result<Found, LoadError> {
    if settings.plugins.get(name).is_some_and(|written| !written.enabled) {
        return Err(LoadError::Disabled(name.clone()));
    }
    if let Some(directory) = &settings.directory
        && let Some(found) = in_directory(directory, name, asks_signature(settings, name))?
    {
        return Ok(found);
    }
    match carried::find(name.as_str()) {
        Some(carried) => Ok(Found {
            source: Source::Carried,
            wasm: Bytes::from_static(carried.wasm),
            signature: None,
            manifest: None,
            grants: carried.grants(),
        }),
        None => Err(unknown(settings, name)),
    }
}

/// What to say of a plugin that is nowhere.
pub(crate) fn unknown(settings: &Settings, name: &PluginName) -> LoadError {
    let carried = carried::all().iter().map(|carried| carried.name).collect::<Vec<_>>().join(", ");
    let directory = match &settings.directory {
        Some(directory) => {
            format!("and {} does not exist", directory.join(name.as_str()).join(WASM_FILE).display())
        }
        None => "and no plugin directory is set (teleport.plugins.directory or --plugin-dir)".to_owned(),
    };
    LoadError::Unknown { name: name.clone(), carried, directory }
}

/// The file of the signature beside a component.
pub(crate) fn signature_path(wasm: &Path) -> PathBuf {
    let mut path = wasm.as_os_str().to_owned();
    path.push(SIGNATURE_SUFFIX);
    path.into()
}

fn asks_signature(settings: &Settings, name: &PluginName) -> bool {
    let written = settings.plugins.get(name);
    written.is_some_and(|written| Rule::of(&written.digests, &written.publishers).asks_signature())
}

/// Whether somebody vouches for a file: its digest must be one of those that are pinned, its signature
/// that of a publisher who is listed. What is not written is not asked for, but something must be.
///
/// # Errors
/// [`LoadError::NotPinned`] and [`LoadError::Unsigned`] with the lines to add, [`LoadError::OtherDigest`]
/// with both digests, [`LoadError::Signature`] with what is wrong with it.
pub(crate) fn verify(settings: &Settings, name: &PluginName, found: &Found) -> Result<Vouched, LoadError> {
    let digest = Digest::of(&found.wasm);
    let Source::File(path) = &found.source else { return Ok(Vouched { digest, signed: None }) };
    let nothing = PluginSettings::default();
    let written = settings.plugins.get(name).unwrap_or(&nothing);
    let rule = Rule::of(&written.digests, &written.publishers);
    if rule == Rule::Refuse {
        return Err(LoadError::NotPinned { name: name.clone(), path: path.clone(), digest });
    }
    if rule.asks_digest() && !written.digests.contains(&digest) {
        let pinned = written.digests.iter().map(ToString::to_string).collect::<Vec<_>>().join(" or ");
        let (name, path) = (name.clone(), path.clone());
        return Err(LoadError::OtherDigest { name, path, found: digest, pinned });
    }
    let signed = if rule.asks_signature() { Some(signer(settings, name, path, found)?) } else { None };
    Ok(Vouched { digest, signed })
}

/// Who of those that are listed has signed the file.
fn signer(settings: &Settings, name: &PluginName, path: &Path, found: &Found) -> Result<Signed, LoadError> {
    let listed = settings.plugins.get(name).map(|written| written.publishers.as_slice()).unwrap_or_default();
    let path = signature_path(path);
    let Some(bytes) = &found.signature else {
        let publishers = signature::names(listed.iter());
        let digest = Digest::of(&found.wasm);
        return Err(LoadError::Unsigned { name: name.clone(), path, publishers, digest });
    };
    let trust = Trust { listed, known: &settings.publishers };
    signature::check(name, &found.wasm, bytes, trust).map_err(|source| LoadError::Signature {
        name: name.clone(),
        path,
        source,
    })
}

/// What was signed must be the version that the manifest names, and hold the manifest.
///
/// # Errors
/// [`LoadError::Signature`].
pub(crate) fn check_signed(
    name: &PluginName,
    found: &Found,
    vouched: &Vouched,
    manifest: &Manifest,
    embedded: bool,
) -> Result<(), LoadError> {
    let (Some(signed), Source::File(path)) = (&vouched.signed, &found.source) else { return Ok(()) };
    signed.check_manifest(manifest, embedded).map_err(|source| LoadError::Signature {
        name: name.clone(),
        path: signature_path(path),
        source,
    })
}

fn in_directory(
    directory: &Path,
    name: &PluginName,
    with_signature: bool,
) -> Result<Option<Found>, LoadError> {
    let place = |source: PlaceError| LoadError::Place { name: name.clone(), source };
    place::folder(directory, Owner::ThisOrRoot).map_err(place)?;
    let folder = directory.join(name.as_str());
    match std::fs::metadata(&folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        _ => place::folder(&folder, Owner::ThisOrRoot).map_err(place)?,
    }
    let path = folder.join(WASM_FILE);
    let missing = || LoadError::NoComponent { name: name.clone(), path: path.clone() };
    let bounded = |path: &Path, max: u64| {
        let bytes = read(path, max).map_err(place)?;
        match bytes {
            Some(bytes) if bytes.len() as u64 > max => {
                Err(LoadError::TooLarge { name: name.clone(), path: path.to_owned(), max })
            }
            bytes => Ok(bytes),
        }
    };
    let wasm = bounded(&path, WASM_MAX)?.ok_or_else(missing)?;
    let signature =
        if with_signature { bounded(&signature_path(&path), SIGNATURE_MAX as u64)? } else { None };
    let text = bounded(&folder.join(manifest::FILE), manifest::BYTES_MAX as u64)?;
    let not_text = || LoadError::Manifest { name: name.clone(), reason: "it is not text".to_owned() };
    let manifest = text.map(String::from_utf8).transpose().map_err(|_| not_text())?;
    let source = Source::File(path);
    Ok(Some(Found { source, wasm: wasm.into(), signature, manifest, grants: Vec::new() }))
}

/// A file's bytes, one more than the bound at most.
fn read(path: &Path, max: u64) -> Result<Option<Vec<u8>>, PlaceError> {
    let Some(file) = place::open(path, Owner::ThisOrRoot, true)? else { return Ok(None) };
    let mut bytes = Vec::new();
    file.take(max + 1).read_to_end(&mut bytes).map_err(io_error(path, "read"))?;
    Ok(Some(bytes))
}
