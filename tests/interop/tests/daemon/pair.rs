//! Two auth servers on one etcd are one cluster, also while a member of etcd or one of them is lost.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use teleport_tests_interop::{
    Daemon, Home, Output, PATIENCE, Port, Signal, eventually, program, run, run_with,
};
use tempfile::TempDir;
use tokio::process::Command;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

use crate::bed::{auth_yaml, gives_up, names};

mod authority;
mod etcd;
mod hang;
mod stop;

use authority::Authority;
use etcd::Etcd;

/// Within what a lock that is set at one auth server holds on a node that follows the other. It goes a long way on a
/// machine that is busy with other things, and while a member of etcd is lost a watch may wait for the one it hangs
/// on before it is begun anew at another: how prompt it is otherwise is not measured here.
const LOCK_BOUND: Duration = Duration::from_secs(60);

/// An auth server.
struct Auth {
    daemon: Daemon,
    port: Port,
    data: PathBuf,
}

impl Auth {
    fn spawn(folder: &TempDir, name: &str, storage: &str) -> Self {
        Self::spawn_with(folder, name, storage, |yaml| yaml)
    }

    /// The same with a configuration that was changed.
    fn spawn_with(
        folder: &TempDir,
        name: &str,
        storage: &str,
        change: impl FnOnce(String) -> String,
    ) -> Self {
        let (port, data) = (Port::free(), folder.path().join(format!("data-{name}")));
        let yaml = auth_yaml(&data, &port, "  cluster_name: main\n");
        let named = format!("nodename: {name}\n{storage}");
        let yaml = change(yaml.replacen("nodename: auth-1\n", &named, 1));
        Self { daemon: Daemon::spawn(folder.path(), name, &yaml), port, data }
    }

    fn address(&self) -> String {
        self.port.address().to_string()
    }

    async fn try_tctl(&self, arguments: &[&str], input: &str) -> Output {
        try_tctl(&self.data, arguments, input).await
    }

    async fn tctl(&self, arguments: &[&str]) -> String {
        self.try_tctl(arguments, "").await.good()
    }

    async fn json(&self, arguments: &[&str]) -> Value {
        let mut arguments = arguments.to_vec();
        arguments.push("--format=json");
        serde_json::from_str(&self.tctl(&arguments).await).unwrap()
    }

    /// Waits until it lists exactly these nodes.
    async fn lists(&self, wanted: &[&str]) {
        eventually(&format!("{wanted:?} are listed"), || async {
            let nodes = self.json(&["nodes", "ls"]).await;
            let mut listed = names(nodes.as_array().unwrap());
            listed.sort_unstable();
            (listed == wanted).then_some(())
        })
        .await;
    }
}

/// `tctl` on the host of an auth server that keeps its state in this folder.
async fn try_tctl(data: &Path, arguments: &[&str], input: &str) -> Output {
    let mut command = Command::new(program("tctl"));
    command.args(arguments).arg("--data-dir").arg(data);
    run_with(&mut command, input.as_bytes()).await
}

/// Two auth servers, founded at the same moment, and what keeps their records.
struct Pair {
    etcd: Etcd,
    auths: [Auth; 2],
    pin: String,
    folder: TempDir,
}

