//! Joining: what is refused is told and given up, what may pass is tried again.

use std::collections::BTreeSet;

use teleport_tests_interop::{Daemon, Port, World, eventually, run};
use tokio::process::Command;

use crate::bed::{auth_yaml, gives_up, joining, listed, node_command, tctl};

#[tokio::test(flavor = "multi_thread")]
async fn refused_tokens_end_the_daemon_and_the_log_says_why() {
    let world = World::start().await;
    world.tctl(&["tokens", "add", "--type=proxy", "--value=for-proxies-only"]).await;
    world.tctl(&["tokens", "add", "--type=node", "--value=never-used", "--ttl=1s"]).await;
    world.tctl(&["tokens", "add", "--type=node", "--value=short-lived"]).await;
    let early = joining(&world, "early", "short-lived");
    let unknown = joining(&world, "unknown", "nobody-made-this-token");
    let wrong_role = joining(&world, "wrong-role", "for-proxies-only");
    let mut file = node_command(world.folder(), "no-file", &world.ports.web.address().to_string());
    file.args(["--token=/nonexistent/token", "--ca-pin", world.pin()]);
    let no_file = Daemon::spawn_command(world.folder(), "no-file", file);
    let mut none = node_command(world.folder(), "no-token", &world.ports.web.address().to_string());
    none.args(["--ca-pin", world.pin()]);
    let no_token = Daemon::spawn_command(world.folder(), "no-token", none);
    gives_up(unknown, &["cannot join the cluster as node", "unknown or has expired"]).await;
    gives_up(wrong_role, &["cannot join the cluster as node", "does not allow the role node"]).await;
    gives_up(no_file, &["/nonexistent/token"]).await;
    gives_up(no_token, &["no join token", "tctl tokens add --type=node"]).await;
    listed(&world, "early").await;
    // Only now does it come to its end, however long joining took.
    let end = run(Command::new("date").args(["--utc", "--date=1 second", "+%FT%TZ"])).await.good();
    let token = format!(
        "kind: token\nversion: v2\nmetadata:\n  name: short-lived\n  expires: {end}spec:\n  roles: [node]\n"
    );
    world.try_tctl(&["create", "-f"], token.as_bytes()).await.good();
    for (name, token) in [("late", "never-used"), ("later", "short-lived")] {
        let record = format!("token/{token}");
        eventually("the token expires", || async {
            let got = world.try_tctl(&["get", &record, "--with-secrets"], b"").await;
            got.stderr.contains("does not exist").then_some(())
        })
        .await;
        gives_up(
            joining(&world, name, token),
            &["cannot join the cluster as node", "unknown or has expired"],
        )
        .await;
    }
    let refused = world.events().into_iter().filter(|event| event["code"] == "TJ002E").count();
    assert_eq!(refused, 4, "every refusal is on record");
    // Who is in stays in: only joining took the token.
    assert_eq!(early.stop().await.code(), Some(0));
    let log = world.main.log();
    assert!(!log.contains("short-lived") && !log.contains("never-used"), "tokens are not logged");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_wrong_pin_is_named_and_no_pin_is_refused() {
    let world = World::start().await;
    let web = world.ports.web.address().to_string();
    let wrong = format!("sha256:{}", "0".repeat(64));
    for server in [&web, &world.ports.auth.address().to_string()] {
        let name = format!("wrong-{}", server.rsplit_once(':').unwrap().1);
        let mut command = node_command(world.folder(), &name, server);
        command.args(["--token=a-token-that-tests-know", "--ca-pin", &wrong]);
        let mut daemon = Daemon::spawn_command(world.folder(), &name, command);
        // The address may lead to the right server tomorrow, so it goes on trying.
        let line = daemon.logged("check --ca-pin against `tctl status`").await;
        assert!(line.contains("cannot join yet"), "{line}");
        assert!(daemon.is_running());
        assert_eq!(daemon.state().await.unwrap().0, 400);
        assert_eq!(daemon.stop().await.code(), Some(0));
    }
    let mut command = node_command(world.folder(), "no-pin", &web);
    command.arg("--token=a-token-that-tests-know");
    let says = ["cannot tell whether", "give --ca-pin (tctl status prints it", "--insecure"];
    gives_up(Daemon::spawn_command(world.folder(), "no-pin", command), &says).await;
    let joins = world.events().into_iter().filter(|event| event["node_name"] != "proxy-1");
    assert_eq!(joins.filter(|event| event["event"] == "instance.join").count(), 0, "no token was sent");
    let mut command = node_command(world.folder(), "trusting", &web);
    command.args(["--token=a-token-that-tests-know", "--insecure"]);
    let mut trusting = Daemon::spawn_command(world.folder(), "trusting", command);
    trusting.ready().await;
    assert!(trusting.log().contains("(--insecure)"), "a warning");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_needs_the_web_port_only() {
    let world = World::start().await;
    let token = world.folder().join("token");
    std::fs::write(&token, "a-token-that-tests-know\n").unwrap();
    let mut node = joining(&world, "web-1", &token.display().to_string());
    node.ready().await;
    listed(&world, "web-1").await;
    let home = world.user("joe", "root").await;
    assert_eq!(home.on("web-1.main", "echo through the tunnel").await.good(), "through the tunnel\n");
    assert_eq!(peers(node.pid()), BTreeSet::from([world.ports.web.number()]), "{}", node.log());
}

/// The ports at the other ends of a process's TCP connections, those to its own listeners aside.
fn peers(pid: u32) -> BTreeSet<u16> {
    let sockets: BTreeSet<String> = std::fs::read_dir(format!("/proc/{pid}/fd"))
        .unwrap()
        .filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok())
        .filter_map(|link| Some(link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned()))
        .collect();
    let table = std::fs::read_to_string(format!("/proc/{pid}/net/tcp")).unwrap();
    let established = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let ours = established.filter(|words| words[3] == "01" && sockets.contains(words[9]));
    ours.map(|words| u16::from_str_radix(words[2].rsplit_once(':').unwrap().1, 16).unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_joins_the_auth_server_is_reached_at_its_own_port() {
    let world = World::start().await;
    let port = Port::free();
    let yaml = world.direct_node_yaml("direct-1", &port);
    let node = Daemon::start(world.folder(), "direct-1", &yaml).await;
    let record = listed(&world, "direct-1").await;
    assert_eq!(record["spec"]["addr"], port.address().to_string());
    let home = world.user("joe", "root").await;
    assert_eq!(home.on("direct-1.main", "echo through the proxy").await.good(), "through the proxy\n");
    let number = port.number().to_string();
    let direct = home.ssh(&["-p", &number, "127.0.0.1", "echo past it"]).await;
    assert_eq!(direct.good(), "past it\n");
    // Gone, it says goodbye.
    node.stop().await;
    world.until_nodes("the node is gone", <[_]>::is_empty).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn static_tokens_come_by_value_and_by_file() {
    let folder = tempfile::tempdir().unwrap();
    let (data, port, file) = (folder.path().join("data"), Port::free(), folder.path().join("secret"));
    std::fs::write(&file, "a-secret-from-a-file\n").unwrap();
    let more = format!("  tokens: [\"node:a-secret-by-value\", \"node:{}\"]\n", file.display());
    let _auth = Daemon::start(folder.path(), "auth", &auth_yaml(&data, &port, &more)).await;
    let status = tctl(&data, &["status"]).await;
    let pin = status.lines().find_map(|line| line.strip_prefix("CA pin")).unwrap().trim().to_owned();
    let mut nodes = Vec::new();
    for (name, token) in [("by-value", "a-secret-by-value"), ("by-file", "a-secret-from-a-file")] {
        let mut command = node_command(folder.path(), name, &port.address().to_string());
        let listen = loopback(nodes.len());
        command.args(["--token", token, "--ca-pin", &pin, "--listen-ip", &listen]);
        let mut node = Daemon::spawn_command(folder.path(), name, command);
        node.ready().await;
        nodes.push(node);
    }
    let listed = tctl(&data, &["nodes", "ls"]).await;
    assert!(listed.contains("by-value") && listed.contains("by-file"), "{listed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn all_in_one_starts_with_flags_alone() {
    let folder = tempfile::tempdir().unwrap();
    let (data, listen) = (folder.path().join("data"), loopback(9));
    let mut command = Command::new(teleport_tests_interop::program("teleport"));
    command.args(["start", "--nodename=all-1", "--listen-ip", &listen, "--labels"]);
    command.arg("env=dev,five=[1h:\"echo 5\"]").arg("--data-dir").arg(&data);
    let mut daemon = Daemon::spawn_command(folder.path(), "all", command);
    daemon.ready().await;
    let nodes = eventually("the node is listed with its labels", || async {
        Some(tctl(&data, &["nodes", "ls"]).await).filter(|text| text.contains("five=5"))
    })
    .await;
    assert!(nodes.contains("all-1") && nodes.contains("env=dev"), "{nodes}");
    assert!(nodes.contains(&format!("{listen}:3022")), "{nodes}");
    for (service, port) in
        [("auth", 3025), ("proxy ssh", 3023), ("proxy tunnel", 3024), ("proxy web", 3080), ("node ssh", 3022)]
    {
        let address = format!("{listen}:{port}");
        let log = daemon.log();
        let line = log.lines().find(|line| line.contains("listening") && line.contains(&address));
        assert!(line.is_some_and(|line| line.contains(service)), "{service} at {address}:\n{log}");
    }
    assert_eq!(daemon.stop().await.code(), Some(0));
}

/// An address of this machine that no other test uses: the standard ports are free there.
fn loopback(number: usize) -> String {
    let [_, _, high, low] = std::process::id().to_be_bytes();
    format!("127.{}.{high}.{low}", 100 + number)
}
