//! Whether a public key that a client offers is a plain one, or that of a certificate.
//!
//! russh asks about an offer with the key alone, certificate or not. To accept a plain key makes the client sign with
//! it before it is refused: OpenSSH offers each key before its certificate, so that is one round trip more for each
//! hop, one signature for nothing, and with a key in hardware one touch more. So the bytes that the client has sent
//! since it last asked for anything are held against what a request needs that names the key alone (RFC 4252 section
//! 7): one that names a certificate (OpenSSH's `PROTOCOL.certkeys`) is longer by the authority's key and signature.
//!
//! Refuses to guess: whatever might be a certificate's is taken for one, and decided about when the client has proven
//! to hold it. Called by [`crate::entrance`]; the bytes are counted by [`crate::serve`].

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use russh::keys::{Algorithm, PublicKey};

/// The bytes of a request beside login, algorithm and key: its number, the service, the method, whether it is signed,
/// and the length of each text.
const REST: usize = 1 + 4 + (4 + "ssh-connection".len()) + (4 + "publickey".len()) + 1 + 4 + 4;
/// By so many bytes at least is a request longer that names a certificate of the same key: 212 in the shortest there
/// can be, of a security key, certified by an Ed25519 key, without a nonce, a name or a principal; and 9 that every
/// packet has around its payload.
const CERTIFICATE: usize = 200;

/// Counts what a client sends. Clones count the same.
#[derive(Debug, Clone, Default)]
pub struct Heard(Arc<AtomicUsize>);

impl Heard {
    /// So many bytes more.
    pub(crate) fn add(&self, bytes: usize) {
        self.0.fetch_add(bytes, Ordering::Relaxed);
    }

    /// The bytes since this was last asked. Once the versions are exchanged, russh reads no further than the end of the
    /// packet it hands on.
    pub(crate) fn take(&self) -> usize {
        self.0.swap(0, Ordering::Relaxed)
    }
}

/// Whether an offer of this key can only have been that of the key itself, when the client has sent so many bytes for
/// it.
pub(crate) fn is_plain(login: &str, algorithm: &Algorithm, key: &PublicKey, heard: usize) -> bool {
    let Ok(blob) = key.to_bytes() else { return false };
    heard < REST + login.len() + algorithm.as_str().len() + blob.len() + CERTIFICATE
}

#[cfg(test)]
mod tests {
    use certs::ssh::new_key;
    use fake::FakeRandom;
    use proptest::prelude::*;
    use russh::keys::ssh_key::Mpint;
    use russh::keys::ssh_key::certificate::{Builder, CertType};
    use russh::keys::ssh_key::public::{Ed25519PublicKey, KeyData, RsaPublicKey, SkEd25519};
    use russh::keys::{Certificate, EcdsaCurve, HashAlg, PrivateKey};

    use super::*;

    /// The payload of a request that is not signed, from the texts in it.
    fn request(login: &str, algorithm: &str, blob: &[u8]) -> Vec<u8> {
        let mut payload = vec![50];
        let texts = [login.as_bytes(), b"ssh-connection", b"publickey"];
        let put = |payload: &mut Vec<u8>, text: &[u8]| {
            payload.extend_from_slice(&u32::try_from(text.len()).unwrap().to_be_bytes());
            payload.extend_from_slice(text);
        };
        texts.iter().for_each(|text| put(&mut payload, text));
        payload.push(0);
        put(&mut payload, algorithm.as_bytes());
        put(&mut payload, blob);
        payload
    }

    /// The shortest certificate OpenSSH or anybody would make for a key.
    fn certified(key: &KeyData) -> Certificate {
        let mut builder = Builder::new(vec![0; 16], key.clone(), 0, u64::MAX - 1).unwrap();
        builder.cert_type(CertType::User).unwrap().valid_principal("r").unwrap();
        builder.sign(&new_key(&FakeRandom::new(1))).unwrap()
    }

    fn key_of(kind: u8, seed: u64) -> KeyData {
        let ed25519 = new_key(&FakeRandom::new(seed)).public_key().key_data().clone();
        match kind {
            0 => ed25519,
            1 => {
                let algorithm = Algorithm::Ecdsa { curve: EcdsaCurve::NistP256 };
                let key = PrivateKey::random(&mut russh::keys::key::safe_rng(), algorithm).unwrap();
                key.public_key().key_data().clone()
            }
            2 => {
                // Of 2048 bits.
                let (e, n) =
                    (Mpint::from_positive_bytes(&[1, 0, 1]), Mpint::from_positive_bytes(&[0xab; 256]));
                KeyData::Rsa(RsaPublicKey::new(e, n).unwrap())
            }
            _ => {
                let key: [u8; 32] = *ed25519.ed25519().unwrap().as_ref();
                KeyData::SkEd25519(SkEd25519::new(Ed25519PublicKey(key), "ssh:"))
            }
        }
    }

    proptest! {
        #[test]
        fn a_plain_key_is_known_and_no_certificate_is_taken_for_one(
            kind in 0u8..4, seed: u64, login in "[a-z]{0,200}", padding in 4usize..20, mac in 0usize..=64,
        ) {
            let data = key_of(kind, seed);
            let (key, certificate) = (PublicKey::from(data.clone()), certified(&data));
            let algorithm = match key.algorithm() {
                Algorithm::Rsa { .. } => Algorithm::Rsa { hash: Some(HashAlg::Sha512) },
                other => other,
            };
            let plain = request(&login, algorithm.as_str(), &key.to_bytes().unwrap()).len();
            prop_assert!(is_plain(&login, &algorithm, &key, plain + 5 + padding + mac));
            let name = algorithm.to_certificate_type();
            let whole = request(&login, &name, &certificate.to_bytes().unwrap()).len();
            // Padded and authenticated with as little as there can be.
            prop_assert!(!is_plain(&login, &algorithm, &key, whole + 5 + 4));
            // Nor where its first bytes were counted with what came before.
            prop_assert!(!is_plain(&login, &algorithm, &key, whole + 5));
        }
    }

    #[test]
    fn what_was_heard_is_counted_from_the_last_time_on() {
        let heard = Heard::default();
        heard.add(100);
        heard.clone().add(20);
        assert_eq!((heard.take(), heard.take()), (120, 0));
    }
}
