//! Why a plugin does not come from, or go to, a registry.

use std::path::PathBuf;
use std::time::Duration;

use oci_client::errors::OciDistributionError;

/// Why a plugin does not come from, or go to, a registry.
#[derive(Debug, thiserror::Error)]
pub enum OciError {
    /// A reference nobody can follow.
    #[error(
        "{text:?} is no place in a registry: {reason}; write oci://HOST/REPOSITORY:TAG or oci://HOST/REPOSITORY@sha256:…"
    )]
    Reference {
        /// As written.
        text: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The registry did not answer, or refused.
    #[error("{what} {place} failed")]
    Registry {
        /// What was tried.
        what: &'static str,
        /// With what.
        place: String,
        /// What happened.
        #[source]
        source: Box<OciDistributionError>,
    },
    /// It took too long.
    #[error("{what} {place} took longer than {limit:?}; try again, or choose a registry that is nearer")]
    TimedOut {
        /// What was tried.
        what: &'static str,
        /// With what.
        place: String,
        /// How long that may take.
        limit: Duration,
    },
    /// There is something else.
    #[error("{place} is no plugin: {reason}; a plugin is pushed with `teleport plugin push`")]
    NoPlugin {
        /// What was looked at.
        place: String,
        /// What it is instead.
        reason: String,
    },
    /// Other bytes than were asked for.
    #[error(
        "the {what} of {place} is not what was asked for: its digest is {found}, not {wanted}; the registry or the way to it changes what it carries"
    )]
    Digest {
        /// Which part.
        what: &'static str,
        /// What was pulled.
        place: String,
        /// What the bytes are.
        found: String,
        /// What they should be.
        wanted: String,
    },
    /// More than a plugin can be.
    #[error("the {what} of {place} is larger than {max} bytes")]
    TooLarge {
        /// Which part.
        what: &'static str,
        /// What was pulled.
        place: String,
        /// The most there may be.
        max: u64,
    },
    /// A file of credentials that cannot be read.
    #[error("{path} cannot be used for the credentials of {registry}: {reason}", path = path.display())]
    Credentials {
        /// The file.
        path: PathBuf,
        /// The registry they are for.
        registry: String,
        /// What is wrong with it.
        reason: String,
    },
}
