//! The private keys of a certificate authority.
//!
//! Only the auth service holds one. The whole is kept in the store as one secret value; what others
//! may know is [`AuthorityKeys::public`].

use domain::Timestamp;
use domain::authority::{AuthoritySpec, AuthorityType, PublicKeys, Rotation};
use domain::secret::Secret;
use port::random::Random;
use serde::{Deserialize, Serialize};
use ssh_key::{LineEnding, PrivateKey};

use crate::error::{CertError, boxed};
use crate::x509;

/// The keys of one authority.
pub struct AuthorityKeys {
    kind: AuthorityType,
    cluster: String,
    /// For SSH certificates.
    ssh: Option<PrivateKey>,
    /// For X.509 certificates.
    tls: Option<x509::Authority>,
    /// For application tokens.
    jwt: Option<x509::KeyPair>,
}

/// How the keys are stored.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    kind: AuthorityType,
    cluster: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ssh: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tls: Option<StoredTls>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    jwt: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredTls {
    key: String,
    certificate: String,
}

impl AuthorityKeys {
    /// New keys for an authority of this kind.
    ///
    /// # Errors
    /// [`CertError::MakeKey`].
    pub fn generate(
        kind: AuthorityType,
        cluster: &str,
        now: Timestamp,
        random: &dyn Random,
    ) -> Result<Self, CertError> {
        let (ssh, tls, jwt) = match kind {
            AuthorityType::User | AuthorityType::Host => (
                Some(crate::ssh::new_key(random)),
                Some(x509::Authority::generate(kind, cluster, now)?),
                None,
            ),
            AuthorityType::Jwt => (None, None, Some(x509::KeyPair::generate()?)),
        };
        Ok(Self { kind, cluster: cluster.to_owned(), ssh, tls, jwt })
    }

    /// What it signs.
    pub fn kind(&self) -> AuthorityType {
        self.kind
    }

    /// The key that signs SSH certificates.
    ///
    /// # Errors
    /// [`CertError::Field`] when this authority has none.
    pub fn ssh(&self) -> Result<&PrivateKey, CertError> {
        self.ssh
            .as_ref()
            .ok_or_else(|| CertError::Field(format!("the {} authority signs no SSH certificates", self.kind)))
    }

    /// The key and certificate that sign X.509 certificates.
    ///
    /// # Errors
    /// [`CertError::Field`] when this authority has none.
    pub fn tls(&self) -> Result<&x509::Authority, CertError> {
        self.tls.as_ref().ok_or_else(|| {
            CertError::Field(format!("the {} authority signs no X.509 certificates", self.kind))
        })
    }

    /// What everybody may know.
    ///
    /// # Errors
    /// [`CertError::ReadKey`] when a key has no text form.
    pub fn public(&self) -> Result<AuthoritySpec, CertError> {
        let ssh = match &self.ssh {
            Some(key) => key
                .public_key()
                .to_openssh()
                .map_err(|error| CertError::ReadKey("SSH authority key", boxed(error)))?,
            None => String::new(),
        };
        let keys = PublicKeys {
            ssh: ssh.trim().to_owned(),
            tls: self.tls.as_ref().map(x509::Authority::certificate_pem).unwrap_or_default(),
            jwt: self.jwt.as_ref().map(x509::KeyPair::public_pem).unwrap_or_default(),
        };
        Ok(AuthoritySpec {
            r#type: self.kind,
            cluster_name: self.cluster.clone(),
            active_keys: vec![keys],
            rotation: Rotation::Standby,
        })
    }

    /// The keys as the store keeps them.
    ///
    /// # Errors
    /// [`CertError::ReadKey`] when a key has no text form.
    pub fn to_secret(&self) -> Result<Secret, CertError> {
        let ssh = match &self.ssh {
            Some(key) => Some(
                key.to_openssh(LineEnding::LF)
                    .map_err(|error| CertError::ReadKey("SSH authority key", boxed(error)))?
                    .to_string(),
            ),
            None => None,
        };
        let stored = Stored {
            kind: self.kind,
            cluster: self.cluster.clone(),
            ssh,
            tls: self
                .tls
                .as_ref()
                .map(|tls| StoredTls { key: tls.private_pem(), certificate: tls.certificate_pem() }),
            jwt: self.jwt.as_ref().map(x509::KeyPair::private_pem),
        };
        let json = serde_json::to_vec(&stored)
            .map_err(|error| CertError::ReadKey("authority keys", boxed(error)))?;
        Ok(Secret::new(json))
    }

    /// Reads what [`AuthorityKeys::to_secret`] wrote.
    ///
    /// # Errors
    /// [`CertError::ReadKey`].
    pub fn from_secret(secret: &Secret) -> Result<Self, CertError> {
        let stored: Stored = serde_json::from_slice(secret.reveal())
            .map_err(|error| CertError::ReadKey("authority keys", boxed(error)))?;
        let ssh = stored
            .ssh
            .map(PrivateKey::from_openssh)
            .transpose()
            .map_err(|error| CertError::ReadKey("SSH authority key", boxed(error)))?;
        let tls = stored.tls.map(|tls| x509::Authority::from_pem(&tls.key, &tls.certificate)).transpose()?;
        let jwt = stored.jwt.map(|pem| x509::KeyPair::from_pem(&pem)).transpose()?;
        Ok(Self { kind: stored.kind, cluster: stored.cluster, ssh, tls, jwt })
    }
}

#[cfg(test)]
mod tests {
    use port::random::SystemRandom;

    use super::*;

    #[test]
    fn keys_survive_the_store() {
        for kind in AuthorityType::ALL {
            let keys = AuthorityKeys::generate(kind, "main", Timestamp::UNIX_EPOCH, &SystemRandom).unwrap();
            let back = AuthorityKeys::from_secret(&keys.to_secret().unwrap()).unwrap();
            assert_eq!(back.public().unwrap(), keys.public().unwrap(), "{kind}");
        }
    }

    #[test]
    fn the_public_half_holds_no_private_key() {
        let keys = AuthorityKeys::generate(AuthorityType::Host, "main", Timestamp::UNIX_EPOCH, &SystemRandom)
            .unwrap();
        let text = serde_json::to_string(&keys.public().unwrap()).unwrap();
        assert!(!text.contains("PRIVATE"), "{text}");
    }
}
