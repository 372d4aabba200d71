//! Daemons that the tests of this folder start beside a [`World`].

use std::path::Path;

use serde_json::Value;
use teleport_tests_interop::{Daemon, Port, World, program, run};
use tokio::process::Command;

/// `teleport start` for a node, with flags alone, that joins at this address.
pub(crate) fn node_command(folder: &Path, name: &str, server: &str) -> Command {
    let mut command = Command::new(program("teleport"));
    command.args(["start", "--roles=node", "--nodename", name, "--auth-server", server, "--data-dir"]);
    command.arg(folder.join(format!("data-{name}")));
    command
}

/// A node that joins at the world's web port with this token and the right pin.
pub(crate) fn joining(world: &World, name: &str, token: &str) -> Daemon {
    let mut command = node_command(world.folder(), name, &world.ports.web.address().to_string());
    command.args(["--token", token, "--ca-pin", world.pin()]);
    Daemon::spawn_command(world.folder(), name, command)
}

/// The configuration of an auth server that runs nothing else.
pub(crate) fn auth_yaml(data: &Path, port: &Port, more: &str) -> String {
    format!(
        "version: v3\nteleport:\n  nodename: auth-1\n  data_dir: {}\n\
         proxy_service:\n  enabled: no\nssh_service:\n  enabled: no\n\
         auth_service:\n  enabled: yes\n  listen_addr: {}\n{more}",
        data.display(),
        port.address(),
    )
}

/// `tctl` on the host of an auth server that keeps its state in this folder.
pub(crate) async fn tctl(data: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new(program("tctl"));
    command.args(arguments).arg("--data-dir").arg(data);
    run(&mut command).await.good()
}

/// The names under which nodes are listed.
pub(crate) fn names(nodes: &[Value]) -> Vec<&str> {
    nodes.iter().map(|node| node["spec"]["hostname"].as_str().unwrap()).collect()
}

/// Waits until a node of this name is listed, and gives its record.
pub(crate) async fn listed(world: &World, name: &str) -> Value {
    let nodes = world.until_nodes(&format!("{name} is listed"), |nodes| names(nodes).contains(&name)).await;
    nodes.into_iter().find(|node| node["spec"]["hostname"] == name).unwrap()
}

/// Waits until the only node is listed in such a way, and gives what is listed. A busy machine may list it before
/// its labels are computed.
pub(crate) async fn until(world: &World, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    let nodes = world.until_nodes(what, |nodes| nodes.len() == 1 && wanted(&nodes[0]["spec"])).await;
    nodes[0]["spec"].clone()
}

/// Waits until a daemon has ended by itself, with a failure, and said this.
pub(crate) async fn gives_up(mut daemon: Daemon, says: &[&str]) {
    let status = daemon.ended().await;
    let log = daemon.log();
    assert_eq!(status.code(), Some(1), "{log}");
    for text in says {
        assert!(log.contains(text), "it should say {text:?}:\n{log}");
    }
    assert!(!log.contains("panicked"), "{log}");
}
