//! The proxy of this process: SSH for users, links of agents, the web port.

use std::net::SocketAddr;
use std::sync::Arc;

use auth_service::ProxyAddresses;
use certs::x509::Pin;
use config::ProxySettings;
use domain::authority::AuthorityType;
use domain::identity::SystemRole;
use domain::server::{ADDRESSES_MAX, ProxySpec, is_address, is_loopback};
use net::listen::{ConnectionLimit, Listener};
use net::tls::WebCertificates;
use proxy_service::ProxyService;
use tunnel_service::server::LinkServer;
use tunnel_service::{Dialler, LinkSettings, Loopback, Registry};
use web_service::WebService;

use crate::agent::Member;
use crate::data_dir::DataDir;
use crate::error::ProcessError;
use crate::host::Host;
use crate::presence::Presence;
use crate::supervise::{Group, Tokens};
use crate::watchdog::Watchdog;
use crate::web_certificate::CertificateFiles;

/// The listening sockets of a proxy, bound before anything else so that a taken port is known first.
pub(crate) struct Ports {
    pub(crate) ssh: Option<Listener>,
    pub(crate) tunnel: Option<Listener>,
    pub(crate) web: Listener,
}

impl Ports {
    pub(crate) async fn bind(proxy: &ProxySettings, max_connections: usize) -> Result<Self, ProcessError> {
        let bind = async |key: &'static str, address: SocketAddr| {
            let listener = Listener::bind(address, ConnectionLimit::new(max_connections)).await;
            listener.map_err(ProcessError::listen(key))
        };
        let optional = async |key: &'static str, address: Option<SocketAddr>| match address {
            Some(address) => bind(key, address).await.map(Some),
            None => Ok(None),
        };
        Ok(Self {
            ssh: optional("proxy_service.listen_addr", proxy.ssh_listen).await?,
            tunnel: optional("proxy_service.tunnel_listen_addr", proxy.tunnel_listen).await?,
            web: bind("proxy_service.web_listen_addr", proxy.web_listen).await?,
        })
    }
}

/// What a proxy is started with.
pub(crate) struct Starting<'a> {
    pub(crate) host: &'a Host,
    pub(crate) data: &'a DataDir,
    pub(crate) settings: &'a config::Settings,
    pub(crate) proxy: &'a ProxySettings,
    pub(crate) auth_servers: Vec<String>,
    /// Where it tells to be reached.
    pub(crate) told: ProxyAddresses,
    pub(crate) names: &'a [String],
    pub(crate) member: &'a Member,
    pub(crate) watchdog: &'a Watchdog,
}

/// A running proxy.
pub(crate) struct Started {
    pub(crate) service: Arc<ProxyService>,
    pub(crate) registry: Arc<Registry>,
}

