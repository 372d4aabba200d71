//! Several proxies: a node keeps a link to each, also to those it learns of later.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use domain::lock::{Lock, LockSpec, Target};
use domain::name::HostId;
use process::Running;
use teleport_tests_cluster::{Client, Cluster, Credentials, until};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

async fn is_reached(proxy: &Running, user: &Credentials) -> bool {
    let client = Client::connect(proxy.addresses.ssh_proxy.unwrap(), user, "root").await;
    match client {
        Ok((client, _)) => client.dial("web-1", 22).await.is_ok(),
        Err(_) => false,
    }
}

/// Keeps a port that nobody listens at any more from being chosen again, without listening there.
fn held(port: Option<SocketAddr>) -> TcpSocket {
    let socket = TcpSocket::new_v4().unwrap();
    // Of whoever listened there, connections may be left.
    socket.set_reuseaddr(true).unwrap();
    // Another program that was quicker holds it as well.
    let _ = socket.bind(port.unwrap());
    socket
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_learns_of_proxies_and_keeps_a_link_to_each() {
    let cluster = Cluster::start().await;
    let joe = cluster.user("joe", &["access"], &["root"]).await;
    let node = cluster.add_node("web-1", "").await;
    let second = cluster.add_proxy("proxy-2", "").await;
    until("the second proxy has a link", async || second.running.linked_hosts() == 1).await;
    until("the node is reached through it", async || is_reached(&second.running, &joe).await).await;
    assert_eq!((cluster.running().links(), second.running.links()), (1, 1), "the configured one has its own");
    let (before, id) =
        (second.running.addresses.web, std::fs::read(second.data_dir.join("host_uuid")).unwrap());
    second.stop().await;

    // It comes back on another port, which it tells.
    let _held = held(before);
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
async fn a_configured_proxy_that_moves_is_found_where_it_tells() {
    let cluster = Cluster::start().await;
    let second = cluster.add_proxy("proxy-2", "").await;
    let before = second.running.addresses.web;
    let _node = cluster.add_node_behind(&[cluster.web(), before.unwrap()], "web-1", "").await;
    until("both have a link", async || cluster.running().links() == 1 && second.running.links() == 1).await;
    second.stop().await;
    let _held = held(before);
    let again = cluster.add_proxy("proxy-2", "").await;
    assert_ne!(again.running.addresses.web, before);
    until("it has a link again", async || again.running.links() == 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_on_a_proxy_ends_its_links_and_no_others() {
    let cluster = Cluster::start().await;
    let second = cluster.add_proxy("proxy-2", "").await;
    let _node = cluster.add_node("web-1", "").await;
    until("both have a link", async || cluster.running().links() == 1 && second.running.links() == 1).await;
    let id = std::fs::read_to_string(second.data_dir.join("host_uuid")).unwrap();
    let target = Target { server_id: HostId::parse(id.trim()), ..Target::default() };
    let lock = Lock::new("stolen", LockSpec { target, ..LockSpec::default() });
    cluster.admin().put(&lock, true).await.unwrap();
    until("its link has ended", async || second.running.links() == 0).await;
    assert_eq!(cluster.running().links(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_a_balancer_each_proxy_gets_its_link_and_gets_it_again() {
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
    let _node = cluster.add_node_behind(&[address], "web-1", "").await;
    // Whichever has the link the node's own address led to: each of them is lost once.
    for round in 0..=proxies.len() {
        let all = || std::iter::once(cluster.running()).chain(proxies.iter().map(|proxy| &proxy.running));
        until("each has a link", async || all().all(|proxy| proxy.links() == 1)).await;
        for proxy in all() {
            until("the node is reached", async || is_reached(proxy, &joe).await).await;
        }
        let Some(lost) = (round < proxies.len()).then(|| proxies.remove(0)) else { break };
        let place = lost.running.addresses.web.unwrap();
        lost.stop().await;
        let again = cluster.add_proxy(["proxy-2", "proxy-3"][round], &public).await;
        let now = again.running.addresses.web.unwrap();
        behind.lock().unwrap().iter_mut().filter(|behind| **behind == place).for_each(|behind| *behind = now);
        proxies.push(again);
    }
}
