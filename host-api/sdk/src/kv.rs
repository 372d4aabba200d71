//! A few bytes the host keeps for this plugin from one call to the next, on this host only, also over
//! restarts. The manifest must ask for `kv`, the operator grants it.
//!
//! Two calls may run at the same time, so what depends on what was there before belongs into [`swap`]:
//!
//! ```no_run
//! use teleport_plugin_sdk::kv;
//!
//! /// Counts the calls, and misses none.
//! fn count() -> Result<u64, kv::Error> {
//!     loop {
//!         let before = kv::get("count")?;
//!         let text = before.as_deref().and_then(|bytes| std::str::from_utf8(bytes).ok());
//!         let count = text.and_then(|text| text.parse().ok()).unwrap_or(0_u64) + 1;
//!         if kv::swap("count", before.as_deref(), count.to_string().as_bytes())? {
//!             return Ok(count);
//!         }
//!     }
//! }
//! ```

use std::fmt;

use crate::bindings::host::teleport::host::kv as wire;

/// The longest key, in bytes.
pub const KEY_MAX: usize = 256;

/// Why it was not done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Error {
    /// Not granted; the text is the host's and says what to add.
    Denied(String),
    /// The key is empty or longer than [`KEY_MAX`].
    Invalid(String),
    /// All keys and values together would be more than this many bytes, the plugin's limit. Nothing was
    /// changed.
    Full(u64),
    /// The disk does not take it.
    Unavailable(String),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Denied(text) | Self::Invalid(text) | Self::Unavailable(text) => f.write_str(text),
            Self::Full(most) => write!(f, "more than the {most} bytes that are kept for this plugin"),
        }
    }
}

impl std::error::Error for Error {}

impl From<wire::Failure> for Error {
    fn from(failure: wire::Failure) -> Self {
        match failure {
            wire::Failure::Denied(text) => Self::Denied(text),
            wire::Failure::Invalid(text) => Self::Invalid(text),
            wire::Failure::Full(most) => Self::Full(most),
            wire::Failure::Unavailable(text) => Self::Unavailable(text),
        }
    }
}

/// The value of a key; none when it is not set.
///
/// # Errors
/// [`Error`], when the host does not say.
pub fn get(key: &str) -> Result<Option<Vec<u8>>, Error> {
    Ok(wire::get(key)?)
}

/// Sets a key. It is on the disk when this returns.
///
/// # Errors
/// [`Error`], when nothing was changed.
pub fn set(key: &str, value: &[u8]) -> Result<(), Error> {
    Ok(wire::set(key, value)?)
}

/// Sets a key whose value is still `expected` (none: it is not set), and says whether it was.
///
/// # Errors
/// [`Error`], when nothing was changed.
pub fn swap(key: &str, expected: Option<&[u8]>, value: &[u8]) -> Result<bool, Error> {
    Ok(wire::swap(key, expected, value)?)
}

/// Removes a key; nothing happens when it is not set.
///
/// # Errors
/// [`Error`], when nothing was changed.
pub fn delete(key: &str) -> Result<(), Error> {
    Ok(wire::delete(key)?)
}

/// The keys that start with this text, in order.
///
/// # Errors
/// [`Error`], when the host does not say.
pub fn keys(prefix: &str) -> Result<Vec<String>, Error> {
    Ok(wire::keys(prefix)?)
}
