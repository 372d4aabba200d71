//! Many strangers who never sign in: the oldest are turned out, wherever in the protocol they stand.

use std::net::SocketAddr;
use std::time::Duration;

use net::gate::PER_SOURCE;
use teleport_tests_cluster::forge::{Shown, Verdict};
use teleport_tests_cluster::raw::{Raw, kexinit};
use teleport_tests_cluster::{Cluster, Credentials, NodeProcess};
use tokio::net::TcpStream;

/// How many more come than there is room for.
const TOO_MANY: usize = 40;

/// How far a stranger goes before it stands still.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Connected,
    Greeted,
    InKeyExchange,
    Keyed,
    Asking,
}

async fn stranger(door: SocketAddr, stage: Stage) -> Raw {
    if stage == Stage::Connected {
        // Not even a greeting: the stream alone is kept.
        return Raw::silent(TcpStream::connect(door).await.unwrap());
    }
    let mut raw = Raw::connect(door).await.unwrap();
    match stage {
        Stage::Connected | Stage::Greeted => {}
        Stage::InKeyExchange => raw.send(kexinit()).await.unwrap(),
        Stage::Keyed => raw.exchange_keys().await.unwrap(),
        Stage::Asking => {
            raw.exchange_keys().await.unwrap();
            raw.ask_for_sign_in().await.unwrap();
            raw.why("root").await.unwrap();
        }
    }
    raw
}

async fn bed() -> (Cluster, NodeProcess, Credentials) {
    let cluster = Cluster::start().await;
    let node = cluster.add_node("web-1", "  force_listen: yes\n  listen_addr: 127.0.0.1:0\n").await;
    let joe = cluster.user("joe", &["access"], &["root"]).await;
    (cluster, node, joe)
}

/// Fills the room of one door and checks that whoever came first is out, and that an honest client
/// still gets in.
async fn oldest_are_out(door: SocketAddr, stage: Stage, honest: Option<&Credentials>) {
    let mut crowd = Vec::new();
    for _ in 0..PER_SOURCE + TOO_MANY {
        crowd.push(stranger(door, stage).await);
    }
    if let Some(joe) = honest {
        let mut raw = Raw::stranger(door).await.unwrap();
        assert_eq!(raw.sign_in("root", &Shown::honest(joe)).await.unwrap(), Verdict::Accepted);
    }
    for (number, raw) in crowd.iter_mut().take(TOO_MANY).enumerate() {
        let closing = tokio::time::timeout(Duration::from_secs(15), raw.until_closed()).await;
        assert!(closing.is_ok(), "{stage:?}: stranger {number} is still let stand there");
    }
    let newest = crowd.last_mut().unwrap();
    let goes_on = tokio::time::timeout(Duration::from_millis(50), newest.until_closed()).await;
    assert!(goes_on.is_err(), "{stage:?}: the newest was turned out");
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_are_turned_out_of_the_node_wherever_they_stand() {
    let (_cluster, node, joe) = bed().await;
    let door = node.running.addresses.node.unwrap();
    for stage in [Stage::Connected, Stage::Greeted, Stage::InKeyExchange, Stage::Keyed, Stage::Asking] {
        oldest_are_out(door, stage, Some(&joe)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_are_turned_out_of_the_proxy_wherever_they_stand() {
    let (cluster, _node, joe) = bed().await;
    for stage in [Stage::Greeted, Stage::InKeyExchange, Stage::Asking] {
        oldest_are_out(cluster.ssh_proxy(), stage, Some(&joe)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_are_turned_out_of_the_tunnel_port_wherever_they_stand() {
    let (cluster, _node, _) = bed().await;
    let door = cluster.running().addresses.tunnel.unwrap();
    for stage in [Stage::Connected, Stage::InKeyExchange, Stage::Keyed] {
        oldest_are_out(door, stage, None).await;
    }
}
