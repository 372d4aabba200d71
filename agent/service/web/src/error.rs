//! What can go wrong at the web port.

/// Why the web port cannot serve.
#[derive(Debug, thiserror::Error)]
pub enum WebError {
    /// Certificates or TLS.
    #[error(transparent)]
    Net(#[from] net::NetError),
}
