//! SSH keys and certificates (OpenSSH `PROTOCOL.certkeys`).

use domain::authority::AuthoritySpec;
use port::random::Random;
use ssh_key::private::Ed25519Keypair;
use ssh_key::public::KeyData;
use ssh_key::{PrivateKey, PublicKey};

use crate::error::{CertError, boxed};

mod issue;
pub mod line;
mod verify;

pub use issue::{HostSpec, UserSpec, issue_host, issue_user};
pub use verify::{HostFacts, host_facts, user_facts};

/// A new Ed25519 key.
pub fn new_key(random: &dyn Random) -> PrivateKey {
    let mut seed = zeroize::Zeroizing::new([0; 32]);
    random.fill(seed.as_mut());
    PrivateKey::from(Ed25519Keypair::from_seed(&seed))
}

/// Reads a public key in OpenSSH's one-line form. Certificates are no keys and are refused.
///
/// # Errors
/// [`CertError::ReadKey`].
pub fn read_public_key(line: &str) -> Result<PublicKey, CertError> {
    let mut key = PublicKey::from_openssh(line.trim())
        .map_err(|error| CertError::ReadKey("SSH public key", boxed(error)))?;
    key.set_comment(String::new());
    if !is_plain(key.key_data()) {
        return Err(CertError::ReadKey("SSH public key", boxed("it is of an unknown type")));
    }
    Ok(key)
}

/// Whether the key is of a known, plain type: not a certificate, not opaque.
pub(crate) fn is_plain(key: &KeyData) -> bool {
    key.is_ed25519() || key.is_ecdsa() || key.is_rsa()
}

/// The public keys of an authority that signatures may come from.
#[derive(Debug, Clone, Default)]
pub struct TrustedKeys(Vec<KeyData>);

impl TrustedKeys {
    /// The keys in force of one authority; one that cannot be read is left out, because a key that
    /// is not understood must not be trusted.
    pub fn of(authority: &AuthoritySpec) -> Self {
        let read = |line: &str| read_public_key(line).ok().map(|key| key.key_data().clone());
        Self(authority.active_keys.iter().filter_map(|keys| read(&keys.ssh)).collect())
    }

    /// Whether this exact key is one of them.
    pub fn contains(&self, key: &KeyData) -> bool {
        self.0.contains(key)
    }
}

#[cfg(test)]
mod tests;
