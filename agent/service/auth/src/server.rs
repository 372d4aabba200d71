//! On the network: TLS first, then gRPC.
//!
//! A connection is a stranger until its TLS handshake is done, and one that showed no certificate
//! stays a stranger for as long as it lasts: joining takes moments. Strangers are few and hurried.
//! Which certificate a connection showed is attached to every call on it.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use domain::Timestamp;
use domain::identity::{Identity, SystemRole};
use net::gate::{Gate, Stranger};
use net::listen::{Accepted, Admitted, ConnectionLimit};
use net::severable::{Knife, Severable};
use port::clock::Clock;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::service::Routes;
use tonic::transport::Server;
use tonic::transport::server::Connected;

use crate::error::AuthError;
use crate::passed_on::{Present, Proxies};
use crate::service::AuthService;

/// How many finished handshakes may wait to be served.
const QUEUE: usize = 64;
/// How often the own certificate is made anew, a seventh of its life.
const RENEWAL: Duration = Duration::from_secs(86_400);
/// How long the clock is not looked at, at most, while waiting for a certificate to expire.
const GLANCE: Duration = Duration::from_secs(60);
/// Calls at once on one connection.
const STREAMS: u32 = 1000;
/// The same for strangers, who have nothing to do but join.
const STRANGER_STREAMS: u32 = 8;
/// How often an idle connection is asked whether it lives.
const KEEP_ALIVE: Duration = Duration::from_secs(60);

/// Who is at the other end of a connection.
#[derive(Debug, Clone)]
pub(crate) struct Peer {
    pub(crate) address: SocketAddr,
    pub(crate) identity: Option<Identity>,
    pub(crate) shown: Option<Shown>,
}

/// What a certificate says besides whom it names.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shown {
    /// From when on it is good no more; TLS looks at that only once.
    pub(crate) expires: Timestamp,
    pub(crate) serial: u64,
}

impl Shown {
    fn read(der: &[u8]) -> Result<Self, certs::CertError> {
        Ok(Self { expires: certs::x509::expiry_of(der)?, serial: certs::x509::serial_of(der)? })
    }
}

/// A connection past its handshake.
pub(crate) struct Connection {
    stream: TlsStream<Severable<TcpStream>>,
    peer: Peer,
    /// Held while this is a proxy's.
    proxy: Option<Present>,
    _place: Admitted,
    _gone: DropGuard,
}

type Sender = mpsc::Sender<Result<Connection, std::io::Error>>;
type Receiver = mpsc::Receiver<Result<Connection, std::io::Error>>;

/// What every connection comes by before it is served.
struct Door {
    gate: Arc<Gate>,
    connections: Arc<ConnectionLimit>,
    proxies: Arc<Proxies>,
    doors: Doors,
    clock: Arc<dyn Clock>,
}

/// Where finished handshakes are served.
#[derive(Clone)]
struct Doors {
    members: Sender,
    strangers: Sender,
}

impl Doors {
    fn of(&self, peer: &Peer) -> &Sender {
        if peer.identity.is_some() { &self.members } else { &self.strangers }
    }
}

/// What remains to be watched of a connection that was handed on.
struct Handed {
    /// When the certificate expires; a stranger has none.
    expires: Option<Timestamp>,
    gone: CancellationToken,
    knife: Knife,
}

impl AuthService {
    pub(crate) async fn serve(self: Arc<Self>, shutdown: CancellationToken) -> Result<(), AuthError> {
        let (members, known) = mpsc::channel(QUEUE);
        let (strangers, unknown) = mpsc::channel(QUEUE);
        let routes = crate::rpc::routes(&self);
        let stopped = |error| AuthError::Invalid(format!("gRPC stopped: {error}"));
        // Both to their end: one that has nobody to wait for must not cut the other's goodbye short.
        let serving = async {
            tokio::try_join!(
                grpc(routes.clone(), STREAMS, known, shutdown.clone()),
                grpc(routes, STRANGER_STREAMS, unknown, shutdown),
            )
        };
        tokio::select! {
            accepted = self.accept(Doors { members, strangers }) => accepted,
            served = serving => served.map(drop).map_err(stopped),
        }
    }

    async fn accept(&self, doors: Doors) -> Result<(), AuthError> {
        let door = Arc::new(Door {
            gate: Gate::new(),
            connections: Arc::clone(&self.connections),
            proxies: Arc::default(),
            doors,
            clock: Arc::clone(&self.deps.clock),
        });
        loop {
            let bundle = self.own_identity(SystemRole::Auth).await?;
            let acceptor = TlsAcceptor::from(net::tls::server(&bundle, &[net::alpn::AUTH])?);
            let due = tokio::time::sleep(RENEWAL);
            tokio::pin!(due);
            loop {
                let accepted = tokio::select! {
                    accepted = self.listener.accept() => accepted,
                    () = &mut due => break,
                };
                let stranger = door.gate.enter(accepted.peer.ip());
                tokio::spawn(Arc::clone(&door).meet(acceptor.clone(), accepted, stranger));
            }
        }
    }
}

