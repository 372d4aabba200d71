//! The identity of one host in one role: its keys, its certificates, and whom it trusts.
//!
//! Kept as one private file per role, so that keys and certificates never disagree; `process` writes
//! it whole and renames it into place.

use domain::Timestamp;
use domain::authority::AuthoritySpec;
use domain::certificate::renew_at;
use domain::identity::HostIdentity;
use domain::secret::Secret;
use port::random::Random;
use serde::{Deserialize, Serialize};
use ssh_key::{Certificate, LineEnding, PrivateKey};

use crate::error::{CertError, boxed};
use crate::x509;

/// Keys without certificates yet: what a host makes before it joins or renews.
pub struct HostKeys {
    /// For SSH.
    pub ssh: PrivateKey,
    /// For TLS.
    pub tls: x509::KeyPair,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredKeys {
    ssh_key: String,
    tls_key: String,
}

impl HostKeys {
    /// New keys.
    ///
    /// # Errors
    /// [`CertError::MakeKey`].
    pub fn generate(random: &dyn Random) -> Result<Self, CertError> {
        Ok(Self { ssh: crate::ssh::new_key(random), tls: x509::KeyPair::generate()? })
    }

    /// The SSH public key in OpenSSH's one-line form.
    ///
    /// # Errors
    /// [`CertError::ReadKey`] when the key has no text form.
    pub fn ssh_public(&self) -> Result<String, CertError> {
        self.ssh.public_key().to_openssh().map_err(|error| CertError::ReadKey("SSH host key", boxed(error)))
    }
}

impl HostKeys {
    /// The private keys as a file keeps them while there are no certificates yet.
    ///
    /// # Errors
    /// [`CertError::ReadKey`] when a key has no text form.
    pub fn to_secret(&self) -> Result<Secret, CertError> {
        let unreadable = |error| CertError::ReadKey("host", error);
        let ssh_key = self.ssh.to_openssh(LineEnding::LF).map_err(|error| unreadable(boxed(error)))?;
        let stored = StoredKeys { ssh_key: ssh_key.to_string(), tls_key: self.tls.private_pem() };
        Ok(Secret::new(serde_json::to_vec(&stored).map_err(|error| unreadable(boxed(error)))?))
    }

    /// Reads what [`HostKeys::to_secret`] wrote.
    ///
    /// # Errors
    /// [`CertError::ReadKey`].
    pub fn from_secret(secret: &Secret) -> Result<Self, CertError> {
        let unreadable = |error| CertError::ReadKey("host", error);
        let stored: StoredKeys =
            serde_json::from_slice(secret.reveal()).map_err(|error| unreadable(boxed(error)))?;
        let ssh = PrivateKey::from_openssh(&stored.ssh_key).map_err(|error| unreadable(boxed(error)))?;
        Ok(Self { ssh, tls: x509::KeyPair::from_pem(&stored.tls_key)? })
    }
}

/// Certificates as the auth server returns them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostCertificates {
    /// OpenSSH's one-line form.
    pub ssh: String,
    /// DER.
    pub tls: Vec<u8>,
    /// The authorities to trust.
    pub authorities: Vec<AuthoritySpec>,
}

/// Keys and certificates of one host in one role.
pub struct Bundle {
    /// Who this host is.
    pub identity: HostIdentity,
    /// Its keys.
    pub keys: HostKeys,
    /// Its SSH certificate.
    pub ssh_certificate: Certificate,
    /// Its X.509 certificate in DER.
    pub tls_certificate: Vec<u8>,
    /// The authorities it trusts.
    pub authorities: Vec<AuthoritySpec>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    identity: HostIdentity,
    ssh_key: String,
    tls_key: String,
    certificates: HostCertificates,
}

impl Bundle {
    /// Puts keys and the certificates made for them together.
    ///
    /// # Errors
    /// [`CertError::ReadCertificate`] when a certificate is malformed or was made for another key.
    pub fn new(
        identity: HostIdentity,
        keys: HostKeys,
        certificates: HostCertificates,
    ) -> Result<Self, CertError> {
        let ssh_certificate = Certificate::from_openssh(&certificates.ssh)
            .map_err(|error| CertError::ReadCertificate("SSH host", boxed(error)))?;
        if ssh_certificate.public_key() != keys.ssh.public_key().key_data() {
            return Err(CertError::ReadCertificate("SSH host", boxed("it was made for another key")));
        }
        let HostCertificates { tls, authorities, .. } = certificates;
        Ok(Self { identity, keys, ssh_certificate, tls_certificate: tls, authorities })
    }

    /// Whether it is time to renew the certificates.
    pub fn is_due(&self, now: Timestamp) -> bool {
        let second = |second: u64| {
            Timestamp::from_second(i64::try_from(second).unwrap_or(i64::MAX)).unwrap_or(Timestamp::MAX)
        };
        let (from, until) = (self.ssh_certificate.valid_after(), self.ssh_certificate.valid_before());
        now >= renew_at(second(from), second(until))
    }

    /// Whether the certificates have run out, so that only a new join helps.
    pub fn is_expired(&self, now: Timestamp) -> bool {
        u64::try_from(now.as_second()).unwrap_or(0) >= self.ssh_certificate.valid_before()
    }

    /// The whole as its file keeps it.
    ///
    /// # Errors
    /// [`CertError::ReadKey`] when a key has no text form.
    pub fn to_secret(&self) -> Result<Secret, CertError> {
        let unreadable = |error| CertError::ReadKey("host identity", error);
        let stored = Stored {
            identity: self.identity.clone(),
            ssh_key: self
                .keys
                .ssh
                .to_openssh(LineEnding::LF)
                .map_err(|error| unreadable(boxed(error)))?
                .to_string(),
            tls_key: self.keys.tls.private_pem(),
            certificates: HostCertificates {
                ssh: self.ssh_certificate.to_openssh().map_err(|error| unreadable(boxed(error)))?,
                tls: self.tls_certificate.clone(),
                authorities: self.authorities.clone(),
            },
        };
        Ok(Secret::new(serde_json::to_vec(&stored).map_err(|error| unreadable(boxed(error)))?))
    }

    /// Reads what [`Bundle::to_secret`] wrote.
    ///
    /// # Errors
    /// [`CertError::ReadKey`] or [`CertError::ReadCertificate`].
    pub fn from_secret(secret: &Secret) -> Result<Self, CertError> {
        let unreadable = |error| CertError::ReadKey("host identity", error);
        let stored: Stored =
            serde_json::from_slice(secret.reveal()).map_err(|error| unreadable(boxed(error)))?;
        let ssh = PrivateKey::from_openssh(&stored.ssh_key).map_err(|error| unreadable(boxed(error)))?;
        let keys = HostKeys { ssh, tls: x509::KeyPair::from_pem(&stored.tls_key)? };
        Self::new(stored.identity, keys, stored.certificates)
    }
}

impl std::fmt::Debug for Bundle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bundle").field("identity", &self.identity).finish_non_exhaustive()
    }
}