impl Starting<'_> {
    /// Starts everything a proxy consists of.
    pub(crate) fn start(
        &self,
        ports: Ports,
        stop: &Tokens,
        group: &mut Group,
    ) -> Result<Started, ProcessError> {
        let registry = self.registry();
        let links = self.link_server(&registry);
        let service = self.ssh(&registry, self.loopback(&ports));
        let files = self.web_files();
        let certificates =
            WebCertificates::new(&files.read(self.host.clock.now())?).map_err(web_service::WebError::from)?;
        let web = self.web(&ports, &links, &certificates);
        group.spawn("web", web.run(ports.web, stop.connections.clone()));
        let (clock, connections) = (Arc::clone(&self.host.clock), stop.connections.clone());
        group.spawn("web certificates", async move {
            tokio::select! {
                () = files.follow(certificates, clock) => {}
                () = connections.cancelled() => {}
            }
        });
        group.spawn("presence", self.presence().run(stop.accept.clone()));
        if let Some(listener) = ports.tunnel {
            group.spawn("tunnel", Arc::clone(&links).listen(listener, stop.connections.clone()));
        }
        if let Some(listener) = ports.ssh {
            let (accept, connections) = (stop.accept.clone(), stop.connections.clone());
            let running = Arc::clone(&service);
            group.spawn("proxy", async move {
                running.run(listener, accept, connections.clone()).await;
                // Connections go on after accepting has ended.
                connections.cancelled().await;
            });
        }
        Ok(Started { service, registry })
    }

    fn presence(&self) -> Presence {
        // A host name that is none is warned of elsewhere, and keeps no other address back.
        let some = |addresses: &[String]| {
            let fit = addresses.iter().filter(|address| is_address(address));
            fit.take(ADDRESSES_MAX).cloned().collect()
        };
        let spec = ProxySpec {
            hostname: self.settings.nodename.clone(),
            public_addrs: some(&self.told.web),
            ssh_public_addrs: some(&self.told.ssh),
            version: self.host.build.version.to_owned(),
        };
        Presence { client: self.member.client.clone(), spec, random: Arc::clone(&self.host.random) }
    }

    /// A proxy that neither listens nor is known beyond this machine serves a cluster on it, whose
    /// nodes all have the same loopback. Any other must not be led to its own by a node elsewhere.
    fn loopback(&self, ports: &Ports) -> Loopback {
        let listeners = [Some(&ports.web), ports.ssh.as_ref(), ports.tunnel.as_ref()];
        let proxy = self.proxy;
        let mut public =
            proxy.public_addrs.iter().chain(&proxy.ssh_public_addrs).chain(&proxy.tunnel_public_addrs);
        let local = listeners.into_iter().flatten().all(|listener| listener.address().ip().is_loopback())
            && public.all(|address| is_loopback(&address.host));
        if local { Loopback::Everybody } else { Loopback::Of(self.member.identity.borrow().identity.host_id) }
    }

    fn registry(&self) -> Arc<Registry> {
        let metrics = tunnel_service::Metrics::default();
        self.watchdog.register("tunnel", |registry| metrics.register_proxy(registry));
        Registry::new(metrics)
    }

    fn link_server(&self, registry: &Arc<Registry>) -> Arc<LinkServer> {
        let settings = LinkSettings { algorithms: algorithms(self.settings), ..LinkSettings::default() };
        let check = self.member.host_check(self.host);
        LinkServer::new(settings, check, Arc::clone(registry), self.member.identity.clone())
    }

    fn ssh(&self, registry: &Arc<Registry>, loopback: Loopback) -> Arc<ProxyService> {
        let metrics = proxy_service::Metrics::default();
        self.watchdog.register("proxy", |registry| metrics.register(registry));
        let settings = proxy_service::Settings {
            host_id: self.member.identity.borrow().identity.host_id.to_string(),
            hostname: self.settings.nodename.clone(),
            algorithms: algorithms(self.settings),
            keep_alive: keep_alive(self.settings),
        };
        let deps = proxy_service::Deps {
            view: self.member.view.clone(),
            clock: Arc::clone(&self.host.clock),
            recorder: Arc::clone(&self.member.recorder),
            dial: Dialler::new(Arc::clone(registry), loopback),
            identity: self.member.identity.clone(),
            metrics,
        };
        ProxyService::new(settings, deps)
    }

    fn web_files(&self) -> Arc<CertificateFiles> {
        Arc::new(CertificateFiles {
            pairs: self.proxy.keypairs.clone(),
            reload: self.proxy.keypairs_reload,
            data: self.data.clone(),
            names: self.names.to_vec(),
            keep: !self.settings.insecure_no_tls,
        })
    }

    fn web(
        &self,
        ports: &Ports,
        links: &Arc<LinkServer>,
        certificates: &Arc<WebCertificates>,
    ) -> Arc<WebService> {
        let metrics = web_service::Metrics::default();
        self.watchdog.register("web", |registry| metrics.register(registry));
        let authentication = self.settings.auth.as_ref().map(|auth| &auth.authentication);
        let settings = web_service::Settings {
            cluster_name: self.member.identity.borrow().identity.cluster.clone(),
            ca_pins: self.pins(),
            version: self.host.build.version.to_owned(),
            auth_servers: self.auth_servers.clone(),
            addresses: addresses(self.proxy, ports, &self.settings.nodename),
            auth_type: authentication.map_or("local", connector_name).to_owned(),
            second_factor: authentication.map_or("otp", second_factor_name).to_owned(),
            plain_http: self.settings.insecure_no_tls,
        };
        let (identity, certificates) = (self.member.identity.clone(), Arc::clone(certificates));
        let deps = web_service::Deps { identity, links: links.clone(), certificates, metrics };
        WebService::new(settings, deps)
    }

    fn pins(&self) -> Vec<String> {
        let bundle = self.member.identity.borrow();
        let certificates = net::tls::authority_certificates(&bundle.authorities, &[AuthorityType::Host]);
        let pins = certificates.unwrap_or_default().into_iter().filter_map(|der| Pin::of(&der).ok());
        pins.map(|pin| pin.to_string()).collect()
    }
}

/// The word of the configuration for how users sign in.
fn second_factor_name(authentication: &config::Authentication) -> &'static str {
    use config::SecondFactor::{Otp, Webauthn};
    match (authentication.second_factors.as_slice(), authentication.second_factor_required) {
        ([], _) => "off",
        ([Otp], _) => "otp",
        ([Webauthn], _) => "webauthn",
        (_, true) => "on",
        (_, false) => "optional",
    }
}

fn connector_name(authentication: &config::Authentication) -> &'static str {
    match authentication.connector {
        config::Connector::Local => "local",
        config::Connector::Github => "github",
        config::Connector::Oidc => "oidc",
        config::Connector::Saml => "saml",
    }
}

/// Where the proxy is reached, as its web API tells.
fn addresses(proxy: &ProxySettings, ports: &Ports, nodename: &str) -> web_service::Addresses {
    let shown =
        |listener: &Option<Listener>| listener.as_ref().map(|listener| listener.address().to_string());
    let web = ports.web.address();
    let public = proxy.public_addrs.first().map(ToString::to_string);
    let ssh_public = proxy.ssh_public_addrs.first().map(ToString::to_string);
    web_service::Addresses {
        web_listen: web.to_string(),
        web_public: public.unwrap_or_else(|| format!("{nodename}:{}", web.port())),
        ssh_listen: shown(&ports.ssh),
        ssh_public,
        tunnel_listen: shown(&ports.tunnel),
    }
}

/// The algorithms an operator chose, as the SSH room wants them.
pub(crate) fn algorithms(settings: &config::Settings) -> ssh::algorithm::Algorithms {
    let text = |names: &[&'static str]| names.iter().map(|name| (*name).to_owned()).collect();
    let chosen = &settings.algorithms;
    ssh::algorithm::Algorithms {
        ciphers: text(&chosen.ciphers),
        kex: text(&chosen.kex),
        macs: text(&chosen.macs),
    }
}

/// How often silent clients are asked whether they live.
pub(crate) fn keep_alive(settings: &config::Settings) -> std::time::Duration {
    let default = std::time::Duration::from_secs(300);
    settings.auth.as_ref().map_or(default, |auth| auth.keep_alive_interval)
}

/// The role of a proxy.
pub(crate) const ROLE: SystemRole = SystemRole::Proxy;
