//! The certificate a web port shows until the operator configures a real one: nobody's but its own.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use domain::Timestamp;
use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, SanType};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::issue::{alternative_name, validity};
use super::{KeyPair, WEB_NAME, expiry_of};
use crate::error::{CertError, boxed};

/// The life of a self-signed web certificate.
const TTL: Duration = Duration::from_secs(825 * 86_400);

/// The organisation in its name, by which it is known again.
const ORGANISATION: &str = "self-signed by teleport";

/// A self-signed certificate for the web port and its private key, both in PEM: what a proxy serves
/// browsers with until the operator configures a real one.
///
/// # Errors
/// [`CertError`] when the key or certificate cannot be made.
pub fn self_signed(names: &[String], now: Timestamp) -> Result<(String, String), CertError> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::default();
    (params.not_before, params.not_after) = validity(now, TTL)?;
    params.distinguished_name.push(DnType::CommonName, names.first().map_or(WEB_NAME, String::as_str));
    params.distinguished_name.push(DnType::OrganizationName, ORGANISATION);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.subject_alt_names = names.iter().filter_map(|name| alternative_name(name)).collect();
    let certificate =
        params.self_signed(&key.0).map_err(|error| CertError::Sign("self-signed web", boxed(error)))?;
    Ok((certificate.pem(), key.private_pem()))
}

/// What a certificate of [`self_signed`] is good for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SelfSigned {
    /// The moment from which it is good no more.
    pub expires: Timestamp,
    names: BTreeSet<String>,
}

impl SelfSigned {
    /// Reads a certificate in PEM. `None` when it was not made by [`self_signed`], such as one that an
    /// operator has put in its place.
    ///
    /// # Errors
    /// [`CertError::ReadCertificate`] when it is malformed.
    pub fn read(text: &str) -> Result<Option<Self>, CertError> {
        let read = |error: String| CertError::ReadCertificate("web", boxed(error));
        let block = pem::parse(text).map_err(|error| read(error.to_string()))?;
        let (_, certificate) =
            X509Certificate::from_der(block.contents()).map_err(|error| read(error.to_string()))?;
        let subject = certificate.subject();
        let organisation = subject.iter_organization().next().and_then(|name| name.as_str().ok());
        if organisation != Some(ORGANISATION) || subject != certificate.issuer() {
            return Ok(None);
        }
        let names = certificate.subject_alternative_name().map_err(|error| read(error.to_string()))?;
        let names = names.map(|names| names.value.general_names.iter().filter_map(read_name).collect());
        Ok(Some(Self { expires: expiry_of(block.contents())?, names: names.unwrap_or_default() }))
    }

    /// Whether one that is made for these names now would have the same.
    pub fn is_for(&self, names: &[String]) -> bool {
        let wanted = names.iter().filter_map(|name| alternative_name(name)).filter_map(|name| match name {
            SanType::DnsName(name) => Some(name.as_str().to_owned()),
            SanType::IpAddress(address) => Some(address.to_string()),
            _ => None,
        });
        self.names == wanted.collect()
    }
}

fn read_name(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => match <[u8; 4]>::try_from(*bytes) {
            Ok(bytes) => Some(IpAddr::from(bytes).to_string()),
            Err(_) => Some(IpAddr::from(<[u8; 16]>::try_from(*bytes).ok()?).to_string()),
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn one_of_our_own_is_known_again_with_its_end_and_names() {
        let names = list(&["proxy.example.com", "10.0.0.7", "::1", "no name!", "node.teleport.internal"]);
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        let (chain, _) = self_signed(&names, now).unwrap();
        let read = SelfSigned::read(&chain).unwrap().unwrap();
        let life = Duration::try_from(read.expires.duration_since(now)).unwrap();
        assert_eq!(life.as_secs().abs_diff(TTL.as_secs()), 1, "the last second counts");
        assert!(read.is_for(&names));
        assert!(read.is_for(&list(&["::1", "proxy.example.com", "10.0.0.7"])), "in any order");
        for other in [&["proxy.example.com", "10.0.0.7"][..], &["proxy.example.com", "10.0.0.8", "::1"], &[]]
        {
            assert!(!read.is_for(&list(other)), "{other:?}");
        }
    }

    #[test]
    fn one_without_names_is_for_none() {
        let (chain, _) = self_signed(&[], Timestamp::UNIX_EPOCH).unwrap();
        assert!(SelfSigned::read(&chain).unwrap().unwrap().is_for(&[]));
    }

    #[test]
    fn those_of_others_are_not_taken_for_ours() {
        use domain::authority::AuthorityType;
        let authority =
            super::super::Authority::generate(AuthorityType::Host, "main", Timestamp::UNIX_EPOCH).unwrap();
        assert_eq!(SelfSigned::read(&authority.certificate_pem()).unwrap(), None);
        assert!(SelfSigned::read("no certificate").is_err());
    }
}
