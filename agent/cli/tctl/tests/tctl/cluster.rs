//! An auth server in this process, its data folder, and `tctl` run beside it.

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use auth_service::{AuthService, Deps, Metrics, Settings};
use domain::identity::SystemRole;
use domain::name::{ClusterName, HostId};
use domain::secret::Secret;
use domain::token::StaticToken;
use fake::FakeAudit;
use port::clock::SystemClock;
use port::random::SystemRandom;
use storage::MemoryStore;
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;
use tokio_util::sync::CancellationToken;

/// How long one command may take before it counts as hanging.
const PATIENCE: Duration = Duration::from_secs(60);

/// A cluster of one auth server.
pub(crate) struct Cluster {
    pub(crate) folder: TempDir,
    pub(crate) service: Arc<AuthService>,
    pub(crate) audit: Arc<FakeAudit>,
    shutdown: CancellationToken,
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

/// What a command did.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Done {
    /// What it printed, provided that it succeeded.
    #[track_caller]
    pub(crate) fn ok(self) -> String {
        assert_eq!(self.code, 0, "{self:?}");
        self.out
    }

    /// What it complained of, provided that it failed with this code and printed nothing else.
    #[track_caller]
    pub(crate) fn failed(self, code: i32) -> String {
        assert_eq!((self.code, self.out.as_str()), (code, ""), "{self:?}");
        assert!(self.err.starts_with(if code == 1 { "ERROR: " } else { "" }), "{self:?}");
        self.err
    }
}

impl Cluster {
    /// A cluster called `main` with one proxy.
    pub(crate) async fn new() -> Self {
        Self::with(&["proxy.example.com:3080"], &[]).await
    }

    /// A cluster with these proxies and these tokens in its configuration.
    pub(crate) async fn with(proxies: &[&str], tokens: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let audit = Arc::new(FakeAudit::new());
        let deps = Deps {
            clock: Arc::new(SystemClock),
            random: Arc::new(SystemRandom),
            store: Arc::new(MemoryStore::new(Arc::new(SystemClock))),
            audit: audit.clone(),
            metrics: Metrics::default(),
        };
        let service = AuthService::new(settings(proxies, tokens), deps).await.unwrap();
        let shutdown = CancellationToken::new();
        tokio::spawn(Arc::clone(&service).run(shutdown.clone()));
        let cluster = Self { folder, service, audit, shutdown };
        cluster.leave_identity().await;
        cluster.write_config(tokens);
        cluster
    }

    /// Writes what the daemon writes for `tctl`.
    async fn leave_identity(&self) {
        let admin = self.service.own_identity(SystemRole::Admin).await.unwrap();
        let folder = self.path("data/identity");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("admin.json"), admin.to_secret().unwrap().reveal()).unwrap();
        std::fs::set_permissions(folder.join("admin.json"), std::fs::Permissions::from_mode(0o600)).unwrap();
        std::fs::write(folder.join("auth.addr"), format!("{}\n", self.service.address())).unwrap();
    }

    fn write_config(&self, tokens: &[&str]) {
        let list: String = tokens.iter().map(|token| format!("    - \"{token}\"\n")).collect();
        let tokens = if list.is_empty() { String::new() } else { format!("  tokens:\n{list}") };
        let data = self.path("data");
        let text =
            format!("teleport:\n  data_dir: {}\nauth_service:\n  enabled: yes\n{tokens}", data.display());
        std::fs::write(self.path("teleport.yaml"), text).unwrap();
    }

    /// A file in the folder of this test.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file in the folder of this test.
    pub(crate) fn file(&self, name: &str, text: &str) -> String {
        std::fs::write(self.path(name), text).unwrap();
        name.to_owned()
    }

    /// Runs `tctl` with the configuration of this cluster, in its folder.
    pub(crate) async fn tctl(&self, arguments: &[&str]) -> Done {
        self.tctl_with(arguments, "", &[]).await
    }

    /// The same with something to read and variables of its own.
    pub(crate) async fn tctl_with(
        &self,
        arguments: &[&str],
        input: &str,
        variables: &[(&str, &str)],
    ) -> Done {
        let arguments: Vec<_> = ["--config=teleport.yaml"].iter().chain(arguments).copied().collect();
        tctl(self.folder.path(), &arguments, input, variables).await
    }

    /// Runs `tctl` with `--format=json` and reads what it prints.
    pub(crate) async fn json(&self, arguments: &[&str]) -> serde_json::Value {
        let arguments: Vec<_> = arguments.iter().chain(&["--format=json"]).copied().collect();
        let done = self.tctl(&arguments).await;
        serde_json::from_str(&done.ok()).unwrap()
    }
}

/// Runs `tctl` in a folder, with nothing of this process's environment but the path.
pub(crate) async fn tctl(folder: &Path, arguments: &[&str], input: &str, variables: &[(&str, &str)]) -> Done {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tctl"));
    command.args(arguments).current_dir(folder).env_clear().env("HOME", folder).env("TMPDIR", folder);
    command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command.envs(variables.iter().copied()).kill_on_drop(true);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // A command that reads nothing closes the pipe.
    let _ = stdin.write_all(input.as_bytes()).await;
    drop(stdin);
    let output = tokio::time::timeout(PATIENCE, child.wait_with_output()).await.unwrap().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Done { code: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) }
}

fn settings(proxies: &[&str], tokens: &[&str]) -> Settings {
    let token = |entry: &&str| {
        let (roles, value) = domain::token::parse_static(entry).unwrap();
        StaticToken { roles, value: Secret::from(value) }
    };
    Settings {
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        cluster_name: Some(ClusterName::new("main").unwrap()),
        known_cluster: None,
        store: "the store".to_owned(),
        tokens: tokens.iter().map(token).collect(),
        host_id: HostId::parse("d52527f9-b260-41d0-bb5a-e23b0cfe0f8f").unwrap(),
        hostname: "auth".into(),
        names: vec!["127.0.0.1".into()],
        proxies: auth_service::ProxyAddresses {
            web: proxies.iter().map(|proxy| (*proxy).to_owned()).collect(),
            ssh: proxies.iter().map(|proxy| proxy.replace(":3080", ":2023")).collect(),
        },
        max_connections: 1000,
        host_ttl: Duration::from_secs(86_400),
        user_ttl: domain::certificate::USER_TTL,
        version: "0.1.0".into(),
    }
}
