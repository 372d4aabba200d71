//! What is measured: a cluster of release binaries, and OpenSSH's sshd beside it as target and bastion.
//!
//! Auth, proxy and node are a process each, so that what one costs is not counted with another.
//! Both sides log the same user in with the same certificate, show host certificates of the same
//! authority, and start the same shell in the same clean home; clients have one configuration.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;

use client::AuthClient;
use teleport_tests_cluster::{Credentials, admin};
use tempfile::TempDir;
use terminal::{Explain, Failure};

mod daemon;
mod namespace;
mod sshd;

pub(crate) use daemon::{Daemon, start_daemon};
pub(crate) use namespace::enter_namespace;
use sshd::Sshd;

/// The login of all sessions.
pub(crate) const LOGIN: &str = "root";
/// The configuration of every client.
const CLIENT: &str = "ssh_config";
/// The node's name.
pub(crate) const NODE: &str = "bench-node";

/// Everything that runs.
pub(crate) struct World {
    pub(crate) folder: TempDir,
    pub(crate) auth: Daemon,
    pub(crate) proxy: Daemon,
    pub(crate) node: Daemon,
    pub(crate) bastion: Sshd,
    pub(crate) target: Sshd,
    pub(crate) admin: AuthClient,
    pub(crate) credentials: Credentials,
    pub(crate) ssh_port: SocketAddr,
    pub(crate) web_port: SocketAddr,
    pub(crate) pin: String,
}

impl World {
    /// Starts everything and waits until a first session has worked on both sides.
    pub(crate) async fn start() -> Result<Self, Failure> {
        let folder = tempfile::tempdir()?;
        let [listen, ssh, tunnel, web] = free_ports()?;
        let yaml = format!(
            "version: v3\nteleport:\n  nodename: bench-auth\n  data_dir: {data}\n\
             auth_service:\n  cluster_name: bench\n  listen_addr: {listen}\n\
             proxy_service:\n  enabled: no\nssh_service:\n  enabled: no\n",
            data = folder.path().join("auth").display(),
        );
        let auth = start_daemon(folder.path(), "auth", &yaml).await?;
        let admin = admin(&folder.path().join("auth"));
        let status = admin.status().await?;
        let pin = status.ca_pins.first().cloned().unwrap_or_default();
        let credentials = user(&admin).await?;
        let token = join_token(&admin).await?;
        let yaml = format!(
            "version: v3\nteleport:\n  nodename: bench-proxy\n  data_dir: {data}\n  auth_server: {listen}\n  ca_pin: {pin}\n  auth_token: {token}\n\
             proxy_service:\n  enabled: yes\n  listen_addr: {ssh}\n  tunnel_listen_addr: {tunnel}\n  web_listen_addr: {web}\n\
             ssh_service:\n  enabled: no\n",
            data = folder.path().join("proxy").display(),
        );
        let proxy = start_daemon(folder.path(), "proxy", &yaml).await?;
        let yaml = format!(
            "version: v3\nteleport:\n  nodename: {NODE}\n  data_dir: {data}\n  proxy_server: {web}\n  ca_pin: {pin}\n  auth_token: {token}\n\
             ssh_service:\n  enabled: yes\n",
            data = folder.path().join("node").display(),
        );
        let node = start_daemon(folder.path(), "node", &yaml).await?;
        let authorities = api::authorities_from_wire(&status.authorities)?;
        let (bastion, target) = (
            Sshd::start(folder.path(), "bastion", &admin, &authorities).await?,
            Sshd::start(folder.path(), "target", &admin, &authorities).await?,
        );
        let world = Self {
            folder,
            auth,
            proxy,
            node,
            bastion,
            target,
            admin,
            credentials,
            ssh_port: ssh,
            web_port: web,
            pin,
        };
        world.write_client_files(&authorities)?;
        world.try_both()?;
        Ok(world)
    }

    /// `ssh` through our proxy to our node.
    pub(crate) fn ours(&self) -> Command {
        self.ours_at(NODE)
    }

    /// The same to a node of this name.
    pub(crate) fn ours_at(&self, node: &str) -> Command {
        let mut ssh = self.ssh();
        ssh.args(["-J", &format!("{LOGIN}@{}", self.ssh_port), &format!("{LOGIN}@{node}")]);
        ssh
    }

    /// `ssh -J` through sshd to sshd.
    pub(crate) fn peer(&self) -> Command {
        let mut ssh = self.ssh();
        let (bastion, target) = (self.bastion.port, self.target.port);
        ssh.args([
            "-J",
            &format!("{LOGIN}@127.0.0.1:{bastion}"),
            "-p",
            &target.to_string(),
            &format!("{LOGIN}@127.0.0.1"),
        ]);
        ssh
    }

