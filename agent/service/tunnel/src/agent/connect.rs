//! One link: from connecting to its end.

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
use super::held::Holding;
use super::keep::Keeper;
use crate::error::TunnelError;

/// How long connecting, TLS and signing in may take together.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(20);
/// What is looked for, in what is said of something else.
const WANTED: &str = "a proxy of this cluster; is that its web port?";

/// Why a link that could be made is no more, or is not.
pub(super) enum Ended {
    /// The proxy closed it.
    Closed,
    /// The address leads to this proxy, which has a link already or is not the one that is wanted.
    Another(HostId),
}

/// A link that has been made, or who is there.
type Connected = Result<(Handle<AgentHandler>, Holding), HostId>;

impl Keeper {
    /// One link, to whatever proxy is there or to this one, until it ends.
    ///
    /// # Errors
    /// [`TunnelError`] when it cannot be made, or breaks.
    pub(super) async fn link(&self, address: &str, wanted: Option<HostId>) -> Result<Ended, TunnelError> {
        let connecting = tokio::time::timeout(CONNECT_TIMEOUT, self.connect(address, wanted));
        let late = |_| TunnelError::Timeout { proxy: address.to_owned() };
        let (handle, _holding) = match connecting.await.map_err(late)?? {
            Ok(connected) => connected,
            Err(another) => return Ok(Ended::Another(another)),
        };
        tracing::info!(proxy = address, "link up");
        self.agent.deps.metrics.reconnects.inc();
        let _up = self.up();
        handle.await.map_err(|error| named(error, address))?;
        Ok(Ended::Closed)
    }

    async fn connect(&self, address: &str, wanted: Option<HostId>) -> Result<Connected, TunnelError> {
        let Agent { settings, deps, held, .. } = &*self.agent;
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
        let is_wanted = wanted.is_none_or(|wanted| wanted == proxy);
        let Some(holding) = is_wanted.then(|| held.take(self.number, proxy)).flatten() else {
            return Ok(Err(proxy));
        };
        sign_in(&mut handle, &bundle, address).await?;
        Ok(Ok((handle, holding)))
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
