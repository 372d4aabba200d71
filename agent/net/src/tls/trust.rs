//! Whom a client of the cluster trusts, and who a server's client turned out to be.

use std::sync::Arc;

use certs::x509::{Pin, identity_of};
use domain::authority::{AuthoritySpec, AuthorityType};
use domain::identity::Identity;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, RootCertStore, SignatureScheme};

use super::{authority_certificates, config_error, roots};
use crate::NetError;

/// Whom a client trusts.
#[derive(Debug, Clone)]
pub enum ServerTrust {
    /// The host authority of the cluster it belongs to.
    Cluster(Vec<AuthoritySpec>),
    /// The host authority with one of these pins: a host that has yet to join.
    Pins(Vec<Pin>),
    /// Anyone. The operator asked for it with `--insecure`, or nothing secret is said.
    Anyone,
}

impl ServerTrust {
    pub(super) fn verifier(&self) -> Result<Arc<dyn ServerCertVerifier>, NetError> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        Ok(match self {
            Self::Cluster(authorities) => {
                let certificates = authority_certificates(authorities, &[AuthorityType::Host])?;
                WebPkiServerVerifier::builder_with_provider(Arc::new(roots(&certificates)?), provider)
                    .build()
                    .map_err(|error| config_error("host authority", error))?
            }
            Self::Pins(pins) => Arc::new(Unknown { pins: Some(pins.clone()), provider }),
            Self::Anyone => Arc::new(Unknown { pins: None, provider }),
        })
    }
}

/// Checks a server whose authority is not known yet. With pins: finds the pinned authority among the
/// certificates the server sent, then checks the server's own certificate and name against that
/// authority alone. Without: that it holds the key of the certificate it shows, and nothing more.
#[derive(Debug)]
struct Unknown {
    pins: Option<Vec<Pin>>,
    provider: Arc<rustls::crypto::CryptoProvider>,
}

impl ServerCertVerifier for Unknown {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let Some(pins) = &self.pins else { return Ok(ServerCertVerified::assertion()) };
        let pinned = |der: &&CertificateDer<'_>| Pin::of(der).is_ok_and(|pin| pins.contains(&pin));
        let authority = intermediates
            .iter()
            .find(pinned)
            .ok_or(rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer))?;
        let mut roots = RootCertStore::empty();
        roots.add(authority.clone().into_owned())?;
        let verifier =
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&self.provider))
                .build()
                .map_err(|error| rustls::Error::General(error.to_string()))?;
        verifier.verify_server_cert(end_entity, &[], server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(
            message,
            cert,
            dss,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(
            message,
            cert,
            dss,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// Who the client of a finished handshake is; none when it showed no certificate.
///
/// # Errors
/// A certificate of this cluster that names nobody.
pub fn peer_identity(chain: Option<&[CertificateDer<'_>]>) -> Result<Option<Identity>, certs::CertError> {
    chain.and_then(<[_]>::first).map(|der| identity_of(der)).transpose()
}
