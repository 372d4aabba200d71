//! Names of hosts and clusters, and which of them are fit to be shown and routed to.

use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The longest host name accepted, in bytes.
pub const HOSTNAME_MAX: usize = 256;

/// The identity of one host for its whole life, kept in `<data_dir>/host_uuid`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct HostId(pub Uuid);

impl HostId {
    /// Reads the canonical text form.
    pub fn parse(text: &str) -> Option<Self> {
        Uuid::try_parse(text.trim()).ok().map(Self)
    }
}

impl fmt::Display for HostId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Whether a host may appear under this name: it starts with a letter or digit, holds letters,
/// digits, dots and hyphens only, and is at most [`HOSTNAME_MAX`] bytes long.
pub fn is_valid_hostname(name: &str) -> bool {
    let mut bytes = name.bytes();
    name.len() <= HOSTNAME_MAX
        && bytes.next().is_some_and(|first| first.is_ascii_alphanumeric())
        && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'.' || b == b'-')
}

/// The name of a cluster: part of every certificate, fixed by the first start.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct ClusterName(String);

/// Why a text cannot name a cluster.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} cannot name a cluster: use letters, digits, dots and hyphens, starting with a letter or digit"
)]
pub struct ClusterNameError(String);

impl ClusterName {
    /// Checks the name by the same rule as a host name, because it becomes the end of host names.
    ///
    /// # Errors
    /// [`ClusterNameError`] with the rule.
    pub fn new(name: impl Into<String>) -> Result<Self, ClusterNameError> {
        let name = name.into();
        if is_valid_hostname(&name) { Ok(Self(name)) } else { Err(ClusterNameError(name)) }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ClusterName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for ClusterName {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostnames_follow_the_published_rule() {
        for good in ["a", "web-1", "Web.Example.com", "9lives", &"a".repeat(256)] {
            assert!(is_valid_hostname(good), "{good}");
        }
        for bad in ["", "-a", ".a", "a_b", "a b", "ä", "a\n", &"a".repeat(257)] {
            assert!(!is_valid_hostname(bad), "{bad:?}");
        }
    }

    #[test]
    fn a_host_id_is_a_uuid_and_nothing_else() {
        assert!(HostId::parse("d52527f9-b260-41d0-bb5a-e23b0cfe0f8f\n").is_some());
        assert!(HostId::parse("web-1").is_none());
    }
}
