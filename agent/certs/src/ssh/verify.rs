//! From a certificate's bytes to facts that may be judged.
//!
//! The order is fixed: type, then the authority's key (a plain key that is trusted, compared whole),
//! then its signature. Only then is anything else of the certificate looked at.

use domain::Timestamp;
use domain::certificate::{HOST_ROLE_EXTENSION, Refusal, UserFacts};
use domain::identity::SystemRole;
use domain::name::HostId;
use ssh_key::certificate::{CertType, Certificate};

use super::{TrustedKeys, is_plain};
use crate::error::CertError;

/// Verifies the authority's signature on a user certificate and returns its facts.
///
/// # Errors
/// [`Refusal`] when it is no user certificate or nobody trusted signed it.
pub fn user_facts(certificate: &Certificate, trusted: &TrustedKeys) -> Result<UserFacts, Refusal> {
    if certificate.cert_type() != CertType::User {
        return Err(Refusal::NotUser);
    }
    check_signature(certificate, trusted)?;
    Ok(UserFacts {
        serial: certificate.serial(),
        principals: certificate.valid_principals().to_vec(),
        valid_after: certificate.valid_after(),
        valid_before: certificate.valid_before(),
        critical_options: certificate.critical_options().0.clone(),
        extensions: certificate.extensions().0.clone(),
    })
}

/// What a verified host certificate says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostFacts {
    /// Which host.
    pub host_id: HostId,
    /// Admitted as.
    pub role: SystemRole,
    /// Names it answers to.
    pub principals: Vec<String>,
}

/// Verifies a host certificate: signature, type, time, critical options.
///
/// # Errors
/// [`CertError::Untrusted`] says why not.
pub fn host_facts(
    certificate: &Certificate,
    trusted: &TrustedKeys,
    now: Timestamp,
) -> Result<HostFacts, CertError> {
    let untrusted = |why: &str| CertError::Untrusted(format!("the host certificate {why}"));
    if certificate.cert_type() != CertType::Host {
        return Err(untrusted("is not a host certificate"));
    }
    check_signature(certificate, trusted)
        .map_err(|_| untrusted("was not signed by this cluster's host authority"))?;
    let now = u64::try_from(now.as_second()).unwrap_or(0);
    if now < certificate.valid_after() || now >= certificate.valid_before() {
        return Err(untrusted("is expired or not valid yet; check the clocks"));
    }
    if !certificate.critical_options().is_empty() {
        return Err(untrusted("has critical options, which hosts have not"));
    }
    let host_id = HostId::parse(certificate.key_id()).ok_or_else(|| untrusted("names no host"))?;
    let role = certificate
        .extensions()
        .get(HOST_ROLE_EXTENSION)
        .and_then(|role| SystemRole::parse_joinable(role).ok())
        .ok_or_else(|| untrusted("names no role"))?;
    Ok(HostFacts { host_id, role, principals: certificate.valid_principals().to_vec() })
}

fn check_signature(certificate: &Certificate, trusted: &TrustedKeys) -> Result<(), Refusal> {
    let signer = certificate.signature_key();
    if !is_plain(signer) {
        return Err(Refusal::SignedByCertificate);
    }
    if !trusted.contains(signer) {
        return Err(Refusal::UnknownAuthority);
    }
    certificate.verify_signature().map_err(|_| Refusal::UnknownAuthority)
}
