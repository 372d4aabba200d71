//! The first path: a host joins through the proxy, a user gets in, a command runs.

use teleport_tests_cluster::{Client, Cluster};

#[tokio::test(flavor = "multi_thread")]
async fn a_command_runs_on_a_node_behind_the_proxy() {
    let cluster = Cluster::start().await;
    let _node = cluster.add_node("web-1", "").await;
    let joe = cluster.user("joe", &["access"], &["root"]).await;
    let (client, answer) = Client::connect(cluster.ssh_proxy(), &joe, "root").await.unwrap();
    assert!(answer.success());
    let (session, answer) = client.node("web-1", "root").await.unwrap();
    assert!(answer.success());
    let answer = session.exec("echo hello; echo oops >&2; exit 3").await.unwrap();
    assert_eq!(
        (answer.stdout.as_str(), answer.stderr.as_str(), answer.status),
        ("hello\n", "oops\n", Some(3))
    );
    let event = cluster.audited(|line| line.contains("\"exec\"") && line.contains("T3002E")).await;
    assert!(event.contains("\"user\":\"joe\"") && event.contains("\"exitCode\":\"3\""), "{event}");
}
