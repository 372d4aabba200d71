//! Making X.509 certificates.

use std::time::Duration;

use domain::Timestamp;
use domain::certificate::BACKDATE;
use domain::identity::Identity;
use rcgen::{
    CertificateParams, CustomExtension, DnType, ExtendedKeyUsagePurpose, IsCa, KeyUsagePurpose, SanType,
    SerialNumber, SubjectPublicKeyInfo,
};
use time::OffsetDateTime;

use super::identity::{IDENTITY_OID, StoredIdentity};
use super::{Authority, server_name};
use crate::error::{CertError, boxed};

/// What a certificate is made of.
#[derive(Debug, Clone)]
pub struct Leaf<'a> {
    /// Whom it stands for.
    pub identity: &'a Identity,
    /// The public key, as SPKI in DER.
    pub public_key: &'a [u8],
    /// More DNS names and addresses it answers to; ones that are neither are left out.
    pub names: &'a [String],
    /// How long it lives.
    pub ttl: Duration,
    /// Its serial number.
    pub serial: u64,
}

/// Says whether [`issue`] takes this public key, SPKI in DER.
///
/// # Errors
/// [`CertError::ReadKey`].
pub fn check_public_key(public_key: &[u8]) -> Result<(), CertError> {
    read(public_key).map(drop)
}

fn read(public_key: &[u8]) -> Result<SubjectPublicKeyInfo, CertError> {
    SubjectPublicKeyInfo::from_der(public_key)
        .map_err(|error| CertError::ReadKey("X.509 public key", boxed(error)))
}

/// Makes a certificate.
///
/// # Errors
/// [`CertError::ReadKey`] for a public key of another type, [`CertError::Sign`].
pub fn issue(authority: &Authority, leaf: &Leaf<'_>, now: Timestamp) -> Result<Vec<u8>, CertError> {
    let key = read(leaf.public_key)?;
    let failed = |error: rcgen::Error| CertError::Sign("X.509", boxed(error));
    let mut params = CertificateParams::default();
    (params.not_before, params.not_after) = validity(now, leaf.ttl)?;
    params.serial_number = Some(SerialNumber::from(leaf.serial));
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    params.distinguished_name.push(DnType::CommonName, subject(leaf.identity));
    if let Identity::Host(host) = leaf.identity {
        params.extended_key_usages.push(ExtendedKeyUsagePurpose::ServerAuth);
        let role_name = server_name(host.role).try_into().map_err(failed)?;
        params.subject_alt_names.push(SanType::DnsName(role_name));
        params.subject_alt_names.extend(leaf.names.iter().filter_map(|name| alternative_name(name)));
    }
    let json = serde_json::to_vec(&StoredIdentity::from(leaf.identity))
        .map_err(|error| CertError::Sign("X.509", boxed(error)))?;
    params.custom_extensions.push(CustomExtension::from_oid_content(IDENTITY_OID, json));
    let certificate = params.signed_by(&key, authority.issuer()).map_err(failed)?;
    Ok(certificate.der().to_vec())
}

fn subject(identity: &Identity) -> String {
    match identity {
        Identity::Host(host) => host.host_id.to_string(),
        Identity::User(user) => user.user.clone(),
    }
}

/// Whether this is the name of a role, which no host may ask for: whoever has it is taken for the auth
/// server. Names are the same in any case of letters and with a dot at their end (RFC 4343, RFC 1034
/// 3.1).
fn is_role_name(name: &str) -> bool {
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    name == "teleport.internal" || name.ends_with(".teleport.internal")
}

pub(super) fn alternative_name(name: &str) -> Option<SanType> {
    if let Ok(address) = name.parse() {
        return Some(SanType::IpAddress(address));
    }
    if is_role_name(name) || !domain::name::is_valid_hostname(name) {
        return None;
    }
    name.to_owned().try_into().ok().map(SanType::DnsName)
}

/// From a little before `now` for as long as `ttl`.
pub(super) fn validity(now: Timestamp, ttl: Duration) -> Result<(OffsetDateTime, OffsetDateTime), CertError> {
    let bad = |_| CertError::Field("the time of validity is out of range".to_owned());
    let at = |second: i64| OffsetDateTime::from_unix_timestamp(second).map_err(bad);
    let back = i64::try_from(BACKDATE.as_secs()).unwrap_or(0);
    let ahead = i64::try_from(ttl.as_secs()).unwrap_or(i64::MAX);
    Ok((at(now.as_second().saturating_sub(back))?, at(now.as_second().saturating_add(ahead))?))
}
