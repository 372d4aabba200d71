//! A cluster of processes: auth and proxy in one, nodes beside it.

use std::path::{Path, PathBuf};

use serde_json::Value;
use tempfile::TempDir;
use tokio::process::Command;

use crate::command::{Output, eventually, eventually_or, program, run_with};
use crate::daemon::Daemon;
use crate::home::Home;
use crate::port::Port;

/// The join token of every world.
const TOKEN: &str = "a-token-that-tests-know";

/// The login of whoever runs the tests: the one a node without root can start sessions as.
///
/// # Panics
/// When the system does not know.
pub fn login() -> String {
    let output = std::process::Command::new("id").arg("-un").output().expect("id is there");
    String::from_utf8(output.stdout).expect("a name").trim().to_owned()
}

/// Where the services of auth and proxy listen.
#[derive(Debug)]
pub struct Ports {
    /// gRPC.
    pub auth: Port,
    /// SSH of the proxy.
    pub ssh: Port,
    /// Links of agents.
    pub tunnel: Port,
    /// HTTPS.
    pub web: Port,
}

impl Default for Ports {
    fn default() -> Self {
        Self { auth: Port::free(), ssh: Port::free(), tunnel: Port::free(), web: Port::free() }
    }
}

/// A cluster called `main`.
#[derive(Debug)]
pub struct World {
    folder: TempDir,
    /// Auth, and the proxy unless they were started apart.
    pub main: Daemon,
    /// The proxy, where it is a process of its own.
    pub proxy: Option<Daemon>,
    /// Where they listen.
    pub ports: Ports,
    pin: String,
    authority: String,
}

impl World {
    /// Auth and proxy in one process.
    pub async fn start() -> Self {
        Self::start_with("").await
    }

    /// The same with more lines at the end of the configuration.
    pub async fn start_with(more: &str) -> Self {
        let (folder, ports) = (tempfile::tempdir().unwrap(), Ports::default());
        let yaml = format!("{}{}{more}", head(&folder, "main", "proxy-1"), auth(&ports) + &proxy(&ports));
        let main = Daemon::start(folder.path(), "main", &(yaml + "ssh_service:\n  enabled: no\n")).await;
        Self::introduce(folder, main, None, ports).await
    }

    /// Auth and proxy in a process each.
    pub async fn start_apart() -> Self {
        let (folder, ports) = (tempfile::tempdir().unwrap(), Ports::default());
        let yaml = head(&folder, "main", "auth-1") + &auth(&ports);
        let off = "proxy_service:\n  enabled: no\nssh_service:\n  enabled: no\n";
        let main = Daemon::start(folder.path(), "main", &(yaml + off)).await;
        let mut world = Self::introduce(folder, main, None, ports).await;
        world.proxy = Some(world.start_proxy().await);
        world.authority = eventually("the proxy makes itself known", || async {
            let exported = world.tctl(&["auth", "export", "--type=host"]).await;
            exported.contains("127.0.0.1").then_some(exported)
        })
        .await;
        world
    }

    /// Starts the proxy's process, or starts it again.
    pub async fn start_proxy(&self) -> Daemon {
        Daemon::start(self.folder(), "proxy", &self.proxy_yaml()).await
    }

    fn proxy_yaml(&self) -> String {
        let join = format!("  auth_server: {}\n{}", self.ports.auth.address(), self.joining());
        let off = "ssh_service:\n  enabled: no\n";
        head(&self.folder, "proxy", "proxy-1")
            + &join
            + "auth_service:\n  enabled: no\n"
            + off
            + &proxy(&self.ports)
    }

    async fn introduce(folder: TempDir, main: Daemon, proxy: Option<Daemon>, ports: Ports) -> Self {
        let mut world = Self { folder, main, proxy, ports, pin: String::new(), authority: String::new() };
        let status: Value = serde_json::from_str(&world.tctl(&["status", "--format=json"]).await).unwrap();
        world.pin = status["ca_pins"][0].as_str().expect("tctl status tells the pin").to_owned();
        world.authority = world.tctl(&["auth", "export", "--type=host"]).await;
        world
    }

    /// Files of this world; gone with it.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The pin hosts join with.
    pub fn pin(&self) -> &str {
        &self.pin
    }

    /// The line for `known_hosts`.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// `tctl`, as one would type it on the auth server's host.
    pub async fn tctl(&self, arguments: &[&str]) -> String {
        self.try_tctl(arguments, b"").await.good()
    }

