//! What can go wrong with tunnels.

/// Why a link could not be made or kept.
#[derive(Debug, thiserror::Error)]
pub enum TunnelError {
    /// The proxy cannot be reached.
    #[error(transparent)]
    Net(#[from] net::NetError),
    /// TLS with the proxy failed.
    #[error("TLS with the proxy at {proxy} failed: {reason}")]
    Tls {
        /// The proxy.
        proxy: String,
        /// What happened, and what to do.
        reason: String,
    },
    /// The SSH protocol failed.
    #[error("the SSH link to the proxy at {proxy} failed")]
    Link {
        /// The proxy.
        proxy: String,
        /// What happened.
        #[source]
        source: russh::Error,
    },
    /// The proxy is not one of this cluster.
    #[error("the proxy at {proxy} could not prove that it belongs to the cluster: {reason}")]
    Proxy {
        /// The proxy.
        proxy: String,
        /// What is wrong with what it showed.
        reason: String,
    },
    /// The proxy does not admit this host.
    #[error(
        "the proxy at {proxy} does not admit this host; its certificate may be locked or of another cluster"
    )]
    Refused {
        /// The proxy.
        proxy: String,
    },
    /// It took too long.
    #[error("the proxy at {proxy} did not finish the handshake in time")]
    Timeout {
        /// The proxy.
        proxy: String,
    },
}

impl From<russh::Error> for TunnelError {
    fn from(source: russh::Error) -> Self {
        Self::Link { proxy: String::new(), source }
    }
}