impl Pair {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let etcd = Etcd::start(folder.path()).await;
        let storage = etcd.storage("client", "ca");
        let mut auths = ["auth-1", "auth-2"].map(|name| Auth::spawn(&folder, name, &storage));
        let mut pins = Vec::new();
        for auth in &mut auths {
            auth.daemon.ready().await;
            pins.push(auth.json(&["status"]).await["ca_pins"].clone());
        }
        assert_eq!(pins[0], pins[1], "one cluster has one authority");
        let pin = pins[0][0].as_str().unwrap().to_owned();
        Self { etcd, auths, pin, folder }
    }

    /// A node that joins at these auth servers with this token and is reached at its own port.
    async fn node(&self, name: &str, servers: &[&Auth], token: &str) -> Node {
        let port = Port::free();
        let servers: Vec<_> = servers.iter().map(|auth| auth.address()).collect();
        let yaml = format!(
            "version: v2\nteleport:\n  nodename: {name}\n  data_dir: {}\n  auth_servers: [{}]\n  ca_pin: {}\n  \
             auth_token: {token}\nauth_service:\n  enabled: no\nproxy_service:\n  enabled: no\n\
             ssh_service:\n  enabled: yes\n  listen_addr: {}\n",
            self.folder.path().join(format!("data-{name}")).display(),
            servers.join(", "),
            self.pin,
            port.address(),
        );
        Node { daemon: Daemon::start(self.folder.path(), name, &yaml).await, port }
    }

    /// The home of a user, made by one auth server and signed for by the other.
    async fn user(&self, name: &str) -> Home {
        let [one, other] = &self.auths;
        user(self.folder.path(), name, [one, other]).await
    }
}

async fn user(folder: &Path, name: &str, [one, other]: [&Auth; 2]) -> Home {
    one.tctl(&["users", "add", name, "root"]).await;
    let authority = one.tctl(&["auth", "export", "--type=host"]).await;
    let authority = authority.replacen("*.main", "*.main,127.0.0.1,[127.0.0.1]:*", 1);
    let home = Home::new(&folder.join("homes").join(name), &authority, one.port.address());
    let out = home.file("id").display().to_string();
    other.tctl(&["auth", "sign", "--user", name, "--out", &out, "--overwrite"]).await;
    home
}

/// A node.
struct Node {
    daemon: Daemon,
    port: Port,
}

impl Node {
    async fn run(&self, home: &Home, command: &str) -> Output {
        ssh(&self.port, home, command).await
    }

    async fn session(&self, pair: &Pair, home: &Home) -> JoinHandle<Output> {
        session(pair.folder.path(), &self.port, home, "exec sleep 600").await
    }
}

/// A command on the node that listens at this port.
async fn ssh(port: &Port, home: &Home, command: &str) -> Output {
    let port = port.number().to_string();
    run(home.command("ssh").args(["-p", &port, "127.0.0.1", command])).await
}

/// A session that is there, and how it ends.
async fn session(folder: &Path, port: &Port, home: &Home, command: &str) -> JoinHandle<Output> {
    let begun = folder.join(format!("begun-{}", port.number()));
    let _ = std::fs::remove_file(&begun);
    let (port, home) = (port.number().to_string(), home.clone());
    let script = format!("touch {}; {command}", begun.display());
    let session =
        tokio::spawn(async move { run(home.command("ssh").args(["-p", &port, "127.0.0.1", &script])).await });
    eventually("the session runs", || async { begun.exists().then_some(()) }).await;
    session
}

