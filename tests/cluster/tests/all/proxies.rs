//! Several proxies: a node keeps a link to each, also to those it learns of later.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use process::Running;
use teleport_tests_cluster::{Client, Cluster, Credentials};
use tokio::net::{TcpListener, TcpStream};

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(90);

async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let looking = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, looking).await.unwrap_or_else(|_| panic!("it never happened: {what}"));
}

async fn is_reached(proxy: &Running, user: &Credentials) -> bool {
    let client = Client::connect(proxy.addresses.ssh_proxy.unwrap(), user, "root").await;
    match client {
        Ok((client, _)) => client.dial("web-1", 22).await.is_ok(),
        Err(_) => false,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_learns_of_proxies_and_keeps_a_link_to_each() {
    let cluster = Cluster::start().await;
    let joe = cluster.user("joe", &["access"], &["root"]).await;
    let node = cluster.add_node("web-1", "").await;
    let second = cluster.add_proxy("proxy-2", "").await;
    until("the second proxy has a link", async || second.running.linked_hosts() == 1).await;
    until("the node is reached through it", async || is_reached(&second.running, &joe).await).await;
    assert_eq!(cluster.running().linked_hosts(), 1, "the configured one has its own");
    let (before, id) =
        (second.running.addresses.web, std::fs::read(second.data_dir.join("host_uuid")).unwrap());
    second.stop().await;

    // It comes back on another port, which it tells.
    let again = cluster.add_proxy("proxy-2", "").await;
    assert_ne!(again.running.addresses.web, before);
    assert_eq!(std::fs::read(again.data_dir.join("host_uuid")).unwrap(), id);
    until("it has a link again", async || again.running.linked_hosts() == 1).await;
    assert!(is_reached(cluster.running(), &joe).await);
    node.stop().await;
    until("links end with the node", async || again.running.linked_hosts() == 0).await;
    again.stop().await;
}

/// Sends connections to one of these after the other.
async fn balancer() -> (SocketAddr, Arc<Mutex<Vec<SocketAddr>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, behind) = (listener.local_addr().unwrap(), Arc::new(Mutex::new(Vec::<SocketAddr>::new())));
    let targets = Arc::clone(&behind);
    tokio::spawn(async move {
        for turn in 0.. {
            let (mut from, _) = listener.accept().await.unwrap();
            let target = {
                let targets = targets.lock().unwrap();
                targets.get(turn % targets.len().max(1)).copied()
            };
            tokio::spawn(async move {
                if let Some(target) = target
                    && let Ok(mut to) = TcpStream::connect(target).await
                {
                    // Either end may break off.
                    let _ = tokio::io::copy_bidirectional(&mut from, &mut to).await;
                }
            });
        }
    });
    (address, behind)
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_a_balancer_each_proxy_gets_its_link() {
    let (address, behind) = balancer().await;
    let cluster = Cluster::start_public(&address.to_string()).await;
    behind.lock().unwrap().push(cluster.web());
    let joe = cluster.user("joe", &["access"], &["root"]).await;
    let public = format!("  public_addr: {address}\n");
    let mut proxies = Vec::new();
    for name in ["proxy-2", "proxy-3"] {
        let proxy = cluster.add_proxy(name, &public).await;
        behind.lock().unwrap().push(proxy.running.addresses.web.unwrap());
        proxies.push(proxy);
    }
    let _node = cluster.add_node_behind(&address.to_string(), "web-1", "").await;
    let all = || std::iter::once(cluster.running()).chain(proxies.iter().map(|proxy| &proxy.running));
    until("each has a link", async || all().all(|proxy| proxy.linked_hosts() == 1)).await;
    for proxy in all() {
        until("the node is reached", async || is_reached(proxy, &joe).await).await;
    }
}
