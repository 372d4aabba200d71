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

use domain::identity::{Identity, SystemRole};
use net::gate::{Gate, Stranger};
use net::listen::{Accepted, Admitted};
use net::severable::{Knife, Severable};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::transport::Server;
use tonic::transport::server::Connected;

use crate::error::AuthError;
use crate::service::AuthService;

/// How many finished handshakes may wait to be served.
const QUEUE: usize = 64;
/// How often the own certificate is made anew, a seventh of its life.
const RENEWAL: Duration = Duration::from_secs(86_400);
/// Calls at once on one connection.
const STREAMS: u32 = 1000;
/// How often an idle connection is asked whether it lives.
const KEEP_ALIVE: Duration = Duration::from_secs(60);

/// Who is at the other end of a connection.
#[derive(Debug, Clone)]
pub(crate) struct Peer {
    pub(crate) address: SocketAddr,
    pub(crate) identity: Option<Identity>,
}

/// A connection past its handshake.
pub(crate) struct Connection {
    stream: TlsStream<Severable<TcpStream>>,
    peer: Peer,
    _place: Admitted,
    _gone: DropGuard,
}

/// What remains to be watched of a connection that was handed on.
struct Handed {
    is_stranger: bool,
    gone: CancellationToken,
    knife: Knife,
}

impl AuthService {
    pub(crate) async fn serve(self: Arc<Self>, shutdown: CancellationToken) -> Result<(), AuthError> {
        let (sender, receiver) = mpsc::channel(QUEUE);
        let grpc = Server::builder()
            .max_concurrent_streams(STREAMS)
            .http2_keepalive_interval(Some(KEEP_ALIVE))
            .initial_stream_window_size(256 * 1024)
            .initial_connection_window_size(1024 * 1024)
            .add_routes(crate::rpc::routes(&self))
            .serve_with_incoming_shutdown(ReceiverStream::new(receiver), shutdown.clone().cancelled_owned());
        tokio::select! {
            accepted = self.accept(sender) => accepted,
            served = grpc => served.map_err(|error| AuthError::Invalid(format!("gRPC stopped: {error}"))),
        }
    }

    async fn accept(
        &self,
        sender: mpsc::Sender<Result<Connection, std::io::Error>>,
    ) -> Result<(), AuthError> {
        let gate = Gate::new();
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
                let stranger = gate.enter(accepted.peer.ip());
                tokio::spawn(meet(acceptor.clone(), accepted, stranger, sender.clone()));
            }
        }
    }
}

/// A connection from its first byte until it is known, or gone.
async fn meet(
    acceptor: TlsAcceptor,
    accepted: Accepted,
    stranger: Stranger,
    sender: mpsc::Sender<Result<Connection, std::io::Error>>,
) {
    let (stream, knife) = Severable::new(accepted.stream);
    let handing_on = async {
        let (peer, place) = (accepted.peer, accepted.place);
        let gone = CancellationToken::new();
        let connection = handshake(acceptor, stream, peer, (place, gone.clone().drop_guard())).await?;
        let is_stranger = connection.peer.identity.is_none();
        // A closed queue means the server stops.
        sender.send(Ok(connection)).await.ok()?;
        Some(Handed { is_stranger, gone, knife })
    };
    let handed = tokio::select! {
        handed = handing_on => handed,
        why = stranger.turned_out() => return tracing::debug!(?why, "turned out a stranger"),
    };
    let Some(Handed { gone, knife, .. }) = handed.filter(|handed| handed.is_stranger) else { return };
    tokio::select! {
        () = gone.cancelled() => {}
        why = stranger.turned_out() => {
            tracing::debug!(?why, "turned out a stranger");
            knife.cut();
        }
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
    match net::tls::peer_identity(stream.get_ref().1.peer_certificates()) {
        Ok(identity) => {
            let peer = Peer { address: peer, identity };
            Some(Connection { stream, peer, _place: place, _gone: gone })
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
