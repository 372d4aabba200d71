//! Kinds of plugin and their versions: `teleport:label-provider@1.0.0`.
//!
//! The same contract is named twice, in the manifest and in the component itself; the host compares
//! the two, so a manifest cannot lie about it. Versions follow semantic versioning 2.0.0: within a
//! major version contracts only grow, so the major number alone decides whether a plugin fits.

use std::fmt;

use serde::{Deserialize, Serialize, de::Error};

/// `major.minor.patch`. Pre-releases are not served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Version {
    /// Rises when a contract breaks.
    pub major: u32,
    /// Rises when a contract grows.
    pub minor: u32,
    /// Rises when its text is mended.
    pub patch: u32,
}

impl Version {
    /// Reads `1.2.3`.
    pub fn parse(text: &str) -> Option<Self> {
        let number = |part: Option<&str>| {
            let part = part?;
            let plain = part.bytes().all(|b| b.is_ascii_digit()) && (part == "0" || !part.starts_with('0'));
            if plain { part.parse().ok() } else { None }
        };
        let mut parts = text.split('.');
        let version =
            Self { major: number(parts.next())?, minor: number(parts.next())?, patch: number(parts.next())? };
        parts.next().is_none().then_some(version)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

/// A contract a plugin names: a WIT package and its version.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Contract {
    /// `teleport:label-provider`.
    pub package: String,
    /// The version the plugin was built against.
    pub version: Version,
}

/// Why a plugin's contract cannot be served.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ContractError {
    /// The text is not `namespace:package@version`.
    #[error("{0:?} is not a contract; write it like teleport:label-provider@1.0.0")]
    Form(String),
    /// No such kind of plugin.
    #[error("contract {0} is not known to this host, which serves {served}", served = served_list())]
    Unknown(Contract),
    /// A known kind in a version from another age.
    #[error(
        "the plugin is built for {asked}, this host serves {served}; use a release of the plugin for {served}, or upgrade the host"
    )]
    Version {
        /// What the plugin was built for.
        asked: Contract,
        /// What the host has.
        served: Contract,
    },
}

impl Contract {
    /// Reads `teleport:label-provider@1.0.0`.
    ///
    /// # Errors
    /// [`ContractError::Form`] with the form that is wanted.
    pub fn parse(text: &str) -> Result<Self, ContractError> {
        let wrong = || ContractError::Form(text.to_owned());
        let (package, version) = text.split_once('@').ok_or_else(wrong)?;
        let (namespace, name) = package.split_once(':').ok_or_else(wrong)?;
        let word = |w: &str| {
            !w.is_empty() && w.len() <= 64 && w.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        };
        if !word(namespace) || !word(name) {
            return Err(wrong());
        }
        let version = Version::parse(version).ok_or_else(wrong)?;
        Ok(Self { package: package.to_owned(), version })
    }
}

impl fmt::Display for Contract {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.package, self.version)
    }
}

impl Serialize for Contract {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Contract {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

/// The kinds of plugin this host serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ContractKind {
    /// Computes dynamic labels.
    LabelProvider,
    /// Keeps the cluster's records.
    StorageBackend,
}

impl ContractKind {
    /// Every kind there is.
    pub const ALL: &[Self] = &[Self::LabelProvider, Self::StorageBackend];

    /// The WIT package of this kind.
    pub fn package(self) -> &'static str {
        match self {
            Self::LabelProvider => "teleport:label-provider",
            Self::StorageBackend => "teleport:storage-backend",
        }
    }

    /// The newest version of it this host serves.
    pub fn served(self) -> Contract {
        let version = match self {
            Self::LabelProvider => Version { major: 1, minor: 0, patch: 0 },
            Self::StorageBackend => Version { major: 1, minor: 1, patch: 0 },
        };
        Contract { package: self.package().to_owned(), version }
    }

    /// The kind that serves a contract.
    ///
    /// A newer minor version passes here: whether the plugin uses something this host lacks shows
    /// when it is linked, before it runs.
    ///
    /// # Errors
    /// [`ContractError::Unknown`] or [`ContractError::Version`], naming both sides.
    pub fn serving(asked: &Contract) -> Result<Self, ContractError> {
        let kind = Self::ALL.iter().find(|kind| kind.package() == asked.package);
        let kind = *kind.ok_or_else(|| ContractError::Unknown(asked.clone()))?;
        let served = kind.served();
        if served.version.major == asked.version.major {
            Ok(kind)
        } else {
            Err(ContractError::Version { asked: asked.clone(), served })
        }
    }
}

fn served_list() -> String {
    ContractKind::ALL.iter().map(|kind| kind.served().to_string()).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_later_minor_version_is_served_and_another_major_is_not() {
        for good in ["teleport:label-provider@1.0.0", "teleport:label-provider@1.7.2"] {
            assert_eq!(
                ContractKind::serving(&Contract::parse(good).unwrap()),
                Ok(ContractKind::LabelProvider)
            );
        }
        let error = ContractKind::serving(&Contract::parse("teleport:label-provider@2.0.0").unwrap());
        let text = error.unwrap_err().to_string();
        assert!(text.contains("label-provider@2.0.0") && text.contains("label-provider@1.0.0"), "{text}");
    }

    #[test]
    fn an_unknown_kind_is_named_beside_the_known_ones() {
        let error = ContractKind::serving(&Contract::parse("acme:thing@1.0.0").unwrap()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "contract acme:thing@1.0.0 is not known to this host, which serves teleport:label-provider@1.0.0, teleport:storage-backend@1.1.0"
        );
    }

    #[test]
    fn refuses_what_is_no_contract() {
        for bad in [
            "",
            "a@1.0.0",
            "a:b",
            "a:b@1",
            "a:b@1.0",
            "a:b@1.0.0-rc.1",
            "a:b@01.0.0",
            "a:b@1.0.0.0",
            "a b:c@1.0.0",
        ] {
            assert_eq!(Contract::parse(bad), Err(ContractError::Form(bad.to_owned())));
        }
    }

    proptest! {
        #[test]
        fn contracts_survive_writing_and_reading(major: u32, minor: u32, patch: u32) {
            let contract =
                Contract { package: "teleport:x".to_owned(), version: Version { major, minor, patch } };
            prop_assert_eq!(Contract::parse(&contract.to_string()), Ok(contract));
        }

        #[test]
        fn no_text_panics(text in ".{0,40}") {
            let _ = Contract::parse(&text);
        }
    }
}