    /// `ssh` straight to sshd.
    pub(crate) fn direct(&self) -> Command {
        let mut ssh = self.ssh();
        ssh.args(["-p", &self.target.port.to_string(), &format!("{LOGIN}@127.0.0.1")]);
        ssh
    }

    fn ssh(&self) -> Command {
        let mut ssh = Command::new("ssh");
        ssh.arg("-F").arg(self.path(CLIENT)).env("HOME", self.folder.path()).env_remove("SSH_AUTH_SOCK");
        // With which `ssh -J` starts the other ssh.
        ssh.env("SHELL", "/bin/sh");
        ssh
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write_client_files(&self, authorities: &[domain::authority::AuthoritySpec]) -> Result<(), Failure> {
        let identity = self.credentials.write(self.folder.path(), "id")?;
        let host = authorities.iter().find(|spec| spec.r#type == domain::authority::AuthorityType::Host);
        let key =
            host.and_then(|spec| spec.active_keys.first()).map(|keys| keys.ssh.clone()).unwrap_or_default();
        let known = self.path("known_hosts");
        std::fs::write(&known, format!("@cert-authority * {key}\n"))?;
        std::fs::write(self.path(CLIENT), client_config(&identity, &known))?;
        Ok(())
    }

    fn try_both(&self) -> Result<(), Failure> {
        for (mut ssh, what) in [(self.ours(), "ours"), (self.peer(), "peer")] {
            let output = ssh.args(["echo", "works"]).output().while_doing("cannot run ssh")?;
            if output.stdout != b"works\n" {
                let error = String::from_utf8_lossy(&output.stderr).into_owned();
                return Err(Failure::new(format!(
                    "the first session ({what}) failed: {error}\n{}",
                    self.logs()
                )));
            }
        }
        Ok(())
    }

    fn logs(&self) -> String {
        ["auth", "proxy", "node", "bastion", "target"]
            .map(|name| std::fs::read_to_string(self.path(&format!("{name}.log"))).unwrap_or_default())
            .join("\n")
    }
}

/// The same algorithms on both sides, and nothing from the machine's own configuration.
fn client_config(identity: &Path, known: &Path) -> String {
    format!(
        "Host *\n  KexAlgorithms curve25519-sha256\n  Ciphers aes256-gcm@openssh.com\n  IdentityFile {}\n  IdentitiesOnly yes\n\
         \x20 UserKnownHostsFile {}\n  GlobalKnownHostsFile /dev/null\n  StrictHostKeyChecking yes\n  BatchMode yes\n  ControlPath none\n",
        identity.display(),
        known.display()
    )
}

async fn user(admin: &AuthClient) -> Result<Credentials, Failure> {
    use domain::traits::Traits;
    use domain::user::{LOGINS, User, UserSpec};
    let traits = Traits([(LOGINS.to_owned(), vec![LOGIN.to_owned()])].into());
    let user =
        User::new("bench", UserSpec { roles: vec!["access".to_owned()], traits, ..UserSpec::default() });
    admin.put(&user, true).await?;
    let key = certs::ssh::new_key(&port::random::SystemRandom);
    let request = api::auth::SignUserRequest {
        user: "bench".to_owned(),
        ssh_public_key: key.public_key().to_openssh()?,
        ..Default::default()
    };
    let answer = admin.sign_user(request).await?;
    Ok(Credentials { key, certificate: ssh_key::Certificate::from_openssh(&answer.ssh)? })
}

/// A token for the proxy and any number of nodes.
pub(crate) async fn join_token(admin: &AuthClient) -> Result<String, Failure> {
    use domain::identity::SystemRole;
    use domain::token::{JoinMethod, Token, TokenSpec};
    let spec = TokenSpec {
        roles: vec![SystemRole::Node, SystemRole::Proxy],
        join_method: JoinMethod::Token,
        suggested_labels: domain::label::Labels::default(),
        invites_user: None,
    };
    admin.put(&Token::new("a-token-for-the-benchmark", spec), true).await?;
    Ok("a-token-for-the-benchmark".to_owned())
}

/// Ports nobody listens on at this moment.
pub(crate) fn free_ports<const N: usize>() -> std::io::Result<[SocketAddr; N]> {
    let mut listeners = Vec::new();
    let mut ports = [SocketAddr::from(([127, 0, 0, 1], 0)); N];
    for port in &mut ports {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        *port = listener.local_addr()?;
        listeners.push(listener);
    }
    Ok(ports)
}
