//! Wiring: a listener, and for every connection the question what it is for.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use certs::bundle::Bundle;
use net::gate::{Gate, Stranger};
use net::hello::{self, Rewound};
use net::listen::{Accepted, Listener};
use net::renewed::Renewed;
use net::tls::WebCertificates;
use port::stream::{BoxedStream, Origin, Serve};
use rustls::ServerConfig;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use crate::error::WebError;
use crate::metrics::{Metrics, Purpose};
use crate::passthrough::Turn;
use crate::settings::Settings;

/// What the service needs from outside.
pub struct Deps {
    /// The proxy's identity, as it is renewed.
    pub identity: watch::Receiver<Arc<Bundle>>,
    /// Takes the links of agents.
    pub links: Arc<dyn Serve>,
    /// For browsers; whoever has them may replace them.
    pub certificates: Arc<WebCertificates>,
    /// Counters.
    pub metrics: Metrics,
}

/// The web port.
pub struct WebService {
    pub(crate) settings: Arc<Settings>,
    deps: Deps,
    router: Router,
    browsers: Arc<ServerConfig>,
    agents: Renewed<Arc<ServerConfig>>,
    gate: Arc<Gate>,
    pub(crate) turn: Turn,
}

impl WebService {
    /// A web port that is ready to serve.
    pub fn new(settings: Settings, deps: Deps) -> Arc<Self> {
        let browsers = net::tls::web_server(Arc::clone(&deps.certificates));
        let settings = Arc::new(settings);
        let router = crate::webapi::router(Arc::clone(&settings));
        let (agents, gate, turn) = (Renewed::new(deps.identity.clone()), Gate::new(), Turn::default());
        Arc::new(Self { settings, deps, router, browsers, agents, gate, turn })
    }

    /// Serves a listener until told to stop; connections end with it.
    pub async fn run(self: Arc<Self>, listener: Listener, shutdown: CancellationToken) {
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = shutdown.cancelled() => return,
            };
            // Here, so that the oldest is the one that came first.
            let stranger = self.gate.enter(accepted.peer.ip());
            let (service, shutdown) = (Arc::clone(&self), shutdown.clone());
            tokio::spawn(async move {
                let ended = shutdown.clone();
                tokio::select! {
                    () = service.connection(accepted, stranger, shutdown) => {}
                    () = ended.cancelled() => {}
                }
            });
        }
    }

    async fn connection(&self, accepted: Accepted, stranger: Stranger, shutdown: CancellationToken) {
        let Accepted { mut stream, peer, local, place } = accepted;
        // Another proxy may take this one for the auth server. What it says of its callers is not
        // believed here.
        let is_sound = tokio::select! {
            told = net::preface::read(&mut stream) => told.is_ok(),
            _ = stranger.turned_out() => false,
        };
        if !is_sound {
            return;
        }
        match starts_like_tls(&stream, &stranger).await {
            Some(true) => {}
            // What most connections are not is boxed, so that links do not carry its size for days.
            Some(false) => return Box::pin(self.without_tls(stream, stranger, shutdown)).await,
            None => return,
        }
        let greeting = tokio::select! {
            greeting = Box::pin(hello::read(stream)) => greeting,
            _ = stranger.turned_out() => return,
        };
        let (hello, stream) = match greeting {
            Ok(greeting) => greeting,
            Err(error) => {
                self.deps.metrics.count(Purpose::Garbage);
                tracing::debug!(%peer, %error, "no TLS greeting");
                return;
            }
        };
        if hello.offers(net::alpn::AUTH) {
            self.deps.metrics.count(Purpose::Auth);
            drop(stranger);
            let (first, stream) = stream.into_parts();
            self.pass_on(first, stream, (peer, local)).await;
        } else if hello.offers(net::alpn::TUNNEL) {
            self.deps.metrics.count(Purpose::Tunnel);
            if let Some(stream) = Box::pin(self.greet_agent(stream, stranger, peer)).await {
                self.deps.links.serve(stream, Origin { peer, local, tunnelled: false }).await;
            }
        } else {
            self.deps.metrics.count(Purpose::Https);
            Box::pin(self.https(stream, stranger, peer, shutdown)).await;
        }
        drop(place);
    }

    async fn https(
        &self,
        stream: Rewound<TcpStream>,
        stranger: Stranger,
        peer: SocketAddr,
        shutdown: CancellationToken,
    ) {
        let handshake = TlsAcceptor::from(Arc::clone(&self.browsers)).accept(stream);
        let outcome = tokio::select! {
            outcome = handshake => outcome,
            _ = stranger.turned_out() => return,
        };
        match outcome {
            Ok(stream) => crate::http::serve(stream, self.router.clone(), stranger, shutdown).await,
            Err(error) => tracing::debug!(%peer, %error, "TLS handshake failed"),
        }
    }

    /// The TLS handshake with an agent. The link server is a door of its own, with its own room for
    /// strangers.
    async fn greet_agent(
        &self,
        stream: Rewound<TcpStream>,
        stranger: Stranger,
        peer: SocketAddr,
    ) -> Option<BoxedStream> {
        let config = self.agent_config().inspect_err(|error| tracing::error!(%error, "cannot serve agents"));
        let outcome = tokio::select! {
            outcome = TlsAcceptor::from(config.ok()?).accept(stream) => outcome,
            _ = stranger.turned_out() => return None,
        };
        match outcome {
            Ok(stream) => Some(Box::new(stream)),
            Err(error) => {
                tracing::debug!(%peer, %error, "TLS handshake of an agent failed");
                None
            }
        }
    }

    fn agent_config(&self) -> Result<Arc<ServerConfig>, WebError> {
        self.agents.get(|bundle| Ok(net::tls::server(bundle, &[net::alpn::TUNNEL])?))
    }

    /// Plain HTTP where it is wanted; elsewhere an answer a person can read.
    async fn without_tls(&self, mut stream: TcpStream, stranger: Stranger, shutdown: CancellationToken) {
        if self.settings.plain_http {
            self.deps.metrics.count(Purpose::PlainHttp);
            crate::http::serve(stream, self.router.clone(), stranger, shutdown).await;
            return;
        }
        self.deps.metrics.count(Purpose::Garbage);
        if looks_like_http(&stream).await {
            let _ = stream.write_all(crate::http::WANTS_TLS).await;
            let _ = stream.shutdown().await;
        }
    }
}

/// Whether the first byte is that of a TLS record holding a handshake; none when the client says
/// nothing until it is turned out.
async fn starts_like_tls(stream: &TcpStream, stranger: &Stranger) -> Option<bool> {
    let mut first = [0; 1];
    tokio::select! {
        peeked = stream.peek(&mut first) => Some(matches!(peeked, Ok(1)) && first == [0x16]),
        _ = stranger.turned_out() => None,
    }
}

/// Looks at what is there already: a client that speaks HTTP sends its request in one piece.
async fn looks_like_http(stream: &TcpStream) -> bool {
    let mut first = [0; 4];
    let peeked = stream.peek(&mut first).await;
    peeked.is_ok() && [b"GET ", b"HEAD", b"POST", b"PUT ", b"OPTI"].contains(&&first)
}

#[cfg(test)]
mod tests;
