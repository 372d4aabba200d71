//! Outgoing TCP connections.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use tokio::net::TcpStream;
use tokio::time::sleep;

use crate::NetError;

/// How long to wait for an answer.
pub const DIAL_TIMEOUT: Duration = Duration::from_secs(10);
/// How much sooner one address of a name is tried than the next, where it does not answer (RFC 8305, section 5): one that
/// leads nowhere, of a network this host is not in, does not hold up the others.
const HEAD_START: Duration = Duration::from_millis(250);

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
    let stream = first_of(resolved, TcpStream::connect).await;
    let stream = stream.map_err(|source| NetError::Connect { address: address.to_owned(), source })?;
    // Failing to turn it off costs speed, not correctness.
    let _ = stream.set_nodelay(true);
    Ok(stream)
}

/// The first that connects; when none does, why the last one did not.
async fn first_of<T, F: Future<Output = io::Result<T>>>(
    candidates: impl Iterator<Item = SocketAddr>,
    connect: impl Fn(SocketAddr) -> F,
) -> io::Result<T> {
    let (mut candidates, mut attempts) = (candidates.peekable(), FuturesUnordered::new());
    let mut last = io::Error::other("the name has no address");
    loop {
        attempts.extend(candidates.next().map(&connect));
        tokio::select! {
            attempt = attempts.next() => match attempt {
                Some(Ok(stream)) => return Ok(stream),
                Some(Err(error)) => last = error,
                None => return Err(last),
            },
            () = sleep(HEAD_START), if candidates.peek().is_some() => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    /// Tries addresses of which each answers as its port says: 1 in a second, 2 never, others not at all.
    async fn tried(ports: &[u16]) -> (io::Result<u16>, Duration) {
        let began = Instant::now();
        let candidates = ports.iter().map(|port| SocketAddr::from(([127, 0, 0, 1], *port)));
        let connect = async |address: SocketAddr| match address.port() {
            1 => {
                sleep(Duration::from_secs(1)).await;
                Ok(address.port())
            }
            2 => std::future::pending().await,
            port => Err(io::Error::other(format!("refused {port}"))),
        };
        (first_of(candidates, connect).await, began.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn addresses_that_lead_nowhere_do_not_hold_up_the_others() {
        assert_eq!(tried(&[1]).await.0.unwrap(), 1);
        // However many there are, and one that takes its time is waited for beside them.
        for (ports, time) in [(&[2, 2, 2, 2, 2, 2, 1][..], 2500), (&[1, 2, 2], 1000), (&[3, 1], 1000)] {
            let (found, took) = tried(ports).await;
            assert_eq!((found.unwrap(), took), (1, Duration::from_millis(time)), "{ports:?}");
        }
        assert_eq!(tried(&[3, 4]).await.0.unwrap_err().to_string(), "refused 4");
        assert_eq!(tried(&[]).await.0.unwrap_err().to_string(), "the name has no address");
    }
}
