//! Starting a process and stopping it.
//!
//! Order of starting: data folder, ports, auth, membership, proxy, node, diagnostics. Order of
//! stopping: no new connections, then the open ones, then delivery of events, then auth, then the
//! store, then the plugins that may keep it, then the audit log: each only needs what stops after it.
//! Without auth, plugins stop before the delivery of the events they cause.

use std::sync::Arc;
use std::time::Duration;

use config::Settings;
use domain::Timestamp;
use domain::audit::Context;
use domain::identity::SystemRole;
use domain::name::HostId;
use net::listen::{ConnectionLimit, Listener};
use net::tls::ServerTrust;
use node_service::NodeService;
use telemetry::diagnostics::Sources;
use telemetry::health::HealthHandle;
use telemetry::metrics::Metrics;
use tokio_util::sync::CancellationToken;

use crate::address::{Addresses, announced, dialable, host_names, proxies_told};
use crate::agent::{Entering, deliver, open_spool};
use crate::data_dir::DataDir;
use crate::error::ProcessError;
use crate::host::Host;
use crate::identity::{Membership, has_joined, pins};
use crate::supervise::{Group, Tokens};
use crate::watchdog::Watchdog;
use crate::way;
use crate::{auth, node, plugin, proxy};

mod stop;

/// The component that works once everything has been started.
const WHOLE: &str = "process";

/// A running process.
pub struct Running {
    /// Where its services are reached.
    pub addresses: Addresses,
    /// How it is.
    pub health: HealthHandle,
    /// Its numbers.
    pub metrics: Metrics,
    host: Host,
    started: Timestamp,
    tokens: Tokens,
    services: Group,
    agents: Group,
    auth_services: Group,
    /// What the plugin host tells, on its way to the audit log.
    chronicle: Group,
    logs: Group,
    store: Option<auth::OpenStore>,
    node: Option<Arc<NodeService>>,
    proxy: Option<proxy::Started>,
    plugins: Option<Arc<plugin_host::PluginHost>>,
    /// Cancelled once everything has been started.
    has_started: CancellationToken,
    /// Kept for as long as the process: its tasks report health.
    watchdog: Watchdog,
}

/// Starts what the settings ask for.
///
/// # Errors
/// [`ProcessError`] says which part cannot start, why, and what to do. What was started is stopped.
pub async fn start(settings: Settings, host: Host) -> Result<Running, ProcessError> {
    let started = host.clock.now();
    let health = HealthHandle::new(Arc::clone(&host.clock));
    // Services announce themselves as they start; until the last has, the process is not ready.
    health.expect(WHOLE);
    let metrics = Metrics::of_process(host.build, health.clone(), started);
    if let Some(log) = &host.log {
        log.register(&metrics);
    }
    let watchdog = Watchdog::new(health.clone(), metrics.clone());
    let running = Running {
        addresses: Addresses::default(),
        health,
        metrics,
        host,
        started,
        tokens: Tokens::default(),
        services: Group::default(),
        agents: Group::default(),
        auth_services: Group::default(),
        chronicle: Group::default(),
        logs: Group::default(),
        store: None,
        node: None,
        proxy: None,
        plugins: None,
        has_started: CancellationToken::new(),
        watchdog,
    };
    running.start(settings).await
}

impl Running {
    async fn start(mut self, settings: Settings) -> Result<Self, ProcessError> {
        match self.start_all(&settings).await {
            Ok(()) => {
                self.has_started.cancel();
                self.health.worked(WHOLE);
                Ok(self)
            }
            Err(error) => {
                self.stop().await;
                Err(error)
            }
        }
    }

