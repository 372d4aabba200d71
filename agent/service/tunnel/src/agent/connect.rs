//! Making a link, to its end.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use certs::bundle::Bundle;
use domain::identity::SystemRole;
use domain::name::HostId;
use net::tls::ServerTrust;
use russh::client::Handle;
use ssh::ServerSettings;
use tokio_rustls::TlsConnector;

use super::Agent;
use super::handler::AgentHandler;
use super::held::{Holding, Kept};
use super::keep::Up;
use crate::error::TunnelError;

/// How long connecting, TLS and signing in may take together.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(20);
/// What is looked for, in what is said of something else.
const WANTED: &str = "a proxy of this cluster; is that its web port?";

/// Who is where an address leads.
pub(super) enum Reached {
    /// A proxy that had no link, and has one now.
    Link(Link),
    /// This proxy, which has one already.
    Taken(HostId),
}

/// A link that is up.
pub(super) struct Link {
    /// To whom.
    pub(super) proxy: HostId,
    address: String,
    handle: Handle<AgentHandler>,
    _holding: Holding,
    _up: Up,
}

impl Link {
    /// Returns when it ends, and why.
    pub(super) async fn ended(self) -> String {
        match self.handle.await {
            Ok(()) => format!("the proxy at {} closed the link", self.address),
            Err(error) => ssh::refuse::chain(&named(error, &self.address)),
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
        let there = Arc::new(OnceLock::new());
        let handler =
            AgentHandler::new(deps.check.clone(), Arc::clone(&deps.service), local, Arc::clone(&there));
        let mut handle = russh::client::connect_stream(ssh::client_config(&ssh), stream, handler)
            .await
            .map_err(|error| named(error, address))?;
        // Before signing in, so that the proxy never registers a link that ends at once.
        let proxy = there.get().copied().ok_or_else(|| TunnelError::Proxy { proxy: address.to_owned() })?;
        let Some(holding) = held.take(proxy, kept) else { return Ok(Reached::Taken(proxy)) };
        sign_in(&mut handle, &bundle, address).await?;
        holding.mark_up();
        let up = Up::mark(&self.links, kept);
        Ok(Reached::Link(Link { proxy, address: address.to_owned(), handle, _holding: holding, _up: up }))
    }
}

async fn sign_in(handle: &mut Handle<AgentHandler>, bundle: &Bundle, proxy: &str) -> Result<(), TunnelError> {
    let key = Arc::new(bundle.keys.ssh.clone());
    let user = bundle.identity.host_id.to_string();
    let answer = handle
        .authenticate_openssh_cert(user, key, bundle.ssh_certificate.clone())
        .await
        .map_err(|source| TunnelError::Link { proxy: proxy.to_owned(), source })?;
    if answer.success() { Ok(()) } else { Err(TunnelError::Refused { proxy: proxy.to_owned() }) }
}

/// The error with the proxy's address, which russh does not know.
fn named(error: TunnelError, proxy: &str) -> TunnelError {
    match error {
        TunnelError::Link { source: russh::Error::UnknownKey, .. } => {
            TunnelError::Proxy { proxy: proxy.to_owned() }
        }
        TunnelError::Link { source, .. } => TunnelError::Link { proxy: proxy.to_owned(), source },
        other => other,
    }
}
