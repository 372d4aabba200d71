//! The certificates of the web port: several key pairs, chosen by the name the client asks for, and replaced while the
//! port is open.

use std::sync::Arc;

use arc_swap::ArcSwap;
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
    /// Where it was read, for errors.
    pub place: String,
    /// The chain, the server's own certificate first.
    pub chain: String,
    /// The private key.
    pub key: Secret,
}

/// The key pairs, in the operator's order.
#[derive(Debug)]
pub struct WebCertificates(ArcSwap<Vec<Arc<CertifiedKey>>>);

impl WebCertificates {
    /// Certificates to serve.
    ///
    /// # Errors
    /// [`NetError::Config`] when there is no key pair, [`NetError::Pair`] when one cannot be read.
    pub fn new(pairs: &[PemPair]) -> Result<Arc<Self>, NetError> {
        Ok(Arc::new(Self(ArcSwap::from_pointee(keys(pairs)?))))
    }

    /// Serves these from the next connection on, all of them or, where one is of no use, those before. Says whether
    /// they are others.
    ///
    /// # Errors
    /// As for [`WebCertificates::new`].
    pub fn replace(&self, pairs: &[PemPair]) -> Result<bool, NetError> {
        let keys = keys(pairs)?;
        let before = self.0.load();
        let are_others = !before.iter().map(|key| &key.cert).eq(keys.iter().map(|key| &key.cert));
        self.0.store(Arc::new(keys));
        Ok(are_others)
    }
}

fn keys(pairs: &[PemPair]) -> Result<Vec<Arc<CertifiedKey>>, NetError> {
    let keys = pairs.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    if keys.is_empty() {
        return Err(config_error("web certificate", "none is configured"));
    }
    Ok(keys)
}

fn read(pair: &PemPair) -> Result<Arc<CertifiedKey>, NetError> {
    let failed = |what, source| NetError::Pair { place: pair.place.clone(), what, source };
    let chain = CertificateDer::pem_slice_iter(pair.chain.as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| failed("chain", error.into()))?;
    if chain.is_empty() {
        return Err(failed("chain", "there is no certificate in PEM in it".into()));
    }
    let key =
        PrivateKeyDer::from_pem_slice(pair.key.reveal()).map_err(|error| failed("key", error.into()))?;
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    let key = CertifiedKey::from_der(chain, key, &provider)
        .map_err(|error| failed("key, which must be that of the first certificate,", error.into()))?;
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
        let keys = self.0.load();
        keys.iter().find(carries).or_else(|| keys.first()).cloned()
    }
}
