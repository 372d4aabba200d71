//! The SSH node of this process, and its links when it is reached through a proxy.

use std::sync::Arc;

use config::NodeSettings;
use domain::identity::SystemRole;
use domain::node::HEARTBEAT;
use net::listen::Listener;
use node_service::{Deps, NodeService, Settings, Streams};
use port::label::LabelProvider;
use sys::launch::Launcher;
use sys::users::SystemUsers;
use tunnel_service::agent::{Agent, AgentDeps};
use tunnel_service::{AgentSettings, LinkSettings};

use crate::adapter::Announcer;
use crate::agent::Member;
use crate::error::ProcessError;
use crate::host::Host;
use crate::supervise::{Group, Tokens};
use crate::watchdog::Watchdog;

/// What a node is started with.
pub(crate) struct Starting<'a> {
    pub(crate) host: &'a Host,
    pub(crate) settings: &'a config::Settings,
    pub(crate) node: &'a NodeSettings,
    pub(crate) member: &'a Member,
    pub(crate) labels: Arc<dyn LabelProvider>,
    /// `host:port` of the proxies it is reached through; none when it is reached directly.
    pub(crate) proxies: Vec<String>,
    /// `host:port` of a proxy's web port; empty where none is known.
    pub(crate) web_proxy: String,
    /// `ip:port` where it is reached directly; empty when it is not.
    pub(crate) address: String,
    pub(crate) watchdog: &'a Watchdog,
}

impl Starting<'_> {
    /// Starts the node.
    pub(crate) fn start(
        &self,
        listener: Option<Listener>,
        stop: &Tokens,
        group: &mut Group,
    ) -> Result<Arc<NodeService>, ProcessError> {
        let service = self.service(stop);
        let (accept, connections, running) =
            (stop.accept.clone(), stop.connections.clone(), Arc::clone(&service));
        group.spawn("node", async move {
            running.run(listener, accept).await;
            // Sessions go on after accepting has ended.
            connections.cancelled().await;
        });
        self.watchdog.follow_node(service.announced());
        if !self.proxies.is_empty() {
            self.start_links(&service, stop, group);
        }
        Ok(service)
    }

    fn service(&self, stop: &Tokens) -> Arc<NodeService> {
        let metrics = node_service::Metrics::default();
        self.watchdog.register("node", |registry| metrics.register(registry));
        let settings = Settings {
            host_id: self.member.identity.borrow().identity.host_id,
            hostname: self.settings.nodename.clone(),
            web_proxy: self.web_proxy.clone(),
            address: self.address.clone(),
            use_tunnel: !self.proxies.is_empty(),
            labels: self.node.labels.clone(),
            dynamic_labels: self.node.dynamic_labels.clone(),
            permit_user_env: self.node.permit_user_env,
            port_forwarding: self.node.port_forwarding,
            file_copy: self.node.file_copy,
            algorithms: crate::proxy::algorithms(self.settings),
            keep_alive: crate::proxy::keep_alive(self.settings),
            heartbeat: HEARTBEAT,
            version: self.host.build.version.to_owned(),
        };
        let launch =
            sys::launch::Settings { program: self.host.program.clone(), ..sys::launch::Settings::default() };
        let deps = Deps {
            view: self.member.view.clone(),
            clock: Arc::clone(&self.host.clock),
            random: Arc::clone(&self.host.random),
            recorder: Arc::clone(&self.member.recorder),
            users: Arc::new(SystemUsers),
            launcher: Launcher::new(launch),
            labels: Arc::clone(&self.labels),
            presence: Arc::new(Announcer(self.member.client.clone())),
            identity: self.member.identity.clone(),
            metrics,
        };
        NodeService::new(settings, deps, stop.connections.clone())
    }

    fn start_links(&self, service: &Arc<NodeService>, stop: &Tokens, group: &mut Group) {
        let metrics = tunnel_service::Metrics::default();
        self.watchdog.register("agent", |registry| metrics.register_agent(registry));
        let link =
            LinkSettings { algorithms: crate::proxy::algorithms(self.settings), ..LinkSettings::default() };
        let settings = AgentSettings {
            proxies: self.proxies.clone(),
            link,
            retry_max: self.settings.reconnect.upper_limit,
        };
        let deps = AgentDeps {
            identity: self.member.identity.clone(),
            proxies: self.member.view.proxies(),
            check: self.member.host_check(self.host),
            service: Arc::new(Streams(Arc::clone(service))),
            random: Arc::clone(&self.host.random),
            metrics,
        };
        let agent = Agent::new(settings, deps);
        self.watchdog.follow_links(agent.links());
        group.spawn("links", agent.run(stop.connections.clone()));
    }
}

/// The role of a node.
pub(crate) const ROLE: SystemRole = SystemRole::Node;
