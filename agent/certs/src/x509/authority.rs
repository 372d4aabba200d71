//! An X.509 authority: a key and the self-signed certificate that others trust.

use domain::Timestamp;
use domain::authority::AuthorityType;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyUsagePurpose};

use super::KeyPair;
use crate::error::{CertError, boxed};

/// How long an authority's own certificate lives, in days. Rotation replaces it long before.
const LIFE_DAYS: i64 = 3650;

/// A signing authority.
pub struct Authority {
    issuer: Issuer<'static, rcgen::KeyPair>,
    pem: String,
    der: Vec<u8>,
}

impl Authority {
    /// A new authority of this kind.
    ///
    /// # Errors
    /// [`CertError::MakeKey`] or [`CertError::Sign`].
    pub fn generate(kind: AuthorityType, cluster: &str, now: Timestamp) -> Result<Self, CertError> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::default();
        params
            .distinguished_name
            .push(DnType::CommonName, super::identity::authority_name_start(kind) + cluster);
        params.distinguished_name.push(DnType::OrganizationName, cluster);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        (params.not_before, params.not_after) =
            super::issue::validity(now, std::time::Duration::from_secs(86_400 * LIFE_DAYS.unsigned_abs()))?;
        let certificate =
            params.self_signed(&key.0).map_err(|error| CertError::Sign("authority's own", boxed(error)))?;
        let (pem, der) = (certificate.pem(), certificate.der().to_vec());
        Ok(Self { issuer: Issuer::new(params, key.0), pem, der })
    }

    /// Reads a stored authority.
    ///
    /// # Errors
    /// [`CertError::ReadKey`] or [`CertError::ReadCertificate`].
    pub fn from_pem(key: &str, certificate: &str) -> Result<Self, CertError> {
        let key = KeyPair::from_pem(key)?;
        let read = |error| CertError::ReadCertificate("authority's", error);
        let der = pem::parse(certificate).map_err(|error| read(boxed(error)))?.into_contents();
        let issuer = Issuer::from_ca_cert_pem(certificate, key.0).map_err(|error| read(boxed(error)))?;
        Ok(Self { issuer, pem: certificate.to_owned(), der })
    }

    /// The certificate others trust, in PEM.
    pub fn certificate_pem(&self) -> String {
        self.pem.clone()
    }

    /// The certificate others trust, in DER.
    pub fn certificate_der(&self) -> &[u8] {
        &self.der
    }

    /// The private key in PEM. Secret.
    pub fn private_pem(&self) -> String {
        self.issuer.key().serialize_pem()
    }

    pub(super) fn issuer(&self) -> &Issuer<'static, rcgen::KeyPair> {
        &self.issuer
    }
}