    /// The same, with input, and it may fail.
    pub async fn try_tctl(&self, arguments: &[&str], input: &[u8]) -> Output {
        let mut command = Command::new(program("tctl"));
        command.args(arguments).arg("-c").arg(&self.main.config).current_dir(self.folder());
        run_with(&mut command, input).await
    }

    /// The lines of a node's configuration with which it joins.
    fn joining(&self) -> String {
        format!("  ca_pin: {}\n  auth_token: {TOKEN}\n", self.pin)
    }

    /// The configuration of a node that joins through the proxy's web port, with more lines in its
    /// `ssh_service`.
    pub fn node_yaml(&self, name: &str, more: &str) -> String {
        let join = format!("  proxy_server: {}\n{}", self.ports.web.address(), self.joining());
        head(&self.folder, name, name) + &join + "ssh_service:\n  enabled: yes\n" + more
    }

    /// The configuration of a node that joins the auth server and is reached at its own port.
    pub fn direct_node_yaml(&self, name: &str, port: &Port) -> String {
        let join = format!("  auth_server: {}\n{}", self.ports.auth.address(), self.joining());
        let off = "proxy_service:\n  enabled: no\n";
        let listen = format!("ssh_service:\n  enabled: yes\n  listen_addr: {}\n", port.address());
        head(&self.folder, name, name) + &join + off + &listen
    }

    /// A node behind the proxy.
    pub async fn node(&self, name: &str) -> Daemon {
        self.node_with(name, "").await
    }

    /// The same with more lines in its `ssh_service`.
    pub async fn node_with(&self, name: &str, more: &str) -> Daemon {
        Daemon::start(self.folder(), name, &self.node_yaml(name, more)).await
    }

    /// A user with these logins and the role `access`, and their home.
    pub async fn user(&self, name: &str, logins: &str) -> Home {
        self.tctl(&["users", "add", name, logins]).await;
        self.sign(name).await
    }

    /// The home of a user that is there.
    pub async fn sign(&self, name: &str) -> Home {
        let home = self.home(name);
        let out = home.file("id").display().to_string();
        self.tctl(&["auth", "sign", "--user", name, "--out", &out, "--overwrite"]).await;
        home
    }

    /// A home without a key.
    pub fn home(&self, name: &str) -> Home {
        Home::new(&self.folder().join("homes").join(name), &self.authority, self.ports.ssh.address())
    }

    /// The nodes that are listed.
    pub async fn nodes(&self) -> Vec<Value> {
        let text = self.tctl(&["nodes", "ls", "--format=json"]).await;
        serde_json::from_str(&text).unwrap()
    }

    /// Waits until the list of nodes is as wanted.
    pub async fn until_nodes(&self, what: &str, wanted: impl Fn(&[Value]) -> bool) -> Vec<Value> {
        let look = || async {
            let nodes = self.nodes().await;
            if wanted(&nodes) { Ok(nodes) } else { Err(format!("{:#}", Value::from(nodes))) }
        };
        eventually_or(what, look).await
    }

    /// The folder of the audit log.
    pub fn log_folder(&self) -> PathBuf {
        self.folder().join("data-main/log")
    }

    /// The events so far, in the order they were written.
    pub fn events(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.log_folder().join("events.log")).unwrap_or_default();
        // The last line may be half-written.
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// Waits for an event.
    pub async fn event(&self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        eventually(what, || async { self.events().into_iter().find(|event| wanted(event)) }).await
    }
}

fn head(folder: &TempDir, name: &str, nodename: &str) -> String {
    let data = folder.path().join(format!("data-{name}"));
    format!("version: v3\nteleport:\n  nodename: {nodename}\n  data_dir: {}\n", data.display())
}

fn auth(ports: &Ports) -> String {
    format!(
        "auth_service:\n  enabled: yes\n  cluster_name: main\n  listen_addr: {}\n  tokens: [\"proxy,node:{TOKEN}\"]\n",
        ports.auth.address()
    )
}

fn proxy(ports: &Ports) -> String {
    format!(
        "proxy_service:\n  enabled: yes\n  listen_addr: {}\n  tunnel_listen_addr: {}\n  web_listen_addr: {web}\n  public_addr: {web}\n",
        ports.ssh.address(),
        ports.tunnel.address(),
        web = ports.web.address()
    )
}
