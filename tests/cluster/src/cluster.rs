//! Starting clusters.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use certs::authority::AuthorityKeys;
use certs::bundle::Bundle;
use client::{AuthClient, AuthEndpoint};
use domain::authority::AuthorityType;
use domain::resource::Metadata;
use domain::secret::Secret;
use domain::token::{JoinMethod, Token, TokenSpec};
use domain::traits::Traits;
use domain::user::{LOGINS, User, UserSpec};
use net::tls::ServerTrust;
use port::clock::SystemClock;
use port::store::{Key as StoreKey, Store};
use process::{Host, ProcessError, Running};
use ssh_key::{Certificate, PrivateKey};
use storage::SqliteStore;
use tempfile::TempDir;
use tokio::time::timeout;

use crate::clock::ShiftedClock;
use crate::forge::Key;

/// How long a service may take to be ready, on a busy machine.
const READY: Duration = Duration::from_secs(60);

/// The program that becomes sessions: built beside the tests.
pub fn session_child() -> PathBuf {
    let test = std::env::current_exe().unwrap_or_default();
    // target/<profile>/deps/<test> → target/<profile>/session-child
    let folder = test.ancestors().nth(2).unwrap_or(Path::new("."));
    folder.join("session-child")
}

/// Keys and certificate of a user, as `tctl auth sign` makes them.
#[derive(Clone)]
pub struct Credentials {
    /// The private key.
    pub key: PrivateKey,
    /// The certificate.
    pub certificate: Certificate,
}

impl Credentials {
    /// Writes them as OpenSSH wants them and returns the path of the private key.
    pub fn write(&self, folder: &Path, name: &str) -> std::io::Result<PathBuf> {
        use std::os::unix::fs::OpenOptionsExt;
        let path = folder.join(name);
        let mut file =
            std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path)?;
        let text = self.key.to_openssh(ssh_key::LineEnding::LF).map_err(std::io::Error::other)?;
        std::io::Write::write_all(&mut file, text.as_bytes())?;
        let certificate = self.certificate.to_openssh().map_err(std::io::Error::other)?;
        std::fs::write(folder.join(format!("{name}-cert.pub")), certificate + "\n")?;
        Ok(path)
    }
}

/// A cluster of auth and proxy.
pub struct Cluster {
    folder: TempDir,
    running: Running,
    admin: AuthClient,
    /// The pin hosts join with.
    pub pin: String,
    /// The cluster's name.
    pub name: String,
    /// The time of day as auth and proxy have it.
    pub clock: ShiftedClock,
}

/// A node or a proxy in a process of its own, as far as tests can tell.
pub struct HostProcess {
    /// Its state, for a second start.
    pub data_dir: PathBuf,
    /// Its process.
    pub running: Running,
}

impl HostProcess {
    /// Stops it.
    pub async fn stop(self) {
        self.running.stop().await;
    }
}

impl Cluster {
    /// A cluster called `main`.
    pub async fn start() -> Self {
        Self::start_with("").await
    }

    /// A cluster with more lines in its `teleport.yaml`.
    pub async fn start_with(more: &str) -> Self {
        Self::start_known_as("", more).await
    }

    /// A cluster whose proxy users elsewhere know by this public address, though it listens on
    /// loopback: as behind a load balancer.
    pub async fn start_public(address: &str) -> Self {
        Self::start_known_as(&format!("  public_addr: {address}\n"), "").await
    }

    async fn start_known_as(public: &str, more: &str) -> Self {
        net::install_crypto();
        let folder = tempfile::tempdir().unwrap_or_else(|error| unreachable!("no temporary folder: {error}"));
        let yaml = format!(
            "version: v3\nteleport:\n  nodename: proxy-1\n  data_dir: {}\n\
             auth_service:\n  cluster_name: main\n  listen_addr: 127.0.0.1:0\n\
             proxy_service:\n  listen_addr: 127.0.0.1:0\n  tunnel_listen_addr: 127.0.0.1:0\n  web_listen_addr: 127.0.0.1:0\n{public}\
             ssh_service:\n  enabled: no\n{more}",
            folder.path().join("data").display()
        );
        let clock = ShiftedClock::default();
        let running = ready(try_start(&yaml, &clock).await).await;
        let admin = admin(&folder.path().join("data"));
        let status = retry(|| admin.status()).await;
        let pin = status.ca_pins.first().cloned().unwrap_or_default();
        Self { folder, running, admin, pin, name: status.cluster_name, clock }
    }

    /// The private key with which an authority signs SSH certificates: for certificates that an
    /// honest auth server would not make.
    pub async fn authority(&self, kind: AuthorityType) -> Key {
        let folder = self.folder.path().join("data/backend");
        let opening = SqliteStore::open_folder(&folder, Arc::new(SystemClock), storage::Settings::default());
        let store = opening.await.unwrap();
        let item = store.get(&StoreKey::of(&["authority", kind.as_str()])).await.unwrap().unwrap();
        store.shutdown().await;
        let keys = AuthorityKeys::from_secret(&Secret::new(item.value.to_vec())).unwrap();
        Key::of(keys.ssh().unwrap())
    }