/// Serves connections until told to stop.
async fn grpc(
    routes: Routes,
    streams: u32,
    connections: Receiver,
    shutdown: CancellationToken,
) -> Result<(), tonic::transport::Error> {
    Server::builder()
        .max_concurrent_streams(streams)
        .http2_keepalive_interval(Some(KEEP_ALIVE))
        .initial_stream_window_size(256 * 1024)
        .initial_connection_window_size(1024 * 1024)
        .add_routes(routes)
        .serve_with_incoming_shutdown(ReceiverStream::new(connections), shutdown.cancelled_owned())
        .await
}

impl Door {
    /// A connection from its first byte until it is known, or gone.
    async fn meet(self: Arc<Self>, acceptor: TlsAcceptor, accepted: Accepted, stranger: Stranger) {
        let Accepted { mut stream, peer, .. } = accepted;
        let source = tokio::select! {
            source = self.proxies.source(&mut stream, peer) => source,
            why = stranger.turned_out() => return tracing::debug!(?why, "turned out a stranger"),
        };
        let Ok(source) = source else { return };
        let is_passed_on = source != peer;
        let stranger = if is_passed_on {
            drop(stranger);
            self.gate.enter(source.ip())
        } else {
            stranger
        };
        let Some(place) = self.connections.admit(source.ip()) else {
            tracing::warn!(%source, "too many connections from one client; raise connection_limits.max_connections if that is wanted");
            return;
        };
        let (stream, knife) = Severable::new(stream);
        let handing_on = async {
            let gone = CancellationToken::new();
            let handshake = handshake(acceptor, stream, source, (place, gone.clone().drop_guard()));
            let mut connection = handshake.await?;
            let is_proxy = matches!(&connection.peer.identity, Some(Identity::Host(host)) if host.role == SystemRole::Proxy);
            if is_proxy && !is_passed_on {
                connection.proxy = Some(self.proxies.enter(peer.ip()));
            }
            let expires = connection.peer.shown.map(|shown| shown.expires);
            // A closed queue means the server stops.
            self.doors.of(&connection.peer).send(Ok(connection)).await.ok()?;
            Some(Handed { expires, gone, knife })
        };
        let handed = tokio::select! {
            handed = handing_on => handed,
            why = stranger.turned_out() => return tracing::debug!(?why, "turned out a stranger"),
        };
        let Some(handed) = handed else { return };
        handed.watch(stranger, &self.clock).await;
    }
}

impl Handed {
    /// Turns a stranger out in time, and a member when its certificate expires.
    async fn watch(self, stranger: Stranger, clock: &Arc<dyn Clock>) {
        let Self { expires, gone, knife } = self;
        if let Some(expires) = expires {
            // Apart, for this one holds on to all that a handshake needs.
            tokio::spawn(end_at(expires, Arc::clone(clock), gone, knife));
            return;
        }
        tokio::select! {
            () = gone.cancelled() => {}
            why = stranger.turned_out() => {
                tracing::debug!(?why, "turned out a stranger");
                knife.cut();
            }
        }
    }
}

/// Ends a connection, and every watch on it, when the certificate shown on it expires. A member that
/// was renewed meanwhile comes back at once, with the certificate it has now.
async fn end_at(expires: Timestamp, clock: Arc<dyn Clock>, gone: CancellationToken, knife: Knife) {
    tokio::select! {
        () = gone.cancelled() => {}
        () = reached(expires, &*clock) => {
            tracing::debug!("a certificate expired, and its connection ends");
            knife.cut();
        }
    }
}

/// Waits for a time of day. It is looked at now and again, for clocks are set and machines sleep.
async fn reached(then: Timestamp, clock: &dyn Clock) {
    loop {
        let left = Duration::try_from(then.duration_since(clock.now())).unwrap_or_default();
        if left.is_zero() {
            return;
        }
        tokio::time::sleep(left.min(GLANCE)).await;
    }
}

async fn handshake(
    acceptor: TlsAcceptor,
    stream: Severable<TcpStream>,
    peer: SocketAddr,
    (place, gone): (Admitted, DropGuard),
) -> Option<Connection> {
    let stream = match acceptor.accept(stream).await {
        Ok(stream) => stream,
        Err(error) => {
            tracing::debug!(%peer, %error, "TLS handshake failed");
            return None;
        }
    };
    let chain = stream.get_ref().1.peer_certificates();
    let shown = chain.and_then(<[_]>::first).map(|der| Shown::read(der)).transpose();
    match net::tls::peer_identity(chain).and_then(|identity| Ok((identity, shown?))) {
        Ok((identity, shown)) => {
            let peer = Peer { address: peer, identity, shown };
            Some(Connection { stream, peer, proxy: None, _place: place, _gone: gone })
        }
        Err(error) => {
            tracing::warn!(%peer, %error, "refused a certificate that names nobody");
            None
        }
    }
}

impl Connected for Connection {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        self.peer.clone()
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use fake::FakeClock;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_connection_ends_with_its_certificate_even_when_the_clock_is_set() {
        let clock = FakeClock::new();
        let (_stream, knife) = Severable::new(());
        let expires = clock.after(Duration::from_secs(30 * 86_400));
        let ending = end_at(expires, Arc::new(clock.clone()), CancellationToken::new(), knife.clone());
        tokio::spawn(ending);
        clock.advance(Duration::from_secs(30 * 86_400 - 1));
        tokio::time::sleep(GLANCE).await;
        assert!(!knife.has_cut(), "a second is left");
        clock.advance(Duration::from_secs(1));
        tokio::time::sleep(GLANCE).await;
        assert!(knife.has_cut());
    }
}
