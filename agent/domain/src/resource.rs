//! Records operators read and write: kind, version, metadata, spec.
//!
//! One generic envelope carries every kind; a kind adds its spec and the rules in [`Spec::check`].
//! Unknown keys are errors, so a misspelt restriction never passes for a missing one.

use std::fmt;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::Timestamp;

/// The longest name of a resource, in bytes.
pub const NAME_MAX: usize = 256;

/// The kinds of records there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A user.
    #[serde(alias = "users")]
    User,
    /// What users may do.
    #[serde(alias = "roles")]
    Role,
    /// A join token.
    #[serde(alias = "tokens")]
    Token,
    /// A host that serves SSH.
    #[serde(alias = "nodes")]
    Node,
    /// A target that is shut out.
    #[serde(alias = "locks")]
    Lock,
    /// The public half of a certificate authority.
    #[serde(alias = "cas")]
    CertAuthority,
    /// A proxy that runs.
    #[serde(alias = "proxies")]
    Proxy,
    /// An auth server that runs.
    #[serde(alias = "auth_servers")]
    AuthServer,
}

impl Kind {
    /// Every kind, in the order `tctl get all` prints them.
    pub const ALL: [Self; 8] = [
        Self::Role,
        Self::User,
        Self::Token,
        Self::Node,
        Self::Lock,
        Self::CertAuthority,
        Self::Proxy,
        Self::AuthServer,
    ];

    /// The name in files.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Role => "role",
            Self::Token => "token",
            Self::Node => "node",
            Self::Lock => "lock",
            Self::CertAuthority => "cert_authority",
            Self::Proxy => "proxy",
            Self::AuthServer => "auth_server",
        }
    }

    /// Reads singular or plural.
    pub fn parse(text: &str) -> Option<Self> {
        let name = text.trim().to_ascii_lowercase();
        let name = if name == "cas" || name == "ca" { "cert_authority" } else { name.as_str() };
        let name = name
            .strip_suffix("ies")
            .map_or_else(|| name.strip_suffix('s').unwrap_or(name).to_owned(), |stem| format!("{stem}y"));
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What every record says about itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Metadata {
    /// Unique within the kind.
    pub name: String,
    /// For people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// When the record ceases to exist; never when absent.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "zero_is_never")]
    pub expires: Option<Timestamp>,
    /// Which write made it; set by the store, ignored when written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
}

/// Teleport's files write "never" as the zero time.
fn zero_is_never<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
    let time = Option::<Timestamp>::deserialize(deserializer)?;
    Ok(time.filter(|time| *time > Timestamp::UNIX_EPOCH))
}

impl Metadata {
    /// A name and nothing else.
    pub fn named(name: impl Into<String>) -> Self {
        Self { name: name.into(), ..Self::default() }
    }
}

/// The part of a record that differs by kind.
pub trait Spec: Serialize + DeserializeOwned + Clone {
    /// Which kind.
    const KIND: Kind;
    /// Versions that are read; the first is the one written.
    const VERSIONS: &'static [&'static str];

    /// The rules beyond the types.
    ///
    /// # Errors
    /// [`ResourceError::Invalid`] with the field and the reason.
    fn check(&self, metadata: &Metadata) -> Result<(), ResourceError>;

    /// The further rules for what somebody writes now. What is stored stays readable without them.
    ///
    /// # Errors
    /// As for [`Spec::check`].
    fn check_written(&self, _metadata: &Metadata) -> Result<(), ResourceError> {
        Ok(())
    }
}

/// One record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Resource<S> {
    /// Which kind.
    pub kind: Kind,
    /// Which format.
    pub version: String,
    /// Name, expiry, revision.
    pub metadata: Metadata,
    /// The rest.
    pub spec: S,
}

/// Why a record cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ResourceError {
    /// A kind nobody knows.
    #[error(
        "{0:?} is not a kind of resource; choose from user, role, token, node, lock, cert_authority, proxy, auth_server"
    )]
    UnknownKind(String),
    /// The record is of another kind than the place it was read from.
    #[error("expected a {expected}, got a {found}")]
    WrongKind {
        /// The kind asked for.
        expected: Kind,
        /// The kind found.
        found: Kind,
    },
    /// A version this program does not read.
    #[error("{kind} version {found:?} is not supported; use {supported}")]
    Version {
        /// The kind.
        kind: Kind,
        /// The version found.
        found: String,
        /// The versions read.
        supported: String,
    },
    /// The name breaks the rule.
    #[error("{kind} name {name:?} is not allowed: 1 to 256 bytes, no slash, no control characters")]
    Name {
        /// The kind.
        kind: Kind,
        /// The name.
        name: String,
    },
    /// A field breaks a rule.
    #[error("{kind} {name:?}: {field}: {reason}")]
    Invalid {
        /// The kind.
        kind: Kind,
        /// The name.
        name: String,
        /// The field at fault.
        field: &'static str,
        /// Why.
        reason: String,
    },
    /// Not even the shape is right.
    #[error("{0}")]
    Shape(String),
}

