//! The extension that says whom a certificate stands for.

use domain::Timestamp;
use domain::authority::AuthorityType;
use domain::identity::{HostIdentity, Identity, UserIdentity};
use serde::{Deserialize, Serialize};
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::error::{CertError, boxed};

/// Our extension, under the arc that needs no registration (`2.25`, ITU-T X.667).
pub(super) const IDENTITY_OID: &[u64] = &[2, 25, 8_716_438_201_975_533_301, 1];

/// The DNS name of a web certificate nobody configured.
pub const WEB_NAME: &str = "localhost";

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum StoredIdentity {
    Host(HostIdentity),
    User(UserIdentity),
}

impl From<&Identity> for StoredIdentity {
    fn from(identity: &Identity) -> Self {
        match identity {
            Identity::Host(host) => Self::Host(host.clone()),
            Identity::User(user) => Self::User(user.clone()),
        }
    }
}

/// Whom a certificate stands for. Call it only after TLS verified the chain.
///
/// # Errors
/// [`CertError::ReadCertificate`] when it is malformed or carries no identity.
pub fn identity_of(der: &[u8]) -> Result<Identity, CertError> {
    let read = |error| CertError::ReadCertificate("peer's", error);
    let (_, certificate) = X509Certificate::from_der(der).map_err(|error| read(boxed(error.to_string())))?;
    let oid = x509_parser::oid_registry::Oid::from(IDENTITY_OID)
        .map_err(|_| read(boxed("bad object identifier")))?;
    let extension = certificate
        .get_extension_unique(&oid)
        .map_err(|error| read(boxed(error.to_string())))?
        .ok_or_else(|| read(boxed("it carries no identity of this cluster")))?;
    let stored: StoredIdentity =
        serde_json::from_slice(extension.value).map_err(|error| read(boxed(error)))?;
    let (identity, signer) = match stored {
        StoredIdentity::Host(host) => (Identity::Host(host), AuthorityType::Host),
        StoredIdentity::User(user) => (Identity::User(user), AuthorityType::User),
    };
    // TLS accepts both authorities; a host may only have been named by the host authority.
    let issuer = certificate.issuer().iter_common_name().next().and_then(|name| name.as_str().ok());
    if issuer.is_none_or(|issuer| !issuer.starts_with(&authority_name_start(signer))) {
        return Err(read(boxed("it was signed by an authority of another kind")));
    }
    Ok(identity)
}

/// The moment from which a certificate is good no more: the second after the last of its validity
/// (RFC 5280 section 4.1.2.5 includes `notAfter`).
///
/// # Errors
/// [`CertError::ReadCertificate`] when it is malformed.
pub fn expiry_of(der: &[u8]) -> Result<Timestamp, CertError> {
    let read = |text: String| CertError::ReadCertificate("peer's", boxed(text));
    let (_, certificate) = X509Certificate::from_der(der).map_err(|error| read(error.to_string()))?;
    let last = certificate.validity().not_after.timestamp();
    Timestamp::from_second(last.saturating_add(1)).map_err(|error| read(error.to_string()))
}

/// The serial number of a certificate.
///
/// # Errors
/// [`CertError::ReadCertificate`] when it is malformed, or the number is larger than those given here.
pub fn serial_of(der: &[u8]) -> Result<u64, CertError> {
    let read = |text: String| CertError::ReadCertificate("peer's", boxed(text));
    let (_, certificate) = X509Certificate::from_der(der).map_err(|error| read(error.to_string()))?;
    let digits = certificate.raw_serial();
    let zeros = digits.iter().take_while(|byte| **byte == 0).count();
    let digits = digits.get(zeros..).filter(|digits| digits.len() <= 8);
    let digits = digits.ok_or_else(|| read("its serial number is none of this cluster's".to_owned()))?;
    Ok(digits.iter().fold(0, |number, byte| (number << 8) | u64::from(*byte)))
}

/// How the common name of an authority of this kind begins.
pub(super) fn authority_name_start(kind: AuthorityType) -> String {
    format!("{kind} authority of ")
}
