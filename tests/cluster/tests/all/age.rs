//! What time does to a cluster: silent nodes are forgotten, certificates of hosts are renewed, and a
//! host that was away for too long has to join again.

use std::path::Path;
use std::time::Duration;

use certs::bundle::Bundle;
use domain::certificate::HOST_TTL;
use domain::identity::SystemRole;
use domain::label::Labels;
use domain::node::{NodeSpec, TTL};
use domain::secret::Secret;
use teleport_tests_cluster::{Client, Cluster, ShiftedClock, chain, try_start, until};

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

fn silent(name: &str) -> NodeSpec {
    NodeSpec {
        hostname: name.into(),
        addr: String::new(),
        use_tunnel: true,
        labels: Labels::default(),
        cmd_labels: Labels::default(),
        cmd_label_errors: Labels::default(),
        version: "0.1.0".into(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_node_is_forgotten_by_auth_and_proxy() {
    let cluster = Cluster::start().await;
    // It announces itself whenever its label changes, so it is never silent for long.
    let label = "  commands:\n  - name: now\n    command: [date, +%s%N]\n    period: 1s\n";
    let _alive = cluster.add_node("web-1", label).await;
    let twin = cluster.host(SystemRole::Node, "web-1").await;
    cluster.client_of(&twin).heartbeat(&silent("web-1"), false).await.unwrap();
    let joe = cluster.user("joe", &["access"], &["root"]).await;
    let (client, _) = Client::connect(cluster.ssh_proxy(), &joe, "root").await.unwrap();
    until("the proxy knows both", async || client.dial("web-1", 22).await.is_err()).await;
    cluster.clock.advance(TTL);
    let twin = twin.identity.host_id.to_string();
    until("the twin is off the list", async || {
        let nodes = cluster.admin().list::<NodeSpec>().await.unwrap();
        nodes.len() == 1 && nodes[0].name() != twin
    })
    .await;
    // The certificate of before is as valid as it was, and the name means one node again.
    until("the proxy has forgotten it", async || client.dial("web-1", 22).await.is_ok()).await;
}

/// The configuration of a node that has been in this folder before.
fn yaml(cluster: &Cluster, data: &Path, joining: &str) -> String {
    format!(
        "version: v3\nteleport:\n  nodename: web-1\n  data_dir: {}\n  proxy_server: {}\n{joining}ssh_service:\n  enabled: yes\n",
        data.display(),
        cluster.web(),
    )
}

fn serial(data: &Path) -> u64 {
    let file = std::fs::read(data.join("identity/node.json")).unwrap();
    Bundle::from_secret(&Secret::new(file)).unwrap().ssh_certificate.serial()
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_of_hosts_are_renewed_before_they_run_out() {
    let cluster = Cluster::start().await;
    let node = cluster.add_node("web-1", "").await;
    let data = node.data_dir.clone();
    node.stop().await;
    let before = serial(&data);
    let clock = ShiftedClock::default();
    clock.advance(HOST_TTL / 2);
    // Neither token nor pin: the old certificate is what it renews with.
    let running = try_start(&yaml(&cluster, &data, ""), &clock)
        .await
        .unwrap_or_else(|error| panic!("{}", chain(&error)));
    until("new certificates are on disk", async || serial(&data) != before).await;
    tokio::time::timeout(PATIENCE, running.health.ready()).await.unwrap();
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_was_away_for_too_long_joins_again_with_a_token() {
    let cluster = Cluster::start().await;
    let node = cluster.add_node("web-1", "").await;
    let data = node.data_dir.clone();
    node.stop().await;
    let before = serial(&data);
    let clock = ShiftedClock::default();
    clock.advance(HOST_TTL + Duration::from_secs(60));
    let error = try_start(&yaml(&cluster, &data, ""), &clock).await.err().expect("it has expired");
    let text = chain(&error);
    assert!(text.contains("have expired while it was away; join again with --token"), "{text}");
    let joining = format!("  ca_pin: {}\n  auth_token: a-token-for-nodes\n", cluster.pin);
    let running = try_start(&yaml(&cluster, &data, &joining), &clock)
        .await
        .unwrap_or_else(|error| panic!("{}", chain(&error)));
    assert_ne!(serial(&data), before);
    running.stop().await;
}
