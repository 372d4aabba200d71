//! What authors and operators do with a plugin's file and without a daemon: make a key, sign, check.
//!
//! `teleport plugin keygen|sign|verify` are thin over this. Files are minisign's, so its own tool can
//! stand in for each step. Checking is the loader's own, so that a plugin this accepts is not refused
//! later for its signature. Refuses to write over a key, to use a secret key others may read, and to sign
//! what the host would not load: another manifest than the component's, imports no contract offers.
//!
//! Whose files these are is not asked as it is for the daemon's directory: they are the caller's own.

use std::io;
use std::path::{Path, PathBuf};

use crate::error::LoadError;

mod delivery;
mod exchange;
mod file;
mod install;
mod key;
mod package;

pub use delivery::Delivery;
pub use domain::plugin::publisher::PublicKey;
pub use domain::plugin::{Publisher, PublisherName};
pub use install::{InstallError, installed, settle, uninstall};
pub use key::{Password, SecretKey, SecretKeyFile, check_free, generate};
pub use package::{Package, SignedPackage, carried_agrees};

/// Why a plugin's file, or a key, could not be made, signed or read.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// A file could not be read.
    #[error("{path} cannot be read", path = path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The reason.
        #[source]
        source: io::Error,
    },
    /// A file could not be written.
    #[error("{path} cannot be written", path = path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The reason.
        #[source]
        source: io::Error,
    },
    /// A file is larger than any of its kind.
    #[error("{path} is larger than {max} bytes", path = path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The most there may be.
        max: u64,
    },
    /// There is such a file already.
    #[error("{path} exists and is not written over, for a key that is lost cannot sign again; choose another name", path = path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// A secret that is none.
    #[error("others may read {path} (mode {mode:03o}); run: chmod 600 {path}", path = path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// No key could be made.
    #[error("a key could not be made")]
    Generate(#[source] minisign::PError),
    /// A file that holds no secret key.
    #[error("{path} is not a minisign secret key; make one with `teleport plugin keygen`", path = path.display())]
    NoKey {
        /// The file.
        path: PathBuf,
    },
    /// The other half of a key.
    #[error("{path} is the public half of a key; name the secret one, which `teleport plugin keygen` wrote beside it", path = path.display())]
    PublicHalf {
        /// The file.
        path: PathBuf,
    },
    /// It cannot be unlocked.
    #[error("the secret key {path} cannot be unlocked", path = path.display())]
    Unlock {
        /// The file.
        path: PathBuf,
        /// minisign's reason.
        #[source]
        source: minisign::PError,
    },
    /// There is no password.
    #[error("the secret key {path} has a password, and none was given", path = path.display())]
    PasswordMissing {
        /// The file with the key.
        path: PathBuf,
    },
    /// It cannot be one.
    #[error("a password has 1 to {max} bytes", max = key::PASSWORD_MAX)]
    Password,
    /// A file that is no component.
    #[error("{path} cannot be used: {reason}", path = path.display())]
    Component {
        /// The file.
        path: PathBuf,
        /// What it is instead.
        reason: String,
    },
    /// There is no manifest.
    #[error("{path} carries no manifest, and there is no {beside}", path = path.display(), beside = beside.display())]
    NoManifest {
        /// The component.
        path: PathBuf,
        /// Where one was looked for.
        beside: PathBuf,
    },
    /// The manifest is not part of the component.
    #[error("{path} carries no manifest, so nobody could vouch for it; its author puts it in with `teleport plugin sign`", path = path.display())]
    NotEmbedded {
        /// The component.
        path: PathBuf,
    },
    /// It is signed, and nobody's signature would count.
    #[error("{path} is signed, and teleport.plugins.publishers names nobody whose signature would count; add their key there, or, if you trust this file, add under teleport.plugins.load.NAME: digest: {digest}", path = path.display())]
    NoPublishers {
        /// The component.
        path: PathBuf,
        /// Its digest.
        digest: domain::plugin::Digest,
    },
    /// There are two manifests.
    #[error("{path} carries another manifest than {beside}; build the component anew, or remove {beside}", path = path.display(), beside = beside.display())]
    OtherManifest {
        /// The component.
        path: PathBuf,
        /// The file beside it.
        beside: PathBuf,
    },
    /// The manifest cannot be used.
    #[error("the manifest in {path} cannot be used: {reason}", path = path.display())]
    Manifest {
        /// Where it is.
        path: PathBuf,
        /// Where and why.
        reason: String,
    },
    /// The host would not load it.
    #[error("the host would refuse this plugin")]
    Unfit(#[source] Box<LoadError>),
    /// It could not be signed.
    #[error("{path} could not be signed", path = path.display())]
    Sign {
        /// The component.
        path: PathBuf,
        /// minisign's reason.
        #[source]
        source: minisign::PError,
    },
    /// What was just signed does not check.
    #[error("the signature of {path} does not check; the secret key may be damaged", path = path.display())]
    Check {
        /// The component.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: crate::signature::SignatureError,
    },
}

/// The file of the signature beside a component: its name and `.minisig`.
pub fn signature_path(wasm: &Path) -> PathBuf {
    crate::load::source::signature_path(wasm)
}

#[cfg(test)]
mod tests;
