//! The agent's end of links: one per proxy address, kept for as long as the process lives.

use std::sync::Arc;
use std::time::Duration;

use certs::bundle::Bundle;
use domain::backoff::Backoff;
use domain::identity::SystemRole;
use net::tls::ServerTrust;
use port::random::Random;
use port::stream::Serve;
use russh::client::Handle;
use ssh::ServerSettings;
use ssh::host::HostCheck;
use tokio::sync::watch;
use tokio_rustls::TlsConnector;
use tokio_util::sync::CancellationToken;

use crate::error::TunnelError;
use crate::metrics::Metrics;
use crate::settings::AgentSettings;

mod handler;

use handler::AgentHandler;

/// How long connecting, TLS and signing in may take together.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(20);
/// What is looked for, in what is said of something else.
const WANTED: &str = "a proxy of this cluster; is that its web port?";
/// The first wait after a link was lost.
const RETRY_FIRST: Duration = Duration::from_millis(500);
/// A link that lived this long was a success: the next wait is a short one again.
const LIVED: Duration = Duration::from_secs(30);

/// How the links stand.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Links {
    /// Links that are up.
    pub up: usize,
    /// Links that are wanted.
    pub wanted: usize,
    /// Why the last one failed.
    pub last_failure: Option<String>,
}

/// What the agent needs from outside.
pub struct AgentDeps {
    /// This host's identity, as it is renewed.
    pub identity: watch::Receiver<Arc<Bundle>>,
    /// How proxies are checked.
    pub check: HostCheck,
    /// Takes the connections of users.
    pub service: Arc<dyn Serve>,
    /// For jitter.
    pub random: Arc<dyn Random>,
    /// Counters.
    pub metrics: Metrics,
}

/// Keeps links.
pub struct Agent {
    settings: AgentSettings,
    deps: AgentDeps,
    links: watch::Sender<Links>,
}

impl Agent {
    /// An agent for these proxies.
    pub fn new(settings: AgentSettings, deps: AgentDeps) -> Arc<Self> {
        let links = Links { wanted: settings.proxies.len(), ..Links::default() };
        Arc::new(Self { settings, deps, links: watch::Sender::new(links) })
    }

    /// How the links stand, and when that changes.
    pub fn links(&self) -> watch::Receiver<Links> {
        self.links.subscribe()
    }

    /// Keeps the links until told to stop.
    pub async fn run(self: Arc<Self>, shutdown: CancellationToken) {
        let mut keeping = tokio::task::JoinSet::new();
        for proxy in self.settings.proxies.clone() {
            keeping.spawn(Arc::clone(&self).keep(proxy));
        }
        shutdown.cancelled().await;
        keeping.shutdown().await;
    }

    async fn keep(self: Arc<Self>, proxy: String) {
        let mut backoff = Backoff::new(RETRY_FIRST, self.settings.retry_max);
        loop {
            let started = tokio::time::Instant::now();
            let reason = match self.link(&proxy).await {
                Ok(()) => format!("the proxy at {proxy} closed the link"),
                Err(error) => ssh::refuse::chain(&error),
            };
            if started.elapsed() >= LIVED {
                backoff.succeeded();
            }
            let wait = backoff.failed(self.deps.random.uniform());
            tracing::warn!(%proxy, %reason, retry_in = ?wait, "no link to the proxy");
            self.links.send_modify(|links| links.last_failure = Some(reason));
            tokio::time::sleep(wait).await;
        }
    }

    /// One link, from connecting to its end.
    async fn link(&self, proxy: &str) -> Result<(), TunnelError> {
        let connecting = tokio::time::timeout(CONNECT_TIMEOUT, self.connect(proxy));
        let handle = connecting.await.map_err(|_| TunnelError::Timeout { proxy: proxy.to_owned() })??;
        tracing::info!(%proxy, "link up");
        self.deps.metrics.reconnects.inc();
        let _up = Up::mark(&self.links);
        handle.await.map_err(|error| named(error, proxy))
    }

    async fn connect(&self, proxy: &str) -> Result<Handle<AgentHandler>, TunnelError> {
        let bundle = Arc::clone(&self.deps.identity.borrow());
        let stream = net::dial(proxy).await?;
        let local = stream.local_addr().unwrap_or_else(|_| std::net::SocketAddr::from(([0, 0, 0, 0], 0)));
        let trust = ServerTrust::Cluster(bundle.authorities.clone());
        let tls = TlsConnector::from(net::tls::client(&trust, Some(&bundle), net::alpn::TUNNEL)?);
        let stream = tls.connect(net::tls::role_name(SystemRole::Proxy)?, stream).await.map_err(|error| {
            TunnelError::Tls { proxy: proxy.to_owned(), reason: net::tls::why(&error, WANTED, true) }
        })?;
        let link = &self.settings.link;
        let settings = ServerSettings { algorithms: link.algorithms.clone(), keep_alive: link.keep_alive };
        let handler = AgentHandler::new(self.deps.check.clone(), Arc::clone(&self.deps.service), local);
        let mut handle = russh::client::connect_stream(ssh::client_config(&settings), stream, handler)
            .await
            .map_err(|error| named(error, proxy))?;
        self.sign_in(&mut handle, &bundle, proxy).await?;
        Ok(handle)
    }

    async fn sign_in(
        &self,
        handle: &mut Handle<AgentHandler>,
        bundle: &Bundle,
        proxy: &str,
    ) -> Result<(), TunnelError> {
        let key = Arc::new(bundle.keys.ssh.clone());
        let user = bundle.identity.host_id.to_string();
        let answer = handle
            .authenticate_openssh_cert(user, key, bundle.ssh_certificate.clone())
            .await
            .map_err(|source| TunnelError::Link { proxy: proxy.to_owned(), source })?;
        if answer.success() { Ok(()) } else { Err(TunnelError::Refused { proxy: proxy.to_owned() }) }
    }
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

/// A link that is up, for as long as this lives.
struct Up(watch::Sender<Links>);

impl Up {
    fn mark(links: &watch::Sender<Links>) -> Self {
        links.send_modify(|links| links.up += 1);
        Self(links.clone())
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        self.0.send_modify(|links| links.up -= 1);
    }
}
