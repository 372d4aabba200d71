//! Outgoing TCP connections.

use std::time::Duration;

use tokio::net::TcpStream;

use crate::NetError;

/// How long to wait for an answer.
pub const DIAL_TIMEOUT: Duration = Duration::from_secs(10);

/// Connects to `host:port` and turns Nagle's algorithm off: small frames must not wait for each other.
///
/// # Errors
/// [`NetError`] names the address and what failed.
pub async fn dial(address: &str) -> Result<TcpStream, NetError> {
    let connected = tokio::time::timeout(DIAL_TIMEOUT, connect(address)).await;
    connected.unwrap_or_else(|_| {
        Err(NetError::Timeout { address: address.to_owned(), seconds: DIAL_TIMEOUT.as_secs() })
    })
}

async fn connect(address: &str) -> Result<TcpStream, NetError> {
    let resolved = tokio::net::lookup_host(address)
        .await
        .map_err(|source| NetError::Resolve { address: address.to_owned(), source })?;
    let mut last = None;
    for candidate in resolved {
        match TcpStream::connect(candidate).await {
            Ok(stream) => {
                // Failing to turn it off costs speed, not correctness.
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            Err(error) => last = Some(error),
        }
    }
    let source = last.unwrap_or_else(|| std::io::Error::other("the name has no address"));
    Err(NetError::Connect { address: address.to_owned(), source })
}
