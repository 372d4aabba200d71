//! Wiring: a listener, and one handler per connection.

use std::sync::Arc;

use certs::bundle::Bundle;
use domain::audit::Context;
use net::gate::Gate;
use net::listen::{Accepted, Listener};
use net::prompt::Prompt;
use net::renewed::Renewed;
use port::audit::Recorder;
use port::clock::Clock;
use port::cluster::ClusterView;
use port::dial::Dial;
use russh::server::Config;
use ssh::ServerSettings;
use ssh::entrance::Door;
use ssh::serve::{CLIENT_AHEAD, End, Known, serve};
use ssh::user::Authenticator;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::metrics::Metrics;
use crate::session::Session;
use crate::settings::Settings;

/// What the service needs from outside.
pub struct Deps {
    /// The cluster.
    pub view: Arc<dyn ClusterView>,
    /// The time of day.
    pub clock: Arc<dyn Clock>,
    /// Where events go.
    pub recorder: Arc<Recorder>,
    /// Reaches nodes.
    pub dial: Arc<dyn Dial>,
    /// The proxy's identity, as it is renewed.
    pub identity: watch::Receiver<Arc<Bundle>>,
    /// Counters.
    pub metrics: Metrics,
}

/// The SSH proxy.
pub struct ProxyService {
    pub(crate) settings: Settings,
    pub(crate) deps: Deps,
    pub(crate) door: Arc<Door>,
    config: Renewed<Arc<Config>>,
    gate: Arc<Gate>,
}

impl ProxyService {
    /// A proxy that is ready to serve.
    pub fn new(settings: Settings, deps: Deps) -> Arc<Self> {
        let authenticator =
            Authenticator { view: Arc::clone(&deps.view), clock: Arc::clone(&deps.clock), server: None };
        let base = Context {
            cluster_name: deps.view.cluster_name().to_owned(),
            server_id: settings.host_id.clone(),
            server_hostname: settings.hostname.clone(),
            ..Context::default()
        };
        let door = Arc::new(Door::new(authenticator, Arc::clone(&deps.recorder), base));
        let config = Renewed::new(deps.identity.clone());
        Arc::new(Self { settings, deps, door, config, gate: Gate::new() })
    }

    /// Serves a listener until told to stop accepting; connections go on until `kill`.
    pub async fn run(
        self: Arc<Self>,
        listener: Listener,
        shutdown: CancellationToken,
        kill: CancellationToken,
    ) {
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = shutdown.cancelled() => return,
            };
            let (service, kill) = (Arc::clone(&self), kill.clone());
            tokio::spawn(async move {
                tokio::select! {
                    () = service.connection(accepted) => {}
                    () = kill.cancelled() => {}
                }
            });
        }
    }

    /// How many users are connected: what a drain waits for.
    pub fn connections(&self) -> i64 {
        self.deps.metrics.connections.get()
    }

    async fn connection(self: Arc<Self>, accepted: Accepted) {
        let Accepted { stream, peer, local, place } = accepted;
        let known = Known::default();
        let session = Session::new(Arc::clone(&self), known.clone(), peer, local);
        let stranger = self.gate.enter(peer.ip());
        self.deps.metrics.connections.inc();
        let end = serve(self.config(), Prompt::new(stream), session, stranger, known, CLIENT_AHEAD).await;
        self.deps.metrics.connections.dec();
        drop(place);
        match end {
            End::Closed => tracing::debug!(%peer, "connection closed"),
            End::TurnedOut(why) => tracing::debug!(%peer, ?why, "turned out a stranger"),
            End::Failed(error) => tracing::debug!(%peer, %error, "connection failed"),
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
