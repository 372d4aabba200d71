//! TLS configurations from the cluster's own certificates.
//!
//! Between parts of the system TLS is mutual and 1.3 only. A client names the *role* it wants to
//! reach (`auth.teleport.internal`), which only certificates of that role carry.

use std::sync::Arc;

use certs::bundle::Bundle;
use certs::x509::server_name;
use domain::authority::{AuthoritySpec, AuthorityType};
use domain::identity::SystemRole;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};

use crate::NetError;

mod trust;
mod web;
mod why;

pub use trust::{ServerTrust, peer_identity};
pub use web::{PemPair, WebCertificates};
pub use why::why;

/// Wraps an error of a library.
fn config_error(what: &'static str, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> NetError {
    NetError::Config { what, source: source.into() }
}

/// The certificates of these authorities, as DER.
///
/// # Errors
/// [`NetError::Config`] when one is not PEM.
pub fn authority_certificates(
    authorities: &[AuthoritySpec],
    kinds: &[AuthorityType],
) -> Result<Vec<CertificateDer<'static>>, NetError> {
    use rustls::pki_types::pem::PemObject;
    authorities
        .iter()
        .filter(|authority| kinds.contains(&authority.r#type))
        .flat_map(|authority| &authority.active_keys)
        .filter(|keys| !keys.tls.is_empty())
        .map(|keys| {
            CertificateDer::from_pem_slice(keys.tls.as_bytes())
                .map_err(|error| config_error("authority certificate", error))
        })
        .collect()
}

fn roots(certificates: &[CertificateDer<'static>]) -> Result<RootCertStore, NetError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates {
        roots.add(certificate.clone()).map_err(|error| config_error("authority certificate", error))?;
    }
    Ok(roots)
}

fn own_chain(bundle: &Bundle) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), NetError> {
    let mut chain = vec![CertificateDer::from(bundle.tls_certificate.clone())];
    // The authority travels along so that a host that only knows its pin can check it.
    chain.extend(authority_certificates(&bundle.authorities, &[AuthorityType::Host])?);
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(bundle.keys.tls.private_der()));
    Ok((chain, key))
}

/// What a part of the system serves with: its own certificate, and clients of this cluster. Clients
/// without a certificate are let through the handshake; whoever serves them decides what they may.
///
/// # Errors
/// [`NetError::Config`].
pub fn server(bundle: &Bundle, alpn: &[&[u8]]) -> Result<Arc<ServerConfig>, NetError> {
    let authorities =
        authority_certificates(&bundle.authorities, &[AuthorityType::Host, AuthorityType::User])?;
    let verifier = WebPkiClientVerifier::builder(Arc::new(roots(&authorities)?))
        .allow_unauthenticated()
        .build()
        .map_err(|error| config_error("client verifier", error))?;
    let (chain, key) = own_chain(bundle)?;
    let mut config = ServerConfig::builder_with_protocol_versions(&[&rustls::version::TLS13])
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, key)
        .map_err(|error| config_error("server certificate", error))?;
    config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
    // Every connection proves itself anew, so a revoked peer has no ticket to come back with.
    config.send_tls13_tickets = 0;
    Ok(Arc::new(config))
}

/// What the web port serves with: certificates browsers know, no client certificates.
pub fn web_server(certificates: Arc<WebCertificates>) -> Arc<ServerConfig> {
    let mut config = ServerConfig::builder().with_no_client_auth().with_cert_resolver(certificates);
    config.alpn_protocols = vec![crate::alpn::HTTP2.to_vec(), crate::alpn::HTTP1.to_vec()];
    Arc::new(config)
}

/// A client of a part of the system: trusts as told, shows `bundle`'s certificate when it has one.
///
/// # Errors
/// [`NetError::Config`].
pub fn client(
    trust: &ServerTrust,
    bundle: Option<&Bundle>,
    alpn: &[u8],
) -> Result<Arc<ClientConfig>, NetError> {
    let builder = ClientConfig::builder_with_protocol_versions(&[&rustls::version::TLS13])
        .dangerous()
        .with_custom_certificate_verifier(trust.verifier()?);
    let mut config = match bundle {
        Some(bundle) => {
            let (mut chain, key) = own_chain(bundle)?;
            chain.truncate(1);
            builder
                .with_client_auth_cert(chain, key)
                .map_err(|error| config_error("client certificate", error))?
        }
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![alpn.to_vec()];
    config.resumption = rustls::client::Resumption::disabled();
    Ok(Arc::new(config))
}

/// A client of a web port that the public authorities must vouch for. `SSL_CERT_FILE` and
/// `SSL_CERT_DIR` name others instead.
///
/// # Errors
/// [`NetError::Config`] when this host has no authorities installed.
pub fn public_client(alpn: &[u8]) -> Result<Arc<ClientConfig>, NetError> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    let (added, _) = roots.add_parsable_certificates(found.certs);
    if added == 0 {
        return Err(config_error(
            "public authorities",
            "this host has none installed (package ca-certificates)",
        ));
    }
    let mut config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![alpn.to_vec()];
    Ok(Arc::new(config))
}

/// The name under which a role is reached.
///
/// # Errors
/// [`NetError::Config`] never in practice: role names are valid DNS names.
pub fn role_name(role: SystemRole) -> Result<ServerName<'static>, NetError> {
    ServerName::try_from(server_name(role)).map_err(|error| config_error("server name", error))
}

#[cfg(test)]
mod tests;
