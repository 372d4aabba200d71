//! ECDSA P-256 key pairs.

use crate::error::{CertError, boxed};

/// A key pair. `Debug` shows nothing of it.
pub struct KeyPair(pub(crate) rcgen::KeyPair);

impl KeyPair {
    /// A new pair from the crypto library's generator.
    ///
    /// # Errors
    /// [`CertError::MakeKey`].
    pub fn generate() -> Result<Self, CertError> {
        rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)
            .map(Self)
            .map_err(|error| CertError::MakeKey("P-256", boxed(error)))
    }

    /// Reads PKCS #8 in PEM.
    ///
    /// # Errors
    /// [`CertError::ReadKey`].
    pub fn from_pem(pem: &str) -> Result<Self, CertError> {
        rcgen::KeyPair::from_pem(pem)
            .map(Self)
            .map_err(|error| CertError::ReadKey("X.509 private key", boxed(error)))
    }

    /// The private key as PKCS #8 in PEM. Secret.
    pub fn private_pem(&self) -> String {
        self.0.serialize_pem()
    }

    /// The private key as PKCS #8 in DER. Secret.
    pub fn private_der(&self) -> Vec<u8> {
        self.0.serialize_der()
    }

    /// The public key as SPKI in PEM.
    pub fn public_pem(&self) -> String {
        self.0.public_key_pem()
    }

    /// The public key as SPKI in DER.
    pub fn public_der(&self) -> Vec<u8> {
        use rcgen::PublicKeyData;
        self.0.subject_public_key_info()
    }
}

impl std::fmt::Debug for KeyPair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("KeyPair(…)")
    }
}
