//! Wiring: from settings and ports to a running auth server.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use certs::bundle::{Bundle, HostCertificates, HostKeys};
use certs::x509::Pin;
use domain::authority::AuthoritySpec;
use domain::identity::{HostIdentity, SystemRole};
use domain::secret::Secret;
use domain::token::StaticToken;
use net::listen::{ConnectionLimit, Listener};
use parking_lot::RwLock;
use port::audit::AuditLog;
use port::clock::Clock;
use port::random::Random;
use port::store::Store;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::authority::Authorities;
use crate::cache::Cache;
use crate::error::AuthError;
use crate::issue::HostWish;
use crate::join::bound::Bounds;
use crate::metrics::Metrics;
use crate::settings::Settings;

/// How many refused hosts may wait for their answer at once.
const REFUSALS: usize = 100;

/// The life of the auth server's own certificates. They are made anew at every start and every day.
const OWN_TTL: Duration = Duration::from_secs(7 * 86_400);

/// What the service needs from outside.
pub struct Deps {
    /// The time of day.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub random: Arc<dyn Random>,
    /// The cluster's records.
    pub store: Arc<dyn Store>,
    /// The audit log.
    pub audit: Arc<dyn AuditLog>,
    /// Counters.
    pub metrics: Metrics,
}

/// The auth service.
pub struct AuthService {
    pub(crate) settings: Settings,
    pub(crate) deps: Deps,
    pub(crate) cluster: String,
    pub(crate) authorities: Authorities,
    pub(crate) cache: Arc<Cache>,
    pub(crate) refusals: Arc<Semaphore>,
    pub(crate) joined: Bounds,
    pub(crate) local_token: RwLock<Option<StaticToken>>,
    pub(crate) address: SocketAddr,
    pub(crate) listener: Listener,
    pub(crate) connections: Arc<ConnectionLimit>,
}

impl AuthService {
    /// Finds or makes the cluster and starts listening, but answers nobody before [`AuthService::run`].
    ///
    /// # Errors
    /// [`AuthError`]: the store holds another cluster or fails, or the port is taken.
    pub async fn new(settings: Settings, deps: Deps) -> Result<Arc<Self>, AuthError> {
        let now = deps.clock.now();
        let (cluster, authorities) =
            crate::cluster::open(&*deps.store, &settings, now, &*deps.random).await?;
        // Counted once it is known where they come from; until then the gate counts them.
        let listener = Listener::bind(settings.listen, ConnectionLimit::new(usize::MAX)).await?;
        let cache = Arc::new(Cache::default());
        cache.fill(&*deps.store).await?;
        Ok(Arc::new(Self {
            address: listener.address(),
            connections: ConnectionLimit::new(settings.max_connections),
            settings,
            deps,
            cluster,
            authorities,
            cache,
            refusals: Arc::new(Semaphore::new(REFUSALS)),
            joined: Bounds::default(),
            local_token: RwLock::new(None),
            listener,
        }))
    }

    /// Serves until told to stop.
    ///
    /// # Errors
    /// [`AuthError`] when the store stops or its own certificate cannot be made.
    pub async fn run(self: Arc<Self>, shutdown: CancellationToken) -> Result<(), AuthError> {
        let following = Arc::clone(&self.cache).follow(Arc::clone(&self.deps.store));
        let ended = tokio::select! {
            ended = following => ended.map_err(AuthError::from),
            served = Arc::clone(&self).serve(shutdown.clone()) => served,
            () = self.announce() => Ok(()),
        };
        self.leave().await;
        ended
    }

    /// The address listened on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The cluster's name.
    pub fn cluster_name(&self) -> &str {
        &self.cluster
    }

    /// The authorities' public keys.
    pub fn authorities(&self) -> &[AuthoritySpec] {
        self.authorities.public()
    }

    /// The pins hosts join with.
    ///
    /// # Errors
    /// [`AuthError::Certificate`] never in practice: the certificate was made here.
    pub fn pins(&self) -> Result<Vec<Pin>, AuthError> {
        self.authorities.pins()
    }

    /// A token for the services of this process, which join like everybody else. It lives in memory
    /// only and replaces the one before.
    pub fn local_token(&self, roles: Vec<SystemRole>) -> Secret {
        let value = self.deps.random.token();
        *self.local_token.write() = Some(StaticToken { roles, value: value.clone() });
        value
    }

    /// Makes the local token useless, once the services of this process have joined.
    pub fn forget_local_token(&self) {
        *self.local_token.write() = None;
    }

    /// The identity of `tctl` on this host, or of the auth server itself: whoever can read the
    /// store's folder needs no token.
    ///
    /// # Errors
    /// [`AuthError`] when the certificates cannot be made or recorded.
    pub async fn own_identity(&self, role: SystemRole) -> Result<Bundle, AuthError> {
        let keys = HostKeys::generate(&*self.deps.random)?;
        let identity = HostIdentity { host_id: self.settings.host_id, role, cluster: self.cluster.clone() };
        let principals = domain::certificate::host_principals(
            role,
            identity.host_id,
            &self.settings.hostname,
            &self.cluster,
            &self.settings.names,
        );
        let (ssh_public_key, tls_public_key) = (keys.ssh_public()?, keys.tls.public_der());
        let wish = HostWish {
            node_name: &self.settings.hostname,
            ssh_public_key: &ssh_public_key,
            tls_public_key: &tls_public_key,
            addresses: &self.settings.names,
            asked_by: String::new(),
        };
        let now = self.deps.clock.now();
        let wire = self.host_certificates(identity.clone(), principals, &wish, (now, OWN_TTL)).await?;
        let authorities = self.authorities.public().to_vec();
        Ok(Bundle::new(identity, keys, HostCertificates { ssh: wire.ssh, tls: wire.tls, authorities })?)
    }
}
