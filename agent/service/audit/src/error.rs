//! Why a service of this room cannot start.

use std::io;
use std::path::PathBuf;

/// What failed at start, and where.
#[derive(Debug, thiserror::Error)]
pub enum AuditServiceError {
    /// The folder of the log cannot be used.
    #[error("cannot make the audit log folder {folder}; it must be writable by the user teleport runs as")]
    LogFolder {
        /// Which one.
        folder: PathBuf,
        /// What happened.
        #[source]
        source: io::Error,
    },
    /// The latest file of the log cannot be opened or read.
    #[error(
        "cannot open the audit log in {folder}; its files must be writable by the user teleport runs as, on a disk with room"
    )]
    LogFile {
        /// Where.
        folder: PathBuf,
        /// What happened.
        #[source]
        source: io::Error,
    },
    /// The spool cannot be opened.
    #[error("cannot open the audit spool in {folder}; it must be writable by the user teleport runs as")]
    Spool {
        /// Where.
        folder: PathBuf,
        /// What happened.
        #[source]
        source: io::Error,
    },
}

/// An error with what caused it in one sentence, for errors that carry text only.
pub(crate) fn sentence(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |&cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
