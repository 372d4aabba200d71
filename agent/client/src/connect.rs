//! The connection to the auth server: TCP, TLS with the role checked, gRPC.
//!
//! The same bytes work at the auth server's own port and at a proxy's web port, which passes them on
//! unopened; so the caller need not know which of them an address is.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use certs::bundle::Bundle;
use domain::identity::SystemRole;
use hyper_util::rt::TokioIo;
use net::tls::ServerTrust;
use rustls::ClientConfig;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tonic::transport::{Channel, Endpoint, Uri};

use crate::error::ClientError;

/// How long a TLS handshake may take.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long one call may take to begin answering.
const CALL_TIMEOUT: Duration = Duration::from_secs(30);
/// How often an idle connection is asked whether it lives.
const KEEP_ALIVE: Duration = Duration::from_secs(60);

/// What is looked for, in what is said of something else.
const AUTH: &str = "the auth server of this cluster, nor a proxy that leads there";

/// Where the auth server is, and how it is trusted.
pub struct AuthEndpoint {
    addresses: Vec<String>,
    tls: ArcSwap<ClientConfig>,
    next: AtomicUsize,
    /// Whether the caller has an identity, and so a cluster of its own.
    is_member: bool,
}

impl AuthEndpoint {
    /// An endpoint reached at any of these `host:port` addresses.
    ///
    /// # Errors
    /// [`ClientError::Net`] when the trust cannot be turned into a TLS configuration.
    pub fn new(
        addresses: Vec<String>,
        trust: &ServerTrust,
        bundle: Option<&Bundle>,
    ) -> Result<Arc<Self>, ClientError> {
        let tls = net::tls::client(trust, bundle, net::alpn::AUTH)?;
        let is_member = bundle.is_some();
        Ok(Arc::new(Self { addresses, tls: ArcSwap::new(tls), next: AtomicUsize::new(0), is_member }))
    }

    /// An endpoint for a member of the cluster, which trusts its own cluster and nobody else.
    ///
    /// # Errors
    /// [`ClientError::Net`] when the member's certificates cannot be turned into a TLS configuration.
    pub fn of_member(addresses: Vec<String>, bundle: &Bundle) -> Result<Arc<Self>, ClientError> {
        net::install_crypto();
        Self::new(addresses, &ServerTrust::Cluster(bundle.authorities.clone()), Some(bundle))
    }

    /// Uses new certificates for connections made from now on.
    ///
    /// # Errors
    /// [`ClientError::Net`].
    pub fn renew(&self, trust: &ServerTrust, bundle: &Bundle) -> Result<(), ClientError> {
        self.tls.store(net::tls::client(trust, Some(bundle), net::alpn::AUTH)?);
        Ok(())
    }

    /// The addresses, for errors.
    pub fn shown(&self) -> String {
        self.addresses.join(", ")
    }

    /// A channel that connects on first use and again whenever the connection is lost, each time
    /// to the next address.
    pub fn channel(self: &Arc<Self>) -> Channel {
        let endpoint = Arc::clone(self);
        let connector = tower::service_fn(move |_: Uri| {
            let endpoint = Arc::clone(&endpoint);
            async move { endpoint.connect().await.map(TokioIo::new) }
        });
        // The URI only fills the HTTP/2 authority: where to connect is the connector's business.
        Endpoint::from_static("http://auth.teleport.internal")
            .timeout(CALL_TIMEOUT)
            .http2_keep_alive_interval(KEEP_ALIVE)
            .keep_alive_while_idle(true)
            .initial_stream_window_size(Some(256 * 1024))
            .initial_connection_window_size(Some(1024 * 1024))
            .connect_with_connector_lazy(connector)
    }

    async fn connect(&self) -> Result<TlsStream<TcpStream>, std::io::Error> {
        let mut last = std::io::Error::other("no address of an auth server is configured");
        let start = self.next.fetch_add(1, Ordering::Relaxed);
        for offset in 0..self.addresses.len() {
            let at = (start + offset) % self.addresses.len();
            let Some(address) = self.addresses.get(at) else { continue };
            match self.connect_to(address).await {
                Ok(stream) => return Ok(stream),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    async fn connect_to(&self, address: &str) -> std::io::Result<TlsStream<TcpStream>> {
        let stream = net::dial(address).await.map_err(chained)?;
        let name = net::tls::role_name(SystemRole::Auth).map_err(chained)?;
        let handshake = TlsConnector::from(self.tls.load_full()).connect(name, stream);
        match tokio::time::timeout(HANDSHAKE_TIMEOUT, handshake).await {
            Ok(Ok(stream)) => Ok(stream),
            Ok(Err(error)) => {
                let advice = net::tls::why(&error, AUTH, self.is_member);
                Err(std::io::Error::other(format!("TLS with {address}: {advice}")))
            }
            Err(_) => Err(std::io::Error::other(format!(
                "TLS with {address}: no answer within {} s",
                HANDSHAKE_TIMEOUT.as_secs()
            ))),
        }
    }
}

/// The whole chain in one line, since only the text of an error survives gRPC.
fn chained(error: impl std::error::Error) -> std::io::Error {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    std::io::Error::other(text)
}