/// Locks a user at an auth server and waits until their session ends, which takes no longer than this.
async fn locks_out(auth: &Auth, user: &str, session: JoinHandle<Output>, bound: Duration) {
    auth.tctl(&["lock", "--user", user, "--message", "on holiday"]).await;
    let locked = Instant::now();
    let ended = timeout(PATIENCE, session).await.expect("the lock ends the session").unwrap();
    assert!(locked.elapsed() < bound, "{:?}", locked.elapsed());
    assert!(ended.code() == Some(255) && ended.stderr.contains("on holiday"), "{}", ended.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_auth_servers_on_one_etcd_are_one_cluster() {
    let pair = Pair::start().await;
    let [one, other] = &pair.auths;
    one.tctl(&["tokens", "add", "--type=node", "--value=made-at-the-first"]).await;
    let web = pair.node("web-1", &[other], "made-at-the-first").await;
    other.tctl(&["tokens", "add", "--type=node", "--value=made-at-the-second"]).await;
    let _db = pair.node("db-1", &[one], "made-at-the-second").await;
    for auth in &pair.auths {
        auth.lists(&["db-1", "web-1"]).await;
    }
    for auth in &pair.auths {
        let servers = auth.json(&["get", "auth_servers"]).await;
        let spec = |server: &Value| (server["spec"]["hostname"].clone(), server["spec"]["addrs"][0].clone());
        let mut told: Vec<_> = servers.as_array().unwrap().iter().map(spec).collect();
        told.sort_by_key(|(hostname, _)| hostname.to_string());
        let there = ["auth-1", "auth-2"]
            .map(Value::from)
            .into_iter()
            .zip([one, other].map(|auth| auth.address().into()));
        assert_eq!(told, there.collect::<Vec<_>>());
    }
    for auth in &pair.auths {
        let listed = auth.json(&["plugins", "ls"]).await;
        let keeps =
            listed.as_array().unwrap().iter().find(|plugin| plugin["name"] == "storage-etcd").unwrap();
        let grants: Vec<_> = keeps["grants"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
        let peers = (0..3)
            .map(|member| format!("http to https://{}, private addresses too", pair.etcd.address(member)));
        assert_eq!(
            (keeps["state"].as_str(), grants),
            (Some("Ready"), peers.collect::<Vec<_>>().iter().map(String::as_str).collect())
        );
    }
    // A token that one takes back admits nobody at the other.
    one.tctl(&["tokens", "rm", "made-at-the-second"]).await;
    let gone = other.try_tctl(&["get", "token/made-at-the-second", "--with-secrets"], "").await;
    assert!(gone.stderr.contains("does not exist"), "{}", gone.stderr);

    let role = "kind: role\nversion: v7\nmetadata:\n  name: deploy\nspec:\n  allow:\n    logins: [root]\n";
    other.try_tctl(&["create"], role).await.good();
    assert_eq!(
        one.try_tctl(&["create"], role).await.code(),
        Some(1),
        "what is there at one is there at the other"
    );
    let home = pair.user("joe").await;
    for kind in ["users", "roles"] {
        let [first, second] = [one.json(&["get", kind]).await, other.json(&["get", kind]).await];
        assert_eq!(first, second);
        assert!(first.to_string().contains(if kind == "users" { "joe" } else { "deploy" }), "{first}");
    }
    // The node follows the second, and the lock is set at the first.
    assert_eq!(web.run(&home, "echo in").await.good(), "in\n");
    let session = web.session(&pair, &home).await;
    locks_out(one, "joe", session, LOCK_BOUND).await;
    assert_eq!(web.run(&home, "echo in").await.code(), Some(255));
    for auth in pair.auths {
        assert!(!auth.daemon.log().contains("panicked"), "{}", auth.daemon.log());
        assert_eq!(auth.daemon.stop().await.code(), Some(0));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn watches_go_on_when_members_of_etcd_are_lost_and_come_back() {
    let mut pair = Pair::start().await;
    pair.auths[0].tctl(&["tokens", "add", "--type=node", "--value=some-token"]).await;
    let web = pair.node("web-1", &[&pair.auths[1]], "some-token").await;
    // The leader is killed under a watch, and then each of the others in its turn.
    for round in 0..3 {
        let name = format!("joe-{round}");
        let home = pair.user(&name).await;
        let session = web.session(&pair, &home).await;
        let member = if round == 0 { pair.etcd.leader().await } else { (pair.etcd.leader().await + 1) % 3 };
        pair.etcd.kill(member).await;
        locks_out(&pair.auths[0], &name, session, LOCK_BOUND).await;
        pair.etcd.launch(member);
        pair.etcd.ready(member).await;
    }
    // Whole again, it is as before.
    let home = pair.user("ann").await;
    let session = web.session(&pair, &home).await;
    locks_out(&pair.auths[0], "ann", session, LOCK_BOUND).await;
    for auth in &pair.auths {
        auth.lists(&["web-1"]).await;
        auth.daemon.until_state(200).await;
        let locks = auth.json(&["get", "locks"]).await;
        assert_eq!(locks.as_array().unwrap().len(), 4, "{locks}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_knows_both_auth_servers_outlives_either() {
    let mut pair = Pair::start().await;
    pair.auths[0].tctl(&["tokens", "add", "--type=node", "--value=some-token"]).await;
    let web = pair.node("web-1", &[&pair.auths[0], &pair.auths[1]], "some-token").await;
    for (dead, alive) in [(0, 1), (1, 0)] {
        let name = format!("joe-{dead}");
        let home = pair.user(&name).await;
        let session = web.session(&pair, &home).await;
        pair.auths[dead].daemon.signal(Signal::KILL);
        pair.auths[dead].daemon.ended().await;
        // What the other is told holds on the node, whichever of them it followed.
        locks_out(&pair.auths[alive], &name, session, PATIENCE).await;
        web.daemon.until_state(200).await;
        pair.auths[alive].lists(&["web-1"]).await;
        pair.auths[dead].daemon.respawn();
        pair.auths[dead].daemon.ready().await;
        pair.auths[dead].lists(&["web-1"]).await;
    }
    assert!(!web.daemon.log().contains("panicked"), "{}", web.daemon.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_that_etcd_refuses_are_named_with_the_way_out() {
    let folder = tempfile::tempdir().unwrap();
    let etcd = Etcd::start(folder.path()).await;
    let stranger = Authority::new(folder.path(), "other-ca");
    stranger.sign("stranger");
    let path = |name: &str| folder.path().join(name).display().to_string();
    let cases = [
        (
            "client",
            "other-ca",
            format!("trusted when tls_ca_file {} vouches for it", path("other-ca.pem")),
            "not trusted",
        ),
        ("stranger", "ca", format!("It was asked with tls_cert_file {} (with", path("stranger.pem")), ""),
        ("nothing", "ca", path("nothing.pem"), "is not there"),
    ];
    for (number, (certificate, authority, names, why)) in cases.into_iter().enumerate() {
        let mut auth = Auth::spawn(&folder, &format!("auth-{number}"), &etcd.storage(certificate, authority));
        auth.daemon.ended().await;
        let log = auth.daemon.log();
        // etcd says so, or hangs up before that is heard.
        let is_refused = log.contains("it refused TLS: ") || log.contains("the connection was closed");
        assert!(certificate != "stranger" || is_refused, "{log}");
        let says = [names.as_str(), why];
        gives_up(auth.daemon, &says).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn members_nobody_vouches_for_are_taken_with_a_warning_where_that_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let etcd = Etcd::start(folder.path()).await;
    Authority::new(folder.path(), "other-ca");
    let storage = etcd.storage("client", "other-ca") + "    insecure: true\n";
    let mut auth = Auth::spawn(&folder, "auth-1", &storage);
    auth.daemon.ready().await;
    let warned = auth.daemon.logged("whoever answers at its address gets every record").await;
    assert!(warned.contains("storage.insecure"), "{warned}");
    assert_eq!(auth.daemon.stop().await.code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_has_a_cluster_makes_no_other_in_an_empty_etcd() {
    let folder = tempfile::tempdir().unwrap();
    let etcd = Etcd::start(folder.path()).await;
    let storage = etcd.storage("client", "ca");
    let mut auth = Auth::spawn(&folder, "auth-1", "");
    auth.daemon.ready().await;
    assert_eq!(auth.daemon.stop().await.code(), Some(0));
    // As one moves to etcd who takes the records for moved, or whose prefix is mistyped.
    let moved = Auth::spawn(&folder, "auth-1", &storage);
    let says = [
        "keys below /teleport-test/ is empty, but this data_dir belongs to the cluster \"main\"",
        "no cluster was made there",
        "set teleport.storage to where its records are",
    ];
    gives_up(moved.daemon, &says).await;
    // Nothing was: another host makes another cluster there, and is not told of ours.
    let named = |yaml: String| yaml.replace("cluster_name: main", "cluster_name: other");
    let mut other = Auth::spawn_with(&folder, "auth-2", &storage, named);
    other.daemon.ready().await;
    assert_eq!(other.daemon.stop().await.code(), Some(0));
    let moved = Auth::spawn(&folder, "auth-1", &storage);
    let says = ["keys below /teleport-test/ belongs to the cluster \"other\", but auth_service.cluster_name"];
    gives_up(moved.daemon, &says).await;
}
