//! Making a link, to its end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use certs::bundle::Bundle;
use domain::identity::SystemRole;
use domain::name::HostId;
use net::read_ahead::{Allowance, ReadAhead};
use net::severable::{Knife, Severable};
use net::stall::StallGuard;
use net::tls::ServerTrust;
use russh::client::Handle;
use ssh::ServerSettings;
use ssh::host::HostCheck;
use ssh::serve::LINK_AHEAD;
use tokio_rustls::TlsConnector;

use super::Agent;
use super::handler::{Admitted, AgentHandler, Shown};
use super::held::{Holding, Kept};
use super::links::Up;
use crate::STALL;
use crate::error::TunnelError;

/// How long connecting, TLS and signing in may take together.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(20);
/// What is looked for, in what is said of something else.
const WANTED: &str = "a proxy of this cluster at its web port";

/// Who is where an address leads.
pub(super) enum Reached {
    /// A proxy that had no link, and has one now.
    Link(Box<Link>),
    /// This proxy, which has one already.
    Taken(HostId),
}

/// A link that is up.
pub(super) struct Link {
    /// To whom.
    pub(super) proxy: HostId,
    /// Of the certificate it showed.
    serial: u64,
    address: String,
    handle: Handle<AgentHandler>,
    shown: Arc<Shown>,
    check: HostCheck,
    _holding: Holding,
    _up: Up,
    _cut: CutOnDrop,
}

/// Ends a connection that is not wanted any more, whatever russh waits for on it: before keys are agreed that is the
/// other end, for as long as it pleases.
struct CutOnDrop(Knife);

impl Drop for CutOnDrop {
    fn drop(&mut self) {
        self.0.cut();
    }
}

impl Link {
    /// Returns when it ends, and why.
    pub(super) async fn ended(self) -> String {
        let ended = tokio::select! {
            ended = self.handle => ended,
            // What goes through it is in the hands of whoever has the proxy.
            reason = self.check.locked(self.proxy, self.serial) => {
                return format!("the link to the proxy at {} was cut: {reason}", self.address);
            }
        };
        match ended {
            Ok(()) => format!("the proxy at {} closed the link", self.address),
            Err(error) => ssh::refuse::chain(&named(error, &self.address, &self.shown)),
        }
    }
}

impl Agent {
    /// Makes a link to whatever proxy is there, if that has none.
    ///
    /// # Errors
    /// [`TunnelError`] when it cannot be made.
    pub(super) async fn link(&self, address: &str, kept: Kept) -> Result<Reached, TunnelError> {
        let connecting = tokio::time::timeout(CONNECT_TIMEOUT, self.connect(address, kept));
        let late = |_| TunnelError::Timeout { proxy: address.to_owned() };
        let reached = connecting.await.map_err(late)??;
        if let Reached::Link(link) = &reached {
            tracing::info!(proxy = address, host = %link.proxy, "link up");
            self.deps.metrics.reconnects.inc();
        }
        Ok(reached)
    }

    async fn connect(&self, address: &str, kept: Kept) -> Result<Reached, TunnelError> {
        let Self { settings, deps, held, .. } = self;
        let bundle = Arc::clone(&deps.identity.borrow());
        let stream = net::dial(address).await?;
        let local = stream.local_addr().unwrap_or_else(|_| SocketAddr::from(([0, 0, 0, 0], 0)));
        let trust = ServerTrust::Cluster(bundle.authorities.clone());
        let tls = TlsConnector::from(net::tls::client(&trust, Some(&bundle), net::alpn::TUNNEL)?);
        let stream = tls.connect(net::tls::role_name(SystemRole::Proxy)?, stream).await.map_err(|error| {
            TunnelError::Tls { proxy: address.to_owned(), reason: net::tls::why(&error, WANTED, true) }
        })?;
        let ssh = ServerSettings {
            algorithms: settings.link.algorithms.clone(),
            keep_alive: settings.link.keep_alive,
        };
        let shown = Arc::new(Shown::new());
        let handler =
            AgentHandler::new(deps.check.clone(), Arc::clone(&deps.service), local, Arc::clone(&shown));
        let stream = ReadAhead::new(StallGuard::new(stream, STALL), Allowance::of(LINK_AHEAD));
        let (stream, knife) = Severable::new(stream);
        let cut = CutOnDrop(knife);
        let mut handle = russh::client::connect_stream(ssh::client_config(&ssh), stream, handler)
            .await
            .map_err(|error| named(error, address, &shown))?;
        // Before signing in, so that the proxy never registers a link that ends at once.
        let Some(Ok(Admitted { proxy, serial, .. })) = shown.get() else {
            return Err(refused(address, &shown));
        };
        let (proxy, serial) = (*proxy, *serial);
        let Some(holding) = held.take(proxy, kept) else { return Ok(Reached::Taken(proxy)) };
        sign_in(&mut handle, &bundle, address).await?;
        holding.mark_up();
        let up = Up::mark(&self.links, kept);
        let address = address.to_owned();
        let check = deps.check.clone();
        Ok(Reached::Link(Box::new(Link {
            proxy,
            serial,
            address,
            handle,
            shown,
            check,
            _holding: holding,
            _up: up,
            _cut: cut,
        })))
    }
}

async fn sign_in(handle: &mut Handle<AgentHandler>, bundle: &Bundle, proxy: &str) -> Result<(), TunnelError> {
    let key = Arc::new(bundle.keys.ssh.clone());
    let user = bundle.identity.host_id.to_string();
    let answer = handle
        .authenticate_openssh_cert(user, key, bundle.ssh_certificate.clone())
        .await
        .map_err(|source| TunnelError::Link { proxy: proxy.to_owned(), source })?;
    match answer.success() {
        true => Ok(()),
        // russh makes no difference between "no" and no answer.
        false if handle.is_closed() => {
            Err(TunnelError::Link { proxy: proxy.to_owned(), source: russh::Error::Disconnect })
        }
        false => Err(TunnelError::Refused { proxy: proxy.to_owned() }),
    }
}

/// The error with what russh does not know: the proxy's address, and why it is refused.
fn named(error: TunnelError, proxy: &str, shown: &Shown) -> TunnelError {
    match error {
        TunnelError::Link { source: russh::Error::UnknownKey, .. } => refused(proxy, shown),
        TunnelError::Link { source, .. } => TunnelError::Link { proxy: proxy.to_owned(), source },
        other => other,
    }
}

fn refused(proxy: &str, shown: &Shown) -> TunnelError {
    let reason = match shown.get() {
        Some(Err(reason)) => reason.clone(),
        // It was good when the link was made.
        _ => "the certificate it shows by now is another host's, or not good any more".to_owned(),
    };
    TunnelError::Proxy { proxy: proxy.to_owned(), reason }
}