    /// Calls the auth server as `tctl` does.
    pub fn admin(&self) -> &AuthClient {
        &self.admin
    }

    /// Files of this cluster; gone with it.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The running process.
    pub fn running(&self) -> &Running {
        &self.running
    }

    /// The proxy's SSH port.
    pub fn ssh_proxy(&self) -> SocketAddr {
        self.running().addresses.ssh_proxy.unwrap_or_else(|| unreachable!("the proxy runs"))
    }

    /// The proxy's web port.
    pub fn web(&self) -> SocketAddr {
        self.running().addresses.web.unwrap_or_else(|| unreachable!("the proxy runs"))
    }

    /// The auth server's port.
    pub fn auth(&self) -> SocketAddr {
        self.running().addresses.auth.unwrap_or_else(|| unreachable!("auth runs"))
    }

    /// A join token for nodes.
    pub async fn token(&self, value: &str) -> Secret {
        self.token_for(value, &[domain::identity::SystemRole::Node]).await
    }

    /// A join token for these roles, which never expires.
    pub async fn token_for(&self, value: &str, roles: &[domain::identity::SystemRole]) -> Secret {
        let spec = TokenSpec {
            roles: roles.to_vec(),
            join_method: JoinMethod::Token,
            suggested_labels: domain::label::Labels::default(),
            invites_user: None,
        };
        let token = Token::new(value, spec);
        retry(|| self.admin.put(&token, true)).await;
        value.into()
    }

    /// Another proxy, with more lines in its `proxy_service`.
    pub async fn add_proxy(&self, name: &str, more: &str) -> HostProcess {
        let data_dir = self.folder.path().join(name);
        self.token_for("a-token-for-proxies", &[domain::identity::SystemRole::Proxy]).await;
        let yaml = format!(
            "version: v3\nteleport:\n  nodename: {name}\n  data_dir: {}\n  auth_server: {}\n  ca_pin: {}\n  auth_token: a-token-for-proxies\n\
             proxy_service:\n  enabled: yes\n  listen_addr: 127.0.0.1:0\n  tunnel_listen_addr: 127.0.0.1:0\n  web_listen_addr: 127.0.0.1:0\n{more}\
             ssh_service:\n  enabled: no\n",
            data_dir.display(),
            self.auth(),
            self.pin,
        );
        let running = start(&yaml).await;
        HostProcess { data_dir, running }
    }

    /// A node that joins through the proxy's web port, with more lines in its `ssh_service`.
    pub async fn add_node(&self, name: &str, more: &str) -> HostProcess {
        self.add_node_behind(&[self.web()], name, more).await
    }

    /// The same through these addresses of proxies.
    pub async fn add_node_behind(&self, proxies: &[SocketAddr], name: &str, more: &str) -> HostProcess {
        let data_dir = self.folder.path().join(name);
        self.token("a-token-for-nodes").await;
        let through = match proxies {
            // The newest version has room for one.
            [proxy] => format!("v3\nteleport:\n  proxy_server: {proxy}"),
            several => format!(
                "v1\nteleport:\n  auth_servers: {:?}",
                several.iter().map(ToString::to_string).collect::<Vec<_>>()
            ),
        };
        let yaml = format!(
            "version: {through}\n  nodename: {name}\n  data_dir: {}\n  ca_pin: {}\n  auth_token: a-token-for-nodes\n\
             auth_service:\n  enabled: no\nproxy_service:\n  enabled: no\nssh_service:\n  enabled: yes\n{more}",
            data_dir.display(),
            self.pin,
        );
        let running = start(&yaml).await;
        HostProcess { data_dir, running }
    }

    /// The identity of a host that joined with a token of its own and runs nothing.
    pub async fn host(&self, role: domain::identity::SystemRole, name: &str) -> Bundle {
        let token = self.token_for(&format!("a-token-for-{name}"), &[role]).await;
        let joining = self.joining(role, name, token);
        let bundle = client::join::join(&joining, &port::random::SystemRandom).await;
        bundle.unwrap_or_else(|error| unreachable!("{}", chain(&error)))
    }

    /// What a host joins with, straight at the auth server.
    pub fn joining(
        &self,
        role: domain::identity::SystemRole,
        name: &str,
        token: Secret,
    ) -> client::join::Joining {
        let pin = certs::x509::Pin::parse(&self.pin).unwrap();
        client::join::Joining {
            addresses: vec![self.auth().to_string()],
            trust: ServerTrust::Pins(vec![pin]),
            token,
            host_id: domain::name::HostId(port::random::Random::uuid(&port::random::SystemRandom)),
            role,
            node_name: name.to_owned(),
            host_addresses: Vec::new(),
        }
    }

