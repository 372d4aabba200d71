//! Secrets the operator gave to this plugin, used without being seen.
//!
//! The manifest asks for a secret by its label; the operator says where it is read from and which hosts
//! it may be sent to. What the plugin holds is a handle. It can have the host sign with it, or put a *stand-in* into
//! a header of a request: a text that means nothing, in whose place the host sends the secret, to the secret's
//! own hosts by HTTPS only.
//!
//! ```no_run
//! use teleport_plugin_sdk::secrets::{self, Secret};
//!
//! fn authorization() -> Result<String, secrets::Error> {
//!     let token = Secret::open("token")?;
//!     Ok(format!("Bearer {}", token.stand_in()))
//! }
//! ```
//!
//! For what cannot be done otherwise there is [`Secret::reveal`], a capability of its own that the host
//! audits.

use std::fmt;

use crate::bindings::host::teleport::host::{secret_reveal, secrets as wire};

/// Why a secret cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Error {
    /// Not asked for or not given; the text is the host's and says what to add.
    Denied(String),
    /// The secret or the arguments do not fit the use.
    Invalid(String),
    /// The file or variable it is read from could not be read.
    Unavailable(String),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Denied(text) | Self::Invalid(text) | Self::Unavailable(text) => f.write_str(text),
        }
    }
}

impl std::error::Error for Error {}

impl From<wire::Failure> for Error {
    fn from(failure: wire::Failure) -> Self {
        match failure {
            wire::Failure::Denied(text) => Self::Denied(text),
            wire::Failure::Invalid(text) => Self::Invalid(text),
            wire::Failure::Unavailable(text) => Self::Unavailable(text),
        }
    }
}

/// How a JSON Web Token is signed (RFC 7518 section 3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// HMAC with SHA-256; the secret is the key.
    Hs256,
    /// ECDSA on P-256; the secret is a private key in PEM (PKCS #8).
    Es256,
    /// RSA PKCS #1 v1.5; the secret is a private key in PEM (PKCS #8).
    Rs256,
}

/// One secret, as long as the call or the instance lasts.
#[derive(Debug)]
pub struct Secret(wire::Secret);

impl Secret {
    /// The secret of this label.
    ///
    /// # Errors
    /// [`Error`], when there is none for this plugin.
    pub fn open(label: &str) -> Result<Self, Error> {
        Ok(Self(wire::open(label)?))
    }

    /// A text that stands for the secret in the value of a header of an outgoing request.
    pub fn stand_in(&self) -> String {
        self.0.stand_in()
    }

    /// The same for a whole `Authorization: Basic` value with this user name (RFC 7617).
    pub fn basic(&self, user: &str) -> String {
        self.0.basic(user)
    }

    /// HMAC-SHA-256 of the data, with the secret as the key (RFC 2104): 32 bytes.
    pub fn hmac_sha256(&self, data: &[u8]) -> Vec<u8> {
        self.0.hmac_sha256(data)
    }

    /// A signed token with these claims, a JSON object (RFC 7519). `key_id` becomes its `kid`.
    ///
    /// # Errors
    /// [`Error::Invalid`], when the secret is no such key or the claims are no object.
    pub fn sign_jwt(
        &self,
        algorithm: Algorithm,
        key_id: Option<&str>,
        claims: &str,
    ) -> Result<String, Error> {
        let algorithm = match algorithm {
            Algorithm::Hs256 => wire::Algorithm::Hs256,
            Algorithm::Es256 => wire::Algorithm::Es256,
            Algorithm::Rs256 => wire::Algorithm::Rs256,
        };
        Ok(self.0.sign_jwt(algorithm, key_id, claims)?)
    }

    /// The secret's bytes. Needs `secret_reveal`, granted for this label.
    ///
    /// # Errors
    /// [`Error::Denied`], unless it is granted.
    pub fn reveal(&self) -> Result<Vec<u8>, Error> {
        Ok(secret_reveal::reveal(&self.0)?)
    }
}
