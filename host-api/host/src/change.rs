//! What is told of a plugin when something about it changes: for the audit log and for counters, which
//! are others' business. Calls are not told here.

use std::fmt;
use std::sync::Arc;

use domain::Timestamp;
use domain::plugin::{Contract, Digest, PluginName, SecretLabel};

/// Told of every change, on the plugins' own thread: notes it, and returns at once. Says whether it took the
/// change; what must not happen unnoticed ([`ChangeKind::Revealed`]) does not happen when it did not.
pub type ChangeObserver = Arc<dyn Fn(&Change) -> bool + Send + Sync>;

/// Something about a plugin changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The plugin.
    pub plugin: PluginName,
    /// What is known of the bytes it is about.
    pub facts: Facts,
    /// What happened.
    pub kind: ChangeKind,
}

/// What happened to a plugin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChangeKind {
    /// It was loaded, where there was none.
    Loaded,
    /// It took the place of another version, which was the one described here.
    Reloaded(Facts),
    /// It was not loaded, or is not served any more, and why. The version that was loaded before goes
    /// on being served, if there is one.
    Rejected(String),
    /// It is not called until then, and why.
    Quarantined {
        /// When one call will try it.
        until: Timestamp,
        /// The last failure, and how many there were.
        reason: String,
    },
    /// It was tried after a quarantine and is called again.
    Released,
    /// It was switched off, and by whom.
    Disabled(String),
    /// It may run again, and who wants it to.
    Enabled(String),
    /// It is about to see a secret that it was granted to see; told once for each while it is loaded.
    Revealed(SecretLabel),
}

impl ChangeKind {
    /// Its name in metrics.
    pub fn key(&self) -> &'static str {
        match self {
            Self::Loaded => "load",
            Self::Reloaded(_) => "reload",
            Self::Rejected(_) => "reject",
            Self::Quarantined { .. } => "quarantine",
            Self::Released => "release",
            Self::Disabled(_) => "disable",
            Self::Enabled(_) => "enable",
            Self::Revealed(_) => "reveal",
        }
    }
}

/// What is known of a plugin: everything once it is loaded, and as much as had been found out when it
/// was refused.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// Its own version.
    pub version: Option<String>,
    /// Which bytes it is.
    pub digest: Option<Digest>,
    /// Its contract.
    pub contract: Option<Contract>,
    /// Where it came from: a path, or `this program`.
    pub source: Option<String>,
    /// Who signed it, where that counted.
    pub publisher: Option<String>,
}

/// Version and digest, as far as they are known.
impl fmt::Display for Facts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.version.as_deref().unwrap_or("unknown version"))?;
        self.digest.iter().try_for_each(|digest| write!(f, " ({digest})"))
    }
}