impl<S: Spec> Resource<S> {
    /// A record in the current version.
    pub fn new(name: impl Into<String>, spec: S) -> Self {
        let version = S::VERSIONS.first().copied().unwrap_or("v1").to_owned();
        Self { kind: S::KIND, version, metadata: Metadata::named(name), spec }
    }

    /// The same, ceasing to exist at `expires`.
    #[must_use]
    pub fn expiring(mut self, expires: Option<Timestamp>) -> Self {
        self.metadata.expires = expires;
        self
    }

    /// The record's name.
    pub fn name(&self) -> &str {
        &self.metadata.name
    }

    /// Checks kind, version, name and spec.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn check(&self) -> Result<(), ResourceError> {
        if self.kind != S::KIND {
            return Err(ResourceError::WrongKind { expected: S::KIND, found: self.kind });
        }
        if !S::VERSIONS.contains(&self.version.as_str()) {
            let (found, supported) = (self.version.clone(), S::VERSIONS.join(" or "));
            return Err(ResourceError::Version { kind: S::KIND, found, supported });
        }
        check_name(S::KIND, &self.metadata.name)?;
        self.spec.check(&self.metadata)
    }

    /// Checks a record that somebody writes now, which is held to more than one that is stored.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn check_written(&self) -> Result<(), ResourceError> {
        self.check()?;
        self.spec.check_written(&self.metadata)
    }

    /// An error about one field of this kind.
    pub fn invalid(metadata: &Metadata, field: &'static str, reason: impl fmt::Display) -> ResourceError {
        ResourceError::Invalid {
            kind: S::KIND,
            name: metadata.name.clone(),
            field,
            reason: reason.to_string(),
        }
    }

    /// Reads the record from JSON, as the store and the wire keep it, and checks it.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn from_json(json: &[u8]) -> Result<Self, ResourceError> {
        let resource: Self =
            serde_json::from_slice(json).map_err(|error| ResourceError::Shape(error.to_string()))?;
        resource.check()?;
        Ok(resource)
    }

    /// The record as the store and the wire keep it.
    pub fn to_json(&self) -> Vec<u8> {
        // A resource is made of texts, numbers, lists and maps with text keys: it always has a JSON form.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Whether the record has ceased to exist.
    pub fn is_expired(&self, now: Timestamp) -> bool {
        self.metadata.expires.is_some_and(|expires| expires <= now)
    }
}

/// Checks the name of a record: it becomes part of a storage key and of URLs.
///
/// # Errors
/// [`ResourceError::Name`].
pub fn check_name(kind: Kind, name: &str) -> Result<(), ResourceError> {
    let bad = name.is_empty()
        || name.len() > NAME_MAX
        || name == "."
        || name == ".."
        || name.chars().any(|c| c.is_control() || c == '/');
    if bad { Err(ResourceError::Name { kind, name: name.to_owned() }) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_read_in_singular_and_plural() {
        for kind in Kind::ALL {
            assert_eq!(Kind::parse(kind.as_str()), Some(kind));
        }
        assert_eq!(Kind::parse("users"), Some(Kind::User));
        assert_eq!(Kind::parse("cert_authorities"), Some(Kind::CertAuthority));
        assert_eq!(Kind::parse("cas"), Some(Kind::CertAuthority));
        assert_eq!(Kind::parse("spoon"), None);
    }

    #[test]
    fn names_cannot_leave_their_place() {
        for bad in ["", "a/b", "..", "a\nb", &"x".repeat(257)] {
            assert!(check_name(Kind::User, bad).is_err(), "{bad:?}");
        }
        assert!(check_name(Kind::User, "joe@example.com").is_ok());
    }

    #[test]
    fn the_zero_time_means_never() {
        let metadata: Metadata =
            serde_json::from_str(r#"{"name":"joe","expires":"0001-01-01T00:00:00Z"}"#).unwrap();
        assert_eq!(metadata.expires, None);
    }
}
