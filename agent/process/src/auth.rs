//! The auth service of this process: store, audit log, the service itself, and `tctl`'s way in.

use std::sync::Arc;

use audit_service::{LogPorts, LogService, LogSettings};
use auth_service::{AuthError, AuthService, Deps, Metrics, ProxyAddresses, Settings};
use config::{Etcd, Storage};
use domain::identity::SystemRole;
use domain::name::HostId;
use domain::token::StaticToken;
use plugin_host::PluginHost;
use port::audit::Recorder;
use port::store::Store;
use storage::{MemoryStore, RemoteSettings, RemoteStore, SqliteStore};

use crate::adapter::Straight;
use crate::address::dialable;
use crate::data_dir::DataDir;
use crate::error::ProcessError;
use crate::host::Host;
use crate::plugin;
use crate::supervise::{Group, Tokens};
use crate::watchdog::Watchdog;

mod admin;

/// There while `tctl`'s identity is that of a cluster in memory.
const PASSING: &str = "identity/admin.passing";

/// What the auth service is started with.
pub(crate) struct Starting<'a> {
    pub(crate) host: &'a Host,
    pub(crate) data: &'a DataDir,
    pub(crate) host_id: HostId,
    pub(crate) settings: &'a config::Settings,
    pub(crate) tokens: Vec<StaticToken>,
    pub(crate) proxies: ProxyAddresses,
    pub(crate) watchdog: &'a Watchdog,
    /// The plugins of this process, where a plugin keeps the records.
    pub(crate) plugins: Option<&'a Arc<PluginHost>>,
}

/// The store, kept so that it is closed last.
pub(crate) enum OpenStore {
    /// On disk.
    Sqlite(Arc<SqliteStore>),
    /// Nowhere.
    Memory(Arc<MemoryStore>),
    /// Where a plugin keeps it.
    Remote(Arc<RemoteStore>),
}

impl OpenStore {
    fn port(&self) -> Arc<dyn Store> {
        match self {
            Self::Sqlite(store) => store.clone(),
            Self::Memory(store) => store.clone(),
            Self::Remote(store) => store.clone(),
        }
    }

    /// How it is called in errors.
    fn called(&self, settings: &config::Settings) -> String {
        match (self, &settings.storage) {
            (Self::Remote(store), _) => format!("the store in {}", store.about().description),
            (_, Storage::Sqlite { path }) => format!("the store in {}", path.display()),
            _ => "the store in memory".to_owned(),
        }
    }

    /// Finishes the writes under way and closes.
    pub(crate) async fn close(&self) {
        match self {
            Self::Sqlite(store) => store.shutdown().await,
            Self::Memory(_) => {}
            Self::Remote(store) => store.close().await,
        }
    }
}

/// A running auth service.
pub(crate) struct Started {
    pub(crate) service: Arc<AuthService>,
    pub(crate) store: OpenStore,
    /// Events of this process that no service of its own records.
    pub(crate) recorder: Arc<Recorder>,
}