    async fn start_all(&mut self, settings: &Settings) -> Result<(), ProcessError> {
        let data = DataDir::open(&settings.data_dir)?;
        let host_id = data.host_id(&*self.host.random)?;
        let joined = has_joined(&data, settings, self.started)?;
        let secrets = settings.resolve_secrets(joined, &config::read_file)?;
        self.start_diagnostics(settings).await?;
        let ports = self.bind(settings).await?;
        let mut membership = Membership {
            servers: Vec::new(),
            trust: pins(&secrets),
            token: secrets.join_token,
            insecure: settings.insecure,
            host_id,
            node_name: settings.nodename.clone(),
            names: host_names(settings),
        };
        let mut plugins = self.start_plugins(settings, &data).await?;
        if let Some(auth) = &settings.auth {
            let proxy = settings.proxy.as_ref();
            let proxies = proxy.map(|proxy| proxies_told(settings, proxy, &self.addresses));
            let starting = auth::Starting {
                host: &self.host,
                data: &data,
                host_id,
                settings,
                tokens: secrets.static_tokens,
                proxies: proxies.unwrap_or_default(),
                watchdog: &self.watchdog,
                plugins: self.plugins.as_ref(),
            };
            let started =
                starting.start(auth, &self.tokens, (&mut self.auth_services, &mut self.logs)).await?;
            let address = started.service.address();
            self.addresses.auth = Some(address);
            self.store = Some(started.store);
            let pins = started.service.pins()?;
            if let Some(plugins) = plugins.take() {
                let context = own_context(started.service.cluster_name(), host_id, settings);
                let told = (started.recorder, context);
                plugins.tell(told, &self.tokens, &mut self.chronicle);
            }
            membership.servers = vec![dialable(address).to_string()];
            membership.trust = Some(ServerTrust::Pins(pins));
            membership.token = Some(started.service.local_token(vec![SystemRole::Proxy, SystemRole::Node]));
            let entered = self.start_members(settings, &data, &membership, (ports, None)).await;
            started.service.forget_local_token();
            return entered;
        }
        if let Some(join) = &settings.join {
            membership.servers = join.servers.iter().map(ToString::to_string).collect();
        }
        self.start_members(settings, &data, &membership, (ports, plugins)).await
    }

    /// The plugin host, before whatever needs a plugin.
    async fn start_plugins(
        &mut self,
        settings: &Settings,
        data: &DataDir,
    ) -> Result<Option<plugin::Plugins>, ProcessError> {
        if !plugin::are_wanted(settings) {
            return Ok(None);
        }
        let starting = plugin::Starting { host: &self.host, data, settings, watchdog: &self.watchdog };
        let plugins = starting.start()?;
        let host = Arc::clone(&plugins.host);
        let desk = plugin::Desk { host, data_dir: data.path().to_owned(), started: self.started };
        desk.open(self.has_started.clone(), &self.tokens.agents, &mut self.agents).await;
        if let Some(node) = &settings.node {
            plugins.load(&node.dynamic_labels, &self.tokens.agents, &mut self.agents);
        }
        self.plugins = Some(Arc::clone(&plugins.host));
        Ok(Some(plugins))
    }

    async fn bind(&mut self, settings: &Settings) -> Result<Bound, ProcessError> {
        let max = usize::try_from(settings.limits.max_connections).unwrap_or(usize::MAX);
        let proxy = match &settings.proxy {
            Some(proxy) => Some(proxy::Ports::bind(proxy, max).await?),
            None => None,
        };
        if let Some(ports) = &proxy {
            self.addresses.ssh_proxy = ports.ssh.as_ref().map(Listener::address);
            self.addresses.tunnel = ports.tunnel.as_ref().map(Listener::address);
            self.addresses.web = Some(ports.web.address());
        }
        Ok(Bound { proxy, max })
    }

    async fn start_members(
        &mut self,
        settings: &Settings,
        data: &DataDir,
        membership: &Membership,
        (bound, plugins): (Bound, Option<plugin::Plugins>),
    ) -> Result<(), ProcessError> {
        if settings.proxy.is_none() && settings.node.is_none() {
            return Ok(());
        }
        let mut spool = Some(open_spool(&self.host, data, &self.watchdog)?);
        let sink = spool.as_ref().map(audit_service::SpoolService::sink);
        let Some(sink) = sink else { return Ok(()) };
        let (host, tokens) = (self.host.clone(), self.tokens.clone());
        let entering = |watchdog| Entering {
            host: &host,
            data,
            membership,
            sink: Arc::clone(&sink),
            tokens: &tokens,
            watchdog,
        };
        if let (Some(proxy), Some(ports)) = (&settings.proxy, bound.proxy) {
            let member = entering(&self.watchdog).enter(proxy::ROLE, &mut self.agents).await?;
            if let Some(spool) = spool.take() {
                deliver(spool, &member, &tokens, &mut self.agents);
            }
            let starting = proxy::Starting {
                host: &host,
                data,
                settings,
                proxy,
                auth_servers: membership.servers.clone(),
                told: proxies_told(settings, proxy, &self.addresses),
                names: &membership.names,
                member: &member,
                watchdog: &self.watchdog,
            };
            self.proxy = Some(starting.start(ports, &tokens, &mut self.services)?);
        }
        if let Some(node) = &settings.node {
            let member = entering(&self.watchdog).enter(node::ROLE, &mut self.agents).await?;
            if let Some(spool) = spool.take() {
                deliver(spool, &member, &tokens, &mut self.agents);
            }
            if let Some(plugins) = plugins {
                let told = (Arc::clone(&member.recorder), member.context(&settings.nodename));
                plugins.tell(told, &tokens, &mut self.chronicle);
            }
            let Some(labels) = self.plugins.clone() else { return Ok(()) };
            let proxies = way::proxies(settings, &membership.servers, &*self.host.random).await;
            let listener = self.bind_node(node, &proxies, bound.max).await?;
            let server = membership.servers.first().map(String::as_str).unwrap_or_default();
            let address =
                self.addresses.node.map(|listen| announced(listen, settings.advertise.as_ref(), server));
            let own = settings.proxy.as_ref().map(|proxy| proxies_told(settings, proxy, &self.addresses));
            let web_proxy = own.into_iter().flat_map(|own| own.web).chain(proxies.clone()).next();
            let starting = node::Starting {
                host: &host,
                settings,
                node,
                member: &member,
                labels,
                web_proxy: web_proxy.unwrap_or_default(),
                // A node that is reached directly needs no links.
                proxies,
                address: address.unwrap_or_default(),
                watchdog: &self.watchdog,
            };
            self.node = Some(starting.start(listener, &tokens, &mut self.services)?);
        }
        Ok(())
    }

