//! Where a plugin's bytes come from: the program itself, or the plugin directory.
//!
//! A folder in the directory goes before a carried plugin of the same name, and loads only when its
//! digest is pinned: it never falls back to the carried one in silence.

use std::fmt;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use domain::plugin::{Digest, Grant, PluginName, manifest};

use crate::carried;
use crate::compile::WASM_MAX;
use crate::error::LoadError;
use crate::place::{self, Owner, PlaceError, io_error};
use crate::settings::Settings;

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
pub(super) struct Found {
    /// Where they came from.
    pub(super) source: Source,
    /// The component.
    pub(super) wasm: Bytes,
    /// The manifest beside it. The one in the component goes before it: the pinned digest covers
    /// that one.
    pub(super) manifest: Option<String>,
    /// What its configuration implies.
    pub(super) grants: Vec<Grant>,
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
        && let Some(found) = in_directory(directory, name)?
    {
        return Ok(found);
    }
    match carried::find(name.as_str()) {
        Some(carried) => Ok(Found {
            source: Source::Carried,
            wasm: Bytes::from_static(carried.wasm),
            manifest: None,
            grants: carried.grants(),
        }),
        None => Err(unknown(settings, name)),
    }
}

fn unknown(settings: &Settings, name: &PluginName) -> LoadError {
    let carried = carried::all().iter().map(|carried| carried.name).collect::<Vec<_>>().join(", ");
    let directory = match &settings.directory {
        Some(directory) => {
            format!("and {} does not exist", directory.join(name.as_str()).join(WASM_FILE).display())
        }
        None => "and no plugin directory is set (teleport.plugins.directory or --plugin-dir)".to_owned(),
    };
    LoadError::Unknown { name: name.clone(), carried, directory }
}

/// The digest of what was found; that of a file must be one of those that are pinned.
///
/// # Errors
/// [`LoadError::NotPinned`] with the line to add, or [`LoadError::OtherDigest`] with both.
pub(super) fn verify(settings: &Settings, name: &PluginName, found: &Found) -> Result<Digest, LoadError> {
    let digest = Digest::of(&found.wasm);
    let pinned = settings.plugins.get(name).map(|written| written.digests.as_slice()).unwrap_or_default();
    match &found.source {
        Source::Carried => Ok(digest),
        Source::File(_) if pinned.contains(&digest) => Ok(digest),
        Source::File(path) if pinned.is_empty() => {
            Err(LoadError::NotPinned { name: name.clone(), path: path.clone(), digest })
        }
        Source::File(path) => {
            let pinned = pinned.iter().map(ToString::to_string).collect::<Vec<_>>().join(" or ");
            let (name, path) = (name.clone(), path.clone());
            Err(LoadError::OtherDigest { name, path, found: digest, pinned })
        }
    }
}

fn in_directory(directory: &Path, name: &PluginName) -> Result<Option<Found>, LoadError> {
    let place = |source: PlaceError| LoadError::Place { name: name.clone(), source };
    place::folder(directory, Owner::ThisOrRoot).map_err(place)?;
    let folder = directory.join(name.as_str());
    match std::fs::metadata(&folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        _ => place::folder(&folder, Owner::ThisOrRoot).map_err(place)?,
    }
    let path = folder.join(WASM_FILE);
    let missing = || io_error(&path, "opened")(std::io::Error::from(std::io::ErrorKind::NotFound));
    let wasm = read(&path, WASM_MAX).map_err(place)?.ok_or_else(|| place(missing()))?;
    if wasm.len() as u64 > WASM_MAX {
        return Err(LoadError::TooLarge { name: name.clone(), path, max: WASM_MAX });
    }
    let beside = folder.join(manifest::FILE);
    let text = read(&beside, manifest::BYTES_MAX as u64).map_err(place)?;
    if text.as_ref().is_some_and(|text| text.len() > manifest::BYTES_MAX) {
        return Err(LoadError::TooLarge {
            name: name.clone(),
            path: beside,
            max: manifest::BYTES_MAX as u64,
        });
    }
    let not_text = || LoadError::Manifest { name: name.clone(), reason: "it is not text".to_owned() };
    let manifest = text.map(String::from_utf8).transpose().map_err(|_| not_text())?;
    Ok(Some(Found { source: Source::File(path), wasm: wasm.into(), manifest, grants: Vec::new() }))
}

/// A file's bytes, one more than the bound at most.
fn read(path: &Path, max: u64) -> Result<Option<Vec<u8>>, PlaceError> {
    let Some(file) = place::open(path, Owner::ThisOrRoot, true)? else { return Ok(None) };
    let mut bytes = Vec::new();
    file.take(max + 1).read_to_end(&mut bytes).map_err(io_error(path, "read"))?;
    Ok(Some(bytes))
}
