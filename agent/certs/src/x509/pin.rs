//! CA pins: `sha256:<hex>` of an authority's public key, told to a host before it joins.

use std::fmt;

use sha2::{Digest, Sha256};
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::error::{CertError, boxed};

/// The SHA-256 of an authority's SPKI.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Pin([u8; 32]);

/// Why a text is no pin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a CA pin; it is written sha256: and 64 hexadecimal digits, as tctl status prints it")]
pub struct PinError(String);

impl Pin {
    /// The pin of a certificate in DER.
    ///
    /// # Errors
    /// [`CertError::ReadCertificate`].
    pub fn of(der: &[u8]) -> Result<Self, CertError> {
        let (_, certificate) = X509Certificate::from_der(der)
            .map_err(|error| CertError::ReadCertificate("authority's", boxed(error.to_string())))?;
        Ok(Self::of_key(certificate.public_key().raw))
    }

    /// The pin of a public key, SPKI in DER.
    pub fn of_key(der: &[u8]) -> Self {
        Self(Sha256::digest(der).into())
    }

    /// Reads `sha256:<hex>`.
    ///
    /// # Errors
    /// [`PinError`] with the form.
    pub fn parse(text: &str) -> Result<Self, PinError> {
        let error = || PinError(text.to_owned());
        let digits = text.trim().strip_prefix("sha256:").ok_or_else(error)?;
        let mut bytes = [0; 32];
        hex::decode_to_slice(digits, &mut bytes).map_err(|_| error())?;
        Ok(Self(bytes))
    }
}

impl fmt::Display for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", hex::encode(self.0))
    }
}
