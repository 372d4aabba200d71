//! Three members of etcd that speak TLS and let in only who shows a certificate of their authority.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;

use serde_json::Value;
use teleport_tests_interop::{Port, eventually, get, run};
use tokio::process::{Child, Command};

use super::authority::Authority;

/// A member.
struct Member {
    name: String,
    client: Port,
    peer: Port,
    /// Health and metrics, without TLS.
    metrics: Port,
    running: Option<Child>,
}

/// A cluster of three.
pub(super) struct Etcd {
    pub(super) authority: Authority,
    members: Vec<Member>,
}

impl Etcd {
    /// Starts the members, whose files are kept in this folder.
    pub(super) async fn start(folder: &Path) -> Self {
        let authority = Authority::new(folder, "ca");
        authority.sign("server");
        authority.sign("client");
        let member = |number| Member {
            name: format!("m{number}"),
            client: Port::free(),
            peer: Port::free(),
            metrics: Port::free(),
            running: None,
        };
        let mut etcd = Self { authority, members: (0..3).map(member).collect() };
        for number in 0..3 {
            etcd.launch(number);
        }
        for number in 0..3 {
            etcd.ready(number).await;
        }
        etcd
    }

    /// Starts a member that does not run.
    pub(super) fn launch(&mut self, number: usize) {
        let peer_url = |member: &Member| format!("https://{}", member.peer.address());
        let all: Vec<_> =
            self.members.iter().map(|member| format!("{}={}", member.name, peer_url(member))).collect();
        let file = |name: &str| self.authority.file(name).display().to_string();
        let (ca, pem, key) = (file("ca.pem"), file("server.pem"), file("server.key"));
        let member = &self.members[number];
        let (client, peer) = (format!("https://{}", member.client.address()), peer_url(member));
        let metrics = format!("http://{}", member.metrics.address());
        let log = std::fs::File::create(file(&format!("{}.log", member.name))).unwrap();
        let running = Command::new("etcd")
            .args(["--name", &member.name, "--data-dir", &file(&member.name)])
            .args(["--listen-client-urls", &client, "--advertise-client-urls", &client])
            .args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer])
            .args(["--initial-cluster", &all.join(","), "--listen-metrics-urls", &metrics])
            .args(["--client-cert-auth", "--trusted-ca-file", &ca, "--cert-file", &pem, "--key-file", &key])
            .args(["--peer-client-cert-auth", "--peer-trusted-ca-file", &ca])
            .args(["--peer-cert-file", &pem, "--peer-key-file", &key])
            .args(["--heartbeat-interval", "50", "--election-timeout", "500"])
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|error| panic!("etcd cannot be started ({error}); run: cargo xtask test"));
        self.members[number].running = Some(running);
    }

    /// Waits until a member takes writes.
    pub(super) async fn ready(&self, number: usize) {
        let address = self.members[number].metrics.address();
        eventually("etcd is up", || async {
            get(address, "/health").await.filter(|(_, body)| body.contains("true")).map(drop)
        })
        .await;
    }

    /// The member that leads.
    pub(super) async fn leader(&self) -> usize {
        eventually("etcd has a leader", || async {
            for (number, member) in self.members.iter().enumerate() {
                let Some((_, text)) = get(member.metrics.address(), "/metrics").await else { continue };
                if text.lines().any(|line| line == "etcd_server_is_leader 1") {
                    return Some(number);
                }
            }
            None
        })
        .await
    }

    /// Kills a member as a power cut would.
    pub(super) async fn kill(&mut self, number: usize) {
        self.members[number].running.take().expect("it runs").kill().await.unwrap();
    }

    /// Where a member serves its clients.
    pub(super) fn address(&self, number: usize) -> SocketAddr {
        self.members[number].client.address()
    }

    /// Has etcd forget all that happened before now.
    pub(super) async fn compact(&self) {
        let answer = self.ask("/v3/kv/range", r#"{"key": "AA=="}"#).await;
        let revision = answer["header"]["revision"].as_str().unwrap().to_owned();
        self.ask("/v3/kv/compaction", &format!(r#"{{"revision": "{revision}"}}"#)).await;
    }

    /// Asks the first member something over its gateway.
    async fn ask(&self, path: &str, body: &str) -> Value {
        let file = |name: &str| self.authority.file(name).display().to_string();
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--show-error", "--fail", "--max-time", "60", "--data", body]);
        curl.args(["--cacert", &file("ca.pem"), "--cert", &file("client.pem"), "--key", &file("client.key")]);
        let url = format!("https://{}{path}", self.address(0));
        serde_json::from_str(&run(curl.arg(url)).await.good()).unwrap()
    }

    /// What `teleport.storage` says of it, with this client certificate, in files of the authority's folder.
    pub(super) fn storage(&self, certificate: &str, authority: &str) -> String {
        let all: Vec<_> = (0..self.members.len()).map(|number| self.address(number)).collect();
        self.storage_at(&all, certificate, authority)
    }

    /// The same where etcd is reached at these addresses.
    pub(super) fn storage_at(&self, peers: &[SocketAddr], certificate: &str, authority: &str) -> String {
        let peers: Vec<_> = peers.iter().map(|peer| format!("\"https://{peer}\"")).collect();
        let file = |name: String| self.authority.file(&name).display().to_string();
        format!(
            "  storage:\n    type: etcd\n    peers: [{}]\n    tls_cert_file: {}\n    tls_key_file: {}\n    \
             tls_ca_file: {}\n    prefix: /teleport-test\n",
            peers.join(", "),
            file(format!("{certificate}.pem")),
            file(format!("{certificate}.key")),
            file(format!("{authority}.pem")),
        )
    }
}
