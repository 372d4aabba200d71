//! The proxy's end of links.

use std::net::SocketAddr;
use std::sync::Arc;

use async_trait::async_trait;
use certs::bundle::Bundle;
use domain::identity::SystemRole;
use domain::name::HostId;
use net::gate::{Gate, Stranger};
use net::listen::{Accepted, Listener};
use net::renewed::Renewed;
use net::stall::StallGuard;
use port::stream::{BoxedStream, Origin, Serve};
use russh::keys::Certificate;
use russh::server::{Auth, Config, Handle, Session};
use ssh::ServerSettings;
use ssh::host::HostCheck;
use ssh::serve::{End, Known, LINK_AHEAD, serve};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::STALL;
use crate::registry::{Registered, Registry};
use crate::settings::LinkSettings;

/// Accepts links.
pub struct LinkServer {
    check: HostCheck,
    registry: Arc<Registry>,
    settings: ServerSettings,
    config: Renewed<Arc<Config>>,
    gate: Arc<Gate>,
}

impl LinkServer {
    /// A server that proves itself with `identity` (the proxy's, as it is renewed) and registers
    /// links in `registry`.
    pub fn new(
        settings: LinkSettings,
        check: HostCheck,
        registry: Arc<Registry>,
        identity: watch::Receiver<Arc<Bundle>>,
    ) -> Arc<Self> {
        let settings = ServerSettings { algorithms: settings.algorithms, keep_alive: settings.keep_alive };
        Arc::new(Self { check, registry, settings, config: Renewed::new(identity), gate: Gate::new() })
    }

    /// Serves a listener until told to stop; links end with it.
    pub async fn listen(self: Arc<Self>, listener: Listener, shutdown: CancellationToken) {
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = shutdown.cancelled() => return,
            };
            // Here, so that the oldest is the one that came first.
            let stranger = self.gate.enter(accepted.peer.ip());
            let (server, shutdown) = (Arc::clone(&self), shutdown.clone());
            tokio::spawn(async move {
                let Accepted { stream, peer, place, .. } = accepted;
                tokio::select! {
                    () = server.link(Box::new(stream), peer, stranger) => {}
                    () = shutdown.cancelled() => {}
                }
                drop(place);
            });
        }
    }

    fn config(&self) -> Arc<Config> {
        self.config.now(|bundle| ssh::tunnel_server_config(bundle, &self.settings))
    }

    async fn link(&self, stream: BoxedStream, peer: SocketAddr, stranger: Stranger) {
        let (known, cut) = (Known::default(), CancellationToken::new());
        let handler = LinkHandler {
            check: self.check.clone(),
            registry: Arc::clone(&self.registry),
            known: known.clone(),
            cut: cut.clone(),
            peer,
            admitted: None,
            registered: None,
        };
        // Whoever takes nothing for so long has gone, and whoever dials over the link waits for it.
        let stream = StallGuard::new(stream, STALL);
        let serving = serve(self.config(), stream, handler, stranger, known, LINK_AHEAD);
        let Some(end) = cut.run_until_cancelled(serving).await else { return };
        match end {
            End::Closed => tracing::debug!(%peer, "link closed"),
            End::TurnedOut(why) => tracing::debug!(%peer, ?why, "turned out a stranger on the tunnel port"),
            End::Failed(error) => tracing::debug!(%peer, %error, "link failed"),
        }
    }
}

#[async_trait]
impl Serve for LinkServer {
    async fn serve(&self, stream: BoxedStream, origin: Origin) {
        self.link(stream, origin.peer, self.gate.enter(origin.peer.ip())).await;
    }
}

/// One link. Everything but signing in with a host certificate keeps russh's default, which for
/// channels and requests *from* the peer is to refuse; what it does not refuse is refused here.
struct LinkHandler {
    check: HostCheck,
    registry: Arc<Registry>,
    known: Known,
    cut: CancellationToken,
    peer: SocketAddr,
    admitted: Option<HostId>,
    registered: Option<Registered>,
}

impl LinkHandler {
    fn register(&mut self, handle: Handle) {
        if let Some(host) = self.admitted {
            self.registered = Some(self.registry.add(host, handle, self.cut.clone()));
            tracing::info!(%host, peer = %self.peer, "link up");
        }
    }
}

impl russh::server::Handler for LinkHandler {
    type Error = russh::Error;

    async fn auth_publickey(
        &mut self,
        _user: &str,
        _key: russh::server::VerifiedPublicKey<'_>,
    ) -> Result<Auth, Self::Error> {
        Ok(Auth::reject())
    }

    async fn auth_openssh_certificate(
        &mut self,
        user: &str,
        certificate: &Certificate,
    ) -> Result<Auth, Self::Error> {
        match self.check.admit(certificate, SystemRole::Node) {
            Ok(facts) if facts.host_id.to_string() == user => {
                self.admitted = Some(facts.host_id);
                Ok(Auth::Accept)
            }
            Ok(_) => Ok(Auth::reject()),
            Err(error) => {
                tracing::warn!(peer = %self.peer, %error, "refused a link");
                Ok(Auth::reject())
            }
        }
    }

    async fn auth_succeeded(&mut self, session: &mut Session) -> Result<(), Self::Error> {
        self.known.mark();
        self.register(session.handle());
        Ok(())
    }

    async fn tcpip_forward(
        &mut self,
        _address: &str,
        _port: &mut u32,
        _session: &mut Session,
    ) -> Result<bool, Self::Error> {
        Ok(false)
    }

    async fn streamlocal_forward(
        &mut self,
        _path: &str,
        _session: &mut Session,
    ) -> Result<bool, Self::Error> {
        Ok(false)
    }
}

impl Drop for LinkHandler {
    fn drop(&mut self) {
        if let (Some(host), Some(_)) = (self.admitted, self.registered.take()) {
            tracing::info!(%host, peer = %self.peer, "link down");
        }
    }
}
