//! Outgoing TCP connections.

use std::io;
use std::net::SocketAddr;
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

/// How long one address of a name may take that has others: one that leads nowhere, of a network this host is not in,
/// must not use up the time of all.
const CANDIDATE_TIMEOUT: Duration = Duration::from_secs(2);

async fn connect(address: &str) -> Result<TcpStream, NetError> {
    let resolved = tokio::net::lookup_host(address)
        .await
        .map_err(|source| NetError::Resolve { address: address.to_owned(), source })?;
    let mut last = None;
    let mut candidates = resolved.peekable();
    while let Some(candidate) = candidates.next() {
        match attempt(candidate, candidates.peek().is_none()).await {
            Ok(stream) => {
                // Failing to turn it off costs speed, not correctness.
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            Err(error) => last = Some(error),
        }
    }
    let source = last.unwrap_or_else(|| io::Error::other("the name has no address"));
    Err(NetError::Connect { address: address.to_owned(), source })
}

async fn attempt(candidate: SocketAddr, is_last: bool) -> io::Result<TcpStream> {
    let connecting = TcpStream::connect(candidate);
    if is_last {
        return connecting.await;
    }
    let late = |_| Err(io::Error::new(io::ErrorKind::TimedOut, format!("{candidate} did not answer")));
    tokio::time::timeout(CANDIDATE_TIMEOUT, connecting).await.unwrap_or_else(late)
}
