//! The name of an entry: everything the code depends on, as one digest.

use std::fmt;

use domain::plugin::Digest;
use sha2::{Digest as _, Sha256};

/// Digest of the component, wasmtime's version and settings, and the processor's features.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Key([u8; 32]);

impl Key {
    /// The key for a component on an engine.
    pub(crate) fn new(component: &Digest, engine: &[u8; 32]) -> Self {
        let mut hash = Sha256::new();
        // Both parts are of fixed length, so no two pairs run together.
        hash.update(component.as_bytes());
        hash.update(engine);
        Self(hash.finalize().into())
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}
