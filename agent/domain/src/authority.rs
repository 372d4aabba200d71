//! Certificate authorities as everybody may see them: public keys and where a rotation stands.
//!
//! Private keys never appear here; they live with the signer of the auth service.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::resource::{Kind, Metadata, Resource, ResourceError, Spec};

/// The public half of one authority. Its name is the authority's type.
pub type CertAuthority = Resource<AuthoritySpec>;

/// What an authority signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AuthorityType {
    /// Certificates of users.
    User,
    /// Certificates of hosts.
    Host,
    /// Tokens for applications.
    Jwt,
}

impl AuthorityType {
    /// Every authority a cluster has.
    pub const ALL: [Self; 3] = [Self::User, Self::Host, Self::Jwt];

    /// The name in files and commands.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Host => "host",
            Self::Jwt => "jwt",
        }
    }
}

impl fmt::Display for AuthorityType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What everybody may know about an authority.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuthoritySpec {
    /// What it signs.
    pub r#type: AuthorityType,
    /// The cluster it belongs to.
    pub cluster_name: String,
    /// Keys in force; more than one while a rotation is under way.
    pub active_keys: Vec<PublicKeys>,
    /// Where a rotation stands.
    #[serde(default)]
    pub rotation: Rotation,
}

/// The public keys of one generation of an authority.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PublicKeys {
    /// In OpenSSH's one-line form, without comment.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub ssh: String,
    /// A self-signed certificate in PEM.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub tls: String,
    /// A public key in PEM (SPKI).
    #[serde(skip_serializing_if = "String::is_empty")]
    pub jwt: String,
}

/// Where a rotation stands. Rotating is later work; a new authority is in standby.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rotation {
    /// None under way.
    #[default]
    Standby,
}

impl Spec for AuthoritySpec {
    const KIND: Kind = Kind::CertAuthority;
    const VERSIONS: &'static [&'static str] = &["v2"];

    fn check(&self, metadata: &Metadata) -> Result<(), ResourceError> {
        if self.active_keys.is_empty() {
            return Err(CertAuthority::invalid(
                metadata,
                "spec.active_keys",
                "an authority has at least one key",
            ));
        }
        Ok(())
    }
}
