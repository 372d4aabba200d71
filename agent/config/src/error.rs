//! Why there are no settings.

use std::io;
use std::path::PathBuf;

use crate::report::Problems;

/// Why a configuration cannot be used. Nothing was opened or written when one of these comes up,
/// apart from the files it names.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The configuration file is missing or cannot be read.
    #[error("config file {} cannot be read; check the path given to --config and who may read it", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The variable that carries the whole configuration holds something else.
    #[error(
        "TELEPORT_CONFIG does not hold a configuration; set it to the output of: base64 -w0 teleport.yaml"
    )]
    ConfigString,
    /// The configuration is larger than any sensible one.
    #[error(
        "{file} is larger than {limit} bytes; a configuration this large is refused, move what does not belong there elsewhere"
    )]
    TooLarge {
        /// The file.
        file: String,
        /// The most bytes read.
        limit: usize,
    },
    /// The content breaks the rules; every problem found is in the list.
    #[error(transparent)]
    Invalid(#[from] Problems),
    /// A file that holds a secret or a pin cannot be read.
    #[error("{place}: file {} cannot be read; create it, or write the value itself in its place", .path.display())]
    SecretFile {
        /// Which key or flag names the file.
        place: String,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file that should hold a secret or a pin holds nothing usable.
    #[error("{place}: file {}: {reason}", .path.display())]
    SecretContent {
        /// Which key or flag names the file.
        place: String,
        /// The file.
        path: PathBuf,
        /// What is wrong, without the content.
        reason: String,
    },
}
