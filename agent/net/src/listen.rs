//! Listening with limits.
//!
//! A listener outlives everything a stranger or a full descriptor table can do to it: a failed
//! accept is waited out, never fatal.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use crate::NetError;
use crate::gate::source_of;
use crate::patience::Patience;

/// How many connections one client address may hold on one service when nothing else is configured.
pub const MAX_CONNECTIONS: usize = 15_000;

/// How many connections the kernel holds that have not been accepted yet; it may hold fewer (`net.core.somaxconn`).
/// With the 128 that are usual, a fleet whose proxy comes back loses the first packets of most of its connections, and
/// waits a second or more for each.
const BACKLOG: u32 = 4096;

/// Connections per client address on one service.
#[derive(Debug)]
pub struct ConnectionLimit {
    max: usize,
    held: Mutex<HashMap<IpAddr, usize>>,
}

impl ConnectionLimit {
    /// At most `max` connections per client address.
    pub fn new(max: usize) -> Arc<Self> {
        Arc::new(Self { max, held: Mutex::default() })
    }

    /// Counts a connection, unless the client holds too many.
    pub fn admit(self: &Arc<Self>, peer: IpAddr) -> Option<Admitted> {
        let source = source_of(peer);
        let mut held = self.held.lock();
        let count = held.entry(source).or_default();
        if *count >= self.max {
            return None;
        }
        *count += 1;
        Some(Admitted { limit: Arc::clone(self), source })
    }
}

/// One counted connection. Dropping it gives the place back.
#[derive(Debug)]
pub struct Admitted {
    limit: Arc<ConnectionLimit>,
    source: IpAddr,
}

impl Drop for Admitted {
    fn drop(&mut self) {
        let mut held = self.limit.held.lock();
        if let Some(count) = held.get_mut(&self.source) {
            *count -= 1;
            if *count == 0 {
                held.remove(&self.source);
            }
        }
    }
}

/// An accepted connection.
#[derive(Debug)]
pub struct Accepted {
    /// The connection, Nagle's algorithm off.
    pub stream: TcpStream,
    /// The client.
    pub peer: SocketAddr,
    /// The address it reached.
    pub local: SocketAddr,
    /// Its place; keep it for as long as the connection.
    pub place: Admitted,
}

/// As [`TcpListener::bind`] does it, with more room for those that wait.
fn listening(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// A listening socket.
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
    limit: Arc<ConnectionLimit>,
    address: SocketAddr,
    patience: Patience,
}

impl Listener {
    /// Listens on `address`; port 0 picks a free one.
    ///
    /// # Errors
    /// [`NetError::Listen`] with the address and, where there is a usual one, the remedy.
    pub async fn bind(address: SocketAddr, limit: Arc<ConnectionLimit>) -> Result<Self, NetError> {
        let failed = |source| NetError::Listen { address, source };
        Self::of(listening(address).map_err(failed)?, limit).map_err(failed)
    }

    /// A listener on a socket that is bound already.
    ///
    /// # Errors
    /// That of asking the socket for its address.
    pub fn of(socket: TcpListener, limit: Arc<ConnectionLimit>) -> std::io::Result<Self> {
        let address = socket.local_addr()?;
        Ok(Self { socket, limit, address, patience: Patience::default() })
    }

    /// The address listened on, with the real port.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The next connection within the limit. Cancelling loses none.
    pub async fn accept(&self) -> Accepted {
        loop {
            let (stream, peer) = match self.socket.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    let what = format!("connections at {}", self.address);
                    self.patience.wait_out(&what, &error).await;
                    continue;
                }
            };
            let Some(place) = self.limit.admit(peer.ip()) else {
                tracing::warn!(address = %self.address, %peer, max = self.limit.max, "too many connections from one client; raise connection_limits.max_connections if that is wanted");
                continue;
            };
            let _ = stream.set_nodelay(true);
            let local = stream.local_addr().unwrap_or(self.address);
            return Accepted { stream, peer, local, place };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_counted_per_client_and_given_back() {
        let limit = ConnectionLimit::new(2);
        let (a, b) = ("10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap());
        let first = limit.admit(a).unwrap();
        let _second = limit.admit(a).unwrap();
        assert!(limit.admit(a).is_none());
        assert!(limit.admit(b).is_some());
        drop(first);
        assert!(limit.admit(a).is_some());
    }

    #[tokio::test]
    async fn a_crowd_waits_in_the_queue_and_is_not_sent_away() {
        let limit = ConnectionLimit::new(MAX_CONNECTIONS);
        let listener = Listener::bind("127.0.0.1:0".parse().unwrap(), limit).await.unwrap();
        // Nobody accepts. Whoever finds no place in the queue is not answered, and tries again in vain.
        let crowd = async {
            let mut waiting = Vec::new();
            for _ in 0..400 {
                waiting.push(TcpStream::connect(listener.address()).await.unwrap());
            }
            waiting.len()
        };
        let arrived = tokio::time::timeout(std::time::Duration::from_secs(30), crowd).await;
        assert_eq!(arrived.expect("there is room for all"), 400);
    }

    #[tokio::test]
    async fn a_taken_port_is_named_with_the_remedy() {
        let limit = ConnectionLimit::new(1);
        let first = Listener::bind("127.0.0.1:0".parse().unwrap(), Arc::clone(&limit)).await.unwrap();
        let error = Listener::bind(first.address(), limit).await.unwrap_err().to_string();
        assert!(
            error.contains(&first.address().to_string())
                && error.contains("choose another port in teleport.yaml"),
            "{error}"
        );
    }

    #[tokio::test]
    async fn one_client_too_many_is_dropped_and_the_listener_lives_on() {
        let listener = Listener::bind("127.0.0.1:0".parse().unwrap(), ConnectionLimit::new(1)).await.unwrap();
        let address = listener.address();
        let _first_client = TcpStream::connect(address).await.unwrap();
        let first = listener.accept().await;
        let second_client = TcpStream::connect(address).await.unwrap();
        let accepting = tokio::spawn(async move { listener.accept().await });
        let mut byte = [0];
        let mut second_client = second_client;
        let read = tokio::io::AsyncReadExt::read(&mut second_client, &mut byte).await;
        assert!(matches!(read, Ok(0) | Err(_)), "the connection was closed");
        drop(first);
        let _third_client = TcpStream::connect(address).await.unwrap();
        accepting.await.unwrap();
    }
}