    /// Calls the auth server as this member of the cluster.
    pub fn client_of(&self, bundle: &Bundle) -> AuthClient {
        AuthClient::new(AuthEndpoint::of_member(vec![self.auth().to_string()], bundle).unwrap())
    }

    /// A user with these roles and logins, and certificates for them.
    pub async fn user(&self, name: &str, roles: &[&str], logins: &[&str]) -> Credentials {
        let text = |list: &[&str]| list.iter().map(|entry| (*entry).to_owned()).collect::<Vec<_>>();
        let traits = Traits([(LOGINS.to_owned(), text(logins))].into());
        let mut user = User::new(name, UserSpec { roles: text(roles), traits, ..UserSpec::default() });
        user.metadata = Metadata::named(name);
        retry(|| self.admin.put(&user, true)).await;
        self.sign(name, 0).await
    }

    /// Certificates for a user that is there; `ttl` in seconds, zero for the default.
    pub async fn sign(&self, name: &str, ttl: u64) -> Credentials {
        let key = certs::ssh::new_key(&port::random::SystemRandom);
        let request = api::auth::SignUserRequest {
            user: name.to_owned(),
            ttl_seconds: ttl,
            ssh_public_key: key.public_key().to_openssh().unwrap_or_default(),
            tls_public_key: Vec::new(),
            source_address: String::new(),
        };
        let answer = retry(|| self.admin.sign_user(request.clone())).await;
        let certificate = Certificate::from_openssh(&answer.ssh)
            .unwrap_or_else(|error| unreachable!("auth makes certificates: {error}"));
        Credentials { key, certificate }
    }

    /// The lines of the audit log so far.
    pub fn audit_log(&self) -> String {
        let log = self.folder.path().join("data/log/events.log");
        std::fs::read_to_string(log).unwrap_or_default()
    }

    /// The events of the audit log so far.
    pub fn events(&self) -> Vec<serde_json::Value> {
        // The last line may be half-written.
        self.audit_log().lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// Waits until a line of the audit log satisfies the test.
    pub async fn audited(&self, what: impl Fn(&str) -> bool) -> String {
        let look = async {
            loop {
                if let Some(line) = self.audit_log().lines().find(|line| what(line)) {
                    return line.to_owned();
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(READY, look).await.unwrap_or_else(|_| format!("no such event in:\n{}", self.audit_log()))
    }

    /// Stops auth and proxy.
    pub async fn stop(self) {
        self.running.stop().await;
    }
}

/// A client with the identity the daemon left in its data folder, as `tctl` has one.
pub fn admin(data_dir: &Path) -> AuthClient {
    let read = |name: &str| std::fs::read(data_dir.join(name)).unwrap_or_default();
    let bundle = Bundle::from_secret(&Secret::new(read(process::ADMIN_IDENTITY)))
        .unwrap_or_else(|error| unreachable!("the daemon leaves an identity: {error}"));
    let address = String::from_utf8_lossy(&read(process::AUTH_ADDRESS)).trim().to_owned();
    let trust = ServerTrust::Cluster(bundle.authorities.clone());
    let endpoint = AuthEndpoint::new(vec![address], &trust, Some(&bundle));
    AuthClient::new(endpoint.unwrap_or_else(|error| unreachable!("the identity is good: {error}")))
}

/// Starts a process from its configuration and waits until it is ready.
async fn start(yaml: &str) -> Running {
    ready(try_start(yaml, &ShiftedClock::default()).await).await
}

/// Starts a process from its configuration.
///
/// # Errors
/// Those of the process.
pub async fn try_start(yaml: &str, clock: &ShiftedClock) -> Result<Running, ProcessError> {
    net::install_crypto();
    let settings = config::check(yaml, "test.yaml").unwrap_or_else(|error| unreachable!("{error}"));
    let build = telemetry::Build { version: "0.1.0", revision: "" };
    let host = Host { program: session_child(), clock: Arc::new(clock.clone()), ..Host::machine(build) };
    process::start(settings, host).await
}

async fn ready(started: Result<Running, ProcessError>) -> Running {
    let running = started.unwrap_or_else(|error| unreachable!("{}", chain(&error)));
    if timeout(READY, running.health.ready()).await.is_err() {
        unreachable!("not ready: {:?}", running.health.shown());
    }
    running
}

/// An error and its causes in one line, as the programs print it.
pub fn chain(error: &dyn std::error::Error) -> String {
    error.source().map_or_else(|| error.to_string(), |source| format!("{error}: {}", chain(source)))
}

/// Calls until it works; a cluster that has just started may need a moment.
async fn retry<T, F: Future<Output = Result<T, client::ClientError>>>(call: impl Fn() -> F) -> T {
    let mut last = None;
    for _ in 0..50 {
        match call().await {
            Ok(value) => return value,
            Err(error) => last = Some(error),
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    unreachable!("{}", last.map(|error| chain(&error)).unwrap_or_default())
}
