//! Flags of `teleport start` whose effect shows only from outside.

use serde_json::Value;
use teleport_tests_interop::{Daemon, Port, World, program};
use tokio::process::Command;

use crate::bed::listed;
use crate::web::curl;

/// `teleport start` with this configuration and flags.
fn start(folder: &std::path::Path, name: &str, yaml: &str, flags: &[&str]) -> Daemon {
    let config = folder.join(format!("{name}.yaml"));
    std::fs::write(&config, yaml).unwrap();
    let mut command = Command::new(program("teleport"));
    command.args(["start", "-c"]).arg(config).args(flags);
    Daemon::spawn_command(folder, name, command)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_advertised_address_is_the_one_that_is_listed() {
    let world = World::start().await;
    for (name, flag, listed_as) in
        [("plain", "203.0.113.7", None), ("with-port", "203.0.113.8:2222", Some("203.0.113.8:2222"))]
    {
        let port = Port::free();
        let yaml = world.direct_node_yaml(name, &port);
        let mut node = start(world.folder(), name, &yaml, &["--advertise-ip", flag]);
        node.ready().await;
        let wanted = listed_as.map_or_else(|| format!("{flag}:{}", port.number()), str::to_owned);
        assert_eq!(listed(&world, name).await["spec"]["addr"], wanted);
        let table = world.tctl(&["nodes", "ls"]).await;
        assert!(table.contains(&wanted), "{table}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_tls_the_web_port_speaks_http_and_tells_how_to_sign_in() {
    let folder = tempfile::tempdir().unwrap();
    let [auth, web, ssh] = [Port::free(), Port::free(), Port::free()];
    let yaml = format!(
        "version: v3\nteleport:\n  nodename: one\n  data_dir: {}\nssh_service:\n  enabled: no\n\
         auth_service:\n  cluster_name: main\n  listen_addr: {}\n  authentication:\n    type: local\n    \
         second_factor: webauthn\n    webauthn:\n      rp_id: example.com\n\
         proxy_service:\n  web_listen_addr: {}\n  listen_addr: {}\n",
        folder.path().join("data").display(),
        auth.address(),
        web.address(),
        ssh.address(),
    );
    let mut daemon = start(folder.path(), "one", &yaml, &["--insecure-no-tls"]);
    daemon.ready().await;
    let answer = curl(&["--fail", &format!("http://{}/webapi/ping", web.address())]).await.good();
    let ping: Value = serde_json::from_str(&answer).unwrap();
    assert_eq!(ping["auth"], serde_json::json!({ "type": "local", "second_factor": "webauthn" }), "{ping}");
    let proxy = &ping["proxy"];
    assert_eq!((&proxy["kube"]["enabled"], &proxy["db"]), (&false.into(), &serde_json::json!({})), "{ping}");
    assert_eq!(proxy["tls_routing_enabled"], true, "{ping}");
    // Agents bring their own TLS with them, whoever ends the browsers'.
    let over_tls = curl(&["--insecure", "--fail", &format!("https://{}/webapi/ping", web.address())]).await;
    assert_eq!(serde_json::from_str::<Value>(&over_tls.good()).unwrap(), ping);
    assert!(!folder.path().join("data/webproxy_cert.pem").exists(), "no certificate is made for it");
}
