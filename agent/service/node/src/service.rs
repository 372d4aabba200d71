//! Wiring: connections from the network and from tunnels, labels, heartbeats.

use std::sync::Arc;

use async_trait::async_trait;
use certs::bundle::Bundle;
use domain::audit::Context;
use net::gate::Gate;
use net::listen::Listener;
use net::patience::Patience;
use net::prompt::Prompt;
use net::renewed::Renewed;
use port::audit::Recorder;
use port::clock::Clock;
use port::cluster::ClusterView;
use port::host_user::HostUsers;
use port::label::LabelProvider;
use port::presence::Presence;
use port::random::Random;
use port::stream::{BoxedStream, Origin, Serve};
use russh::server::Config;
use ssh::ServerSettings;
use ssh::entrance::Door;
use ssh::serve::{CLIENT_AHEAD, End, Known, serve};
use ssh::user::Authenticator;
use sys::launch::Launcher;
use tokio::sync::{oneshot, watch};
use tokio_util::sync::CancellationToken;

use crate::connection::Connection;
use crate::connection::lockout::shut_out;
use crate::heartbeat::Announced;
use crate::labels::{LabelState, keep_fresh};
use crate::metrics::Metrics;
use crate::session::scopeguard;
use crate::settings::Settings;

/// What the service needs from outside.
pub struct Deps {
    /// The cluster.
    pub view: Arc<dyn ClusterView>,
    /// The time of day.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub random: Arc<dyn Random>,
    /// Where events go.
    pub recorder: Arc<Recorder>,
    /// The users of this host.
    pub users: Arc<dyn HostUsers>,
    /// Starts programs as users.
    pub launcher: Launcher,
    /// Computes labels.
    pub labels: Arc<dyn LabelProvider>,
    /// Makes the node known.
    pub presence: Arc<dyn Presence>,
    /// The node's identity, as it is renewed.
    pub identity: watch::Receiver<Arc<Bundle>>,
    /// Counters.
    pub metrics: Metrics,
}

/// The SSH node.
pub struct NodeService {
    pub(crate) settings: Settings,
    pub(crate) deps: Deps,
    pub(crate) door: Arc<Door>,
    pub(crate) labels: watch::Sender<LabelState>,
    pub(crate) announced: watch::Sender<Announced>,
    config: Renewed<Arc<Config>>,
    gate: Arc<Gate>,
    /// Shared by everything that listens for clients: they fail together.
    pub(crate) patience: Patience,
    kill: CancellationToken,
}

impl NodeService {
    /// A node that is ready to serve. `kill` ends every connection.
    pub fn new(settings: Settings, deps: Deps, kill: CancellationToken) -> Arc<Self> {
        let authenticator = Authenticator {
            view: Arc::clone(&deps.view),
            clock: Arc::clone(&deps.clock),
            server: Some(settings.host_id),
        };
        let base = Context {
            cluster_name: deps.view.cluster_name().to_owned(),
            server_id: settings.host_id.to_string(),
            server_hostname: settings.hostname.clone(),
            ..Context::default()
        };
        let door = Arc::new(Door::new(authenticator, Arc::clone(&deps.recorder), base));
        Arc::new(Self {
            config: Renewed::new(deps.identity.clone()),
            settings,
            deps,
            door,
            labels: watch::Sender::default(),
            announced: watch::Sender::new(Announced::NotYet),
            gate: Gate::new(),
            patience: Patience::default(),
            kill,
        })
    }

    /// Computes labels and announces the node until told to stop; with a listener, accepts
    /// connections on it too.
    pub async fn run(self: Arc<Self>, listener: Option<Listener>, shutdown: CancellationToken) {
        let mut labels = tokio::task::JoinSet::new();
        for label in &self.settings.dynamic_labels {
            let (provider, random) = (Arc::clone(&self.deps.labels), Arc::clone(&self.deps.random));
            let failures = self.deps.metrics.failed_labels.clone();
            labels.spawn(keep_fresh(label.clone(), provider, random, self.labels.clone(), failures));
        }
        let announcing = Arc::clone(&self).announce(shutdown.clone());
        tokio::join!(announcing, async {
            if let Some(listener) = listener {
                self.accept(listener, shutdown).await;
            }
        });
    }

    async fn accept(self: Arc<Self>, listener: Listener, shutdown: CancellationToken) {
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = shutdown.cancelled() => return,
            };
            let service = Arc::clone(&self);
            tokio::spawn(async move {
                let origin = Origin { peer: accepted.peer, local: accepted.local, tunnelled: false };
                service.connection(Box::new(Prompt::new(accepted.stream)), origin).await;
                drop(accepted.place);
            });
        }
    }

    /// How the last announcement went, and when that changes.
    pub fn announced(&self) -> watch::Receiver<Announced> {
        self.announced.subscribe()
    }

    /// How many users are connected, or sessions still being written down: what a drain waits for. A
    /// connection without a session may carry forwarded ports.
    pub fn open(&self) -> i64 {
        self.deps.metrics.connections.get().max(self.deps.metrics.sessions.get())
    }

    async fn connection(self: &Arc<Self>, stream: BoxedStream, origin: Origin) {
        let known = Known::default();
        let (arrived, arrival) = oneshot::channel();
        let handler = Connection::new(Arc::clone(self), known.clone(), origin, arrived);
        let stranger = self.gate.enter(origin.peer.ip());
        let connections = self.deps.metrics.connections.clone();
        connections.inc();
        // Also when whoever brought the stream gives it up: a drain waits for what is counted.
        let _counted = scopeguard(move || {
            connections.dec();
        });
        let end = tokio::select! {
            end = serve(self.config(), stream, handler, stranger, known, CLIENT_AHEAD) => Some(end),
            () = self.kill.cancelled() => None,
            () = shut_out(arrival) => None,
        };
        let peer = origin.peer;
        match end {
            None | Some(End::Closed) => tracing::debug!(%peer, "connection closed"),
            Some(End::TurnedOut(why)) => tracing::debug!(%peer, ?why, "turned out a stranger"),
            Some(End::Failed(error)) => tracing::debug!(%peer, %error, "connection failed"),
        }
    }

    fn config(&self) -> Arc<Config> {
        self.config.now(|bundle| {
            let settings = ServerSettings {
                algorithms: self.settings.algorithms.clone(),
                keep_alive: self.settings.keep_alive,
            };
            ssh::server_config(bundle, &settings)
        })
    }
}

/// The node as a taker of streams: what tunnels bring.
pub struct Streams(pub Arc<NodeService>);

#[async_trait]
impl Serve for Streams {
    async fn serve(&self, stream: BoxedStream, origin: Origin) {
        self.0.connection(stream, origin).await;
    }
}