    /// A node behind a proxy listens only when told to: its links are the way in.
    async fn bind_node(
        &mut self,
        node: &config::NodeSettings,
        proxies: &[String],
        max: usize,
    ) -> Result<Option<Listener>, ProcessError> {
        if !proxies.is_empty() && !node.force_listen {
            return Ok(None);
        }
        let listener = Listener::bind(node.listen, ConnectionLimit::new(max)).await;
        let listener = listener.map_err(ProcessError::listen("ssh_service.listen_addr"))?;
        self.addresses.node = Some(listener.address());
        Ok(Some(listener))
    }

    async fn start_diagnostics(&mut self, settings: &Settings) -> Result<(), ProcessError> {
        let Some(address) = settings.diag_addr else { return Ok(()) };
        let failed = |source| net::NetError::Listen { address, source };
        let listener = tokio::net::TcpListener::bind(address).await.map_err(failed);
        let listener = listener.map_err(ProcessError::listen("teleport.diag_addr (--diag-addr)"))?;
        self.addresses.diagnostics = listener.local_addr().ok();
        let serving = crate::diagnostics::serve(
            listener,
            self.health.clone(),
            self.metrics.clone(),
            self.tokens.audit.clone(),
        );
        self.logs.spawn_fallible("diagnostics", serving);
        Ok(())
    }

    /// Waits until a service ends by itself, which it should not.
    pub async fn failed(&mut self) -> ProcessError {
        tokio::select! {
            error = self.services.ended() => error,
            error = self.agents.ended() => error,
            error = self.auth_services.ended() => error,
            error = self.chronicle.ended() => error,
            error = self.logs.ended() => error,
        }
    }

    /// Writes what the process knows of itself to the log.
    pub fn log_diagnostics(&self) {
        let runtime = tokio::runtime::Handle::current().metrics();
        telemetry::diagnostics::log(Sources {
            build: self.host.build,
            started: self.started,
            now: self.host.clock.now(),
            health: &self.health,
            metrics: &self.metrics,
            runtime: &runtime,
        });
    }

    /// How many links this process's proxy has.
    pub fn links(&self) -> usize {
        self.proxy.as_ref().map_or(0, |proxy| proxy.registry.count())
    }

    /// How many hosts have a link to this process's proxy.
    pub fn linked_hosts(&self) -> usize {
        self.proxy.as_ref().map_or(0, |proxy| proxy.registry.hosts())
    }
}

/// Ports bound before anything is started.
struct Bound {
    proxy: Option<proxy::Ports>,
    max: usize,
}

/// This host in audit events, before it is a member of its own cluster.
fn own_context(cluster: &str, host_id: HostId, settings: &Settings) -> Context {
    Context {
        cluster_name: cluster.to_owned(),
        server_id: host_id.to_string(),
        server_hostname: settings.nodename.clone(),
        ..Context::default()
    }
}

/// How long a drain waits at most: the longest life of a certificate.
pub(crate) const DRAIN_MAX: Duration = Duration::from_secs(30 * 3600);
