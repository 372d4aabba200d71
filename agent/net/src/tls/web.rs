//! The certificates of the web port: several key pairs, chosen by the name the client asks for.

use std::sync::Arc;

use domain::secret::Secret;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::{ClientHello, ParsedCertificate, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::config_error;
use crate::NetError;

/// A certificate chain and its private key, in PEM.
#[derive(Debug, Clone)]
pub struct PemPair {
    /// The chain, the server's own certificate first.
    pub chain: String,
    /// The private key.
    pub key: Secret,
}

/// The key pairs, in the operator's order.
#[derive(Debug)]
pub(super) struct WebCertificates(Vec<Arc<CertifiedKey>>);

impl WebCertificates {
    pub(super) fn new(pairs: &[PemPair]) -> Result<Self, NetError> {
        let keys = pairs.iter().map(read).collect::<Result<Vec<_>, _>>()?;
        if keys.is_empty() {
            return Err(config_error("web certificate", "none is configured"));
        }
        Ok(Self(keys))
    }
}

fn read(pair: &PemPair) -> Result<Arc<CertifiedKey>, NetError> {
    let chain = CertificateDer::pem_slice_iter(pair.chain.as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| config_error("web certificate", error))?;
    let key =
        PrivateKeyDer::from_pem_slice(pair.key.reveal()).map_err(|error| config_error("web key", error))?;
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    let key =
        CertifiedKey::from_der(chain, key, &provider).map_err(|error| config_error("web key pair", error))?;
    Ok(Arc::new(key))
}

impl ResolvesServerCert for WebCertificates {
    /// The first pair whose certificate carries the name asked for, else the first of all.
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let carries = |key: &&Arc<CertifiedKey>| {
            let name = hello.server_name().and_then(|name| ServerName::try_from(name).ok());
            let parsed = key.cert.first().and_then(|der| ParsedCertificate::try_from(der).ok());
            match (name, parsed) {
                (Some(name), Some(parsed)) => rustls::client::verify_server_name(&parsed, &name).is_ok(),
                _ => false,
            }
        };
        self.0.iter().find(carries).or_else(|| self.0.first()).cloned()
    }
}