impl Starting<'_> {
    /// Starts the service. Its tasks stop with the tokens of auth and audit.
    pub(crate) async fn start(
        self,
        auth: &config::AuthSettings,
        stop: &Tokens,
        (services, logs): (&mut Group, &mut Group),
    ) -> Result<Started, ProcessError> {
        let store = self.open_store().await?;
        match self.start_on(&store, auth, stop, (services, logs)).await {
            Ok((service, recorder)) => Ok(Started { service, store, recorder }),
            Err(error) => {
                store.close().await;
                Err(error)
            }
        }
    }

    async fn start_on(
        &self,
        store: &OpenStore,
        auth: &config::AuthSettings,
        stop: &Tokens,
        (services, logs): (&mut Group, &mut Group),
    ) -> Result<(Arc<AuthService>, Arc<Recorder>), ProcessError> {
        let called = store.called(self.settings);
        let settings = self.service_settings(auth, called.clone())?;
        let log = self.open_log(auth)?;
        let metrics = Metrics::default();
        self.watchdog.register("auth", |registry| metrics.register(registry));
        let deps = Deps {
            clock: Arc::clone(&self.host.clock),
            random: Arc::clone(&self.host.random),
            store: store.port(),
            audit: log.log(),
            metrics,
        };
        let (clock, random) = (Arc::clone(&self.host.clock), Arc::clone(&self.host.random));
        let recorder = Arc::new(Recorder::new(clock, random, Arc::new(Straight(log.log()))));
        // The log takes events before the service exists, because founding a cluster records some.
        logs.spawn("audit log", log.run(stop.audit.clone()));
        let service = AuthService::new(settings, deps).await.map_err(refused)?;
        let served = (called.as_str(), service.cluster_name());
        self.data.check_cluster(self.members()?, served, &service.pins()?)?;
        self.let_tctl_in(&service).await?;
        services.spawn_fallible("auth", Arc::clone(&service).run(stop.auth.clone()));
        let (renewing, data, until) = (Arc::clone(&service), self.data.clone(), stop.auth.clone());
        services.spawn("admin identity", async move {
            tokio::select! {
                () = admin::keep(&renewing, &data, dialable(renewing.address())) => {}
                () = until.cancelled() => {}
            }
        });
        self.watchdog.follow_store(store.port());
        Ok((service, recorder))
    }

    async fn open_store(&self) -> Result<OpenStore, ProcessError> {
        let clock = Arc::clone(&self.host.clock);
        Ok(match &self.settings.storage {
            Storage::Sqlite { path } => {
                let opening = SqliteStore::open_folder(path, clock, storage::Settings::default());
                OpenStore::Sqlite(Arc::new(opening.await?))
            }
            Storage::Memory => OpenStore::Memory(Arc::new(MemoryStore::new(clock))),
            Storage::Etcd(_) | Storage::DynamoDb(_) | Storage::Plugin { .. } => {
                OpenStore::Remote(Arc::new(self.open_plugin().await?))
            }
        })
    }

    /// Opens the store that a plugin keeps.
    async fn open_plugin(&self) -> Result<RemoteStore, ProcessError> {
        let name = plugin::storage::plugin(&self.settings.storage);
        let (Some(name), Some(plugins)) = (name, self.plugins) else {
            return Err(ProcessError::StoreKind("plugin"));
        };
        let backend = Arc::new(plugins.storage(name.clone()));
        let opening = RemoteStore::open(backend, Arc::clone(&self.host.random), RemoteSettings::default());
        let store = opening.await.map_err(|source| self.not_opened(source))?;
        tracing::info!(plugin = %name, backend = %store.about().description, "a plugin keeps the records");
        self.watchdog.follow_backend(store.health());
        Ok(store)
    }

    /// Where the store could not be opened, the files that could be why are named.
    fn not_opened(&self, source: storage::OpenError) -> ProcessError {
        let Storage::Etcd(Etcd { cert_file, key_file, ca_file, insecure, .. }) = &self.settings.storage
        else {
            return source.into();
        };
        let believed = match ca_file {
            _ if *insecure => "anybody at all (insecure: yes)".to_owned(),
            Some(file) => format!("tls_ca_file {}", file.display()),
            None => "an authority of this machine (no tls_ca_file is set)".to_owned(),
        };
        let certificate = format!("{} (with tls_key_file {})", cert_file.display(), key_file.display());
        // What the plugin says names the members and the step.
        let cause: &dyn std::error::Error = std::error::Error::source(&source).unwrap_or(&source);
        ProcessError::Etcd { reason: ssh::refuse::chain(cause), certificate, believed }
    }

    fn open_log(&self, auth: &config::AuthSettings) -> Result<LogService, ProcessError> {
        let cluster = auth.cluster_name.as_ref().map(ToString::to_string).unwrap_or_default();
        let ports = LogPorts {
            clock: Arc::clone(&self.host.clock),
            metrics: self.watchdog.metrics.clone(),
            health: self.watchdog.health.clone(),
        };
        let settings = LogSettings::new(self.settings.audit.events.clone(), cluster);
        Ok(LogService::new(&settings, ports)?)
    }

    fn service_settings(&self, auth: &config::AuthSettings, store: String) -> Result<Settings, ProcessError> {
        let public: Vec<_> = auth.public_addrs.iter().collect();
        let advertise = self.settings.advertise.as_ref();
        let mut names = crate::address::names(&[auth.listen], advertise, &public);
        if names.is_empty() {
            names.push(self.settings.nodename.clone());
        }
        Ok(Settings {
            listen: auth.listen,
            cluster_name: auth.cluster_name.clone(),
            known_cluster: self.data.known_cluster(self.members()?),
            store,
            tokens: self.tokens.clone(),
            host_id: self.host_id,
            hostname: self.settings.nodename.clone(),
            names,
            proxies: self.proxies.clone(),
            max_connections: usize::try_from(self.settings.limits.max_connections).unwrap_or(usize::MAX),
            host_ttl: domain::certificate::HOST_TTL,
            user_ttl: auth.authentication.default_session_ttl,
            version: self.host.build.version.to_owned(),
        })
    }

    /// The roles whose identities tell which cluster this host belongs to. `tctl`'s is there wherever an auth
    /// server has been; but a cluster in memory is gone with its process, and that identity means nothing then.
    fn members(&self) -> Result<&'static [SystemRole], ProcessError> {
        let passing = matches!(self.settings.storage, Storage::Memory) || self.data.read(PASSING)?.is_some();
        Ok(match passing {
            true => &[SystemRole::Proxy, SystemRole::Node],
            false => &[SystemRole::Proxy, SystemRole::Node, SystemRole::Admin],
        })
    }

    /// Leaves `tctl` an identity and the address to use it at, readable by this user alone.
    async fn let_tctl_in(&self, service: &AuthService) -> Result<(), ProcessError> {
        let is_passing = matches!(self.settings.storage, Storage::Memory);
        if is_passing {
            self.data.write(PASSING, b"")?;
        }
        admin::leave_identity(service, self.data).await?;
        if !is_passing {
            self.data.remove(PASSING)?;
        }
        admin::leave_address(self.data, dialable(service.address()))
    }
}

/// Why the service could not be made; a port that is taken with the key it is written at.
fn refused(error: AuthError) -> ProcessError {
    match error {
        AuthError::Net(source @ net::NetError::Listen { .. }) => {
            ProcessError::listen("auth_service.listen_addr")(source)
        }
        error => error.into(),
    }
}
