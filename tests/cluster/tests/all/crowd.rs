//! Many strangers who never sign in: the oldest are turned out, wherever in the protocol they stand.

use std::net::SocketAddr;
use std::time::Duration;

use domain::identity::SystemRole;
use net::gate::{GRACE, PER_SOURCE};
use net::tls::ServerTrust;
use teleport_tests_cluster::forge::{Shown, Verdict};
use teleport_tests_cluster::raw::{Carrier, Raw, kexinit};
use teleport_tests_cluster::{Cluster, Credentials, HostProcess};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_rustls::TlsConnector;

/// How many more come than there is room for.
const TOO_MANY: usize = 40;

/// How far a stranger goes before it stands still.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Connected,
    /// Half a TLS greeting.
    HalfHello,
    /// A TLS handshake for this protocol, and then not a byte.
    Tls(&'static [u8]),
    Greeted,
    InKeyExchange,
    Keyed,
    Asking,
}

async fn stranger(door: SocketAddr, stage: Stage) -> Raw {
    if let Stage::Connected | Stage::HalfHello | Stage::Tls(_) = stage {
        // Not even a greeting: the stream alone is kept.
        return Raw::silent(before_ssh(TcpStream::connect(door).await.unwrap(), stage).await);
    }
    let mut raw = Raw::connect(door).await.unwrap();
    match stage {
        Stage::Connected | Stage::HalfHello | Stage::Tls(_) | Stage::Greeted => {}
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

async fn before_ssh(mut stream: TcpStream, stage: Stage) -> Box<dyn Carrier> {
    match stage {
        Stage::HalfHello => stream.write_all(&[0x16, 3, 1, 2, 0, 1, 0]).await.unwrap(),
        Stage::Tls(protocol) => {
            let config = net::tls::client(&ServerTrust::Anyone, None, protocol).unwrap();
            let name = net::tls::role_name(SystemRole::Auth).unwrap();
            return Box::new(TlsConnector::from(config).connect(name, stream).await.unwrap());
        }
        _ => {}
    }
    Box::new(stream)
}

async fn bed() -> (Cluster, HostProcess, Credentials) {
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

#[tokio::test(flavor = "multi_thread")]
async fn strangers_are_turned_out_of_the_web_port_wherever_they_stand() {
    let cluster = Cluster::start().await;
    let https = Stage::Tls(net::alpn::HTTP1);
    let http2 = Stage::Tls(net::alpn::HTTP2);
    for stage in [Stage::Connected, Stage::HalfHello, https, http2, Stage::Tls(net::alpn::AUTH)] {
        oldest_are_out(cluster.web(), stage, None).await;
    }
    cluster.admin().status().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_are_turned_out_of_the_auth_port_wherever_they_stand() {
    let cluster = Cluster::start().await;
    for stage in [Stage::Connected, Stage::HalfHello, Stage::Tls(net::alpn::AUTH)] {
        oldest_are_out(cluster.auth(), stage, None).await;
    }
    // Whoever has a certificate is none of them.
    cluster.admin().status().await.unwrap();
    let _node = cluster.add_node("web-1", "").await;
}

/// The first bytes of somebody who wants to speak to the auth server.
fn greeting() -> Vec<u8> {
    let config = net::tls::client(&ServerTrust::Anyone, None, net::alpn::AUTH).unwrap();
    let name = net::tls::role_name(SystemRole::Auth).unwrap();
    let mut greeting = Vec::new();
    rustls::ClientConnection::new(config, name).unwrap().write_tls(&mut greeting).unwrap();
    greeting
}

/// Somebody elsewhere who greets the auth server and then stands still.
async fn from_elsewhere(door: SocketAddr, greeting: &[u8]) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
    let mut stream = socket.connect(door).await.unwrap();
    stream.write_all(greeting).await.unwrap();
    stream
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crowd_that_comes_through_the_proxy_shuts_out_nobody_else_who_does() {
    let (cluster, greeting) = (Cluster::start().await, greeting());
    // Where the machine is so slow that everybody's time is up meanwhile, nothing can be told: once more then.
    for _ in 0..3 {
        let came = Instant::now();
        let mut honest = stranger(cluster.web(), Stage::Tls(net::alpn::AUTH)).await;
        let mut crowd = JoinSet::new();
        for _ in 0..PER_SOURCE + TOO_MANY {
            let mut stream = from_elsewhere(cluster.web(), &greeting).await;
            crowd.spawn(async move { stream.read_to_end(&mut Vec::new()).await });
        }
        // In which order they reach the auth server is the proxy's affair.
        for number in 0..TOO_MANY {
            let closing = tokio::time::timeout(2 * GRACE, crowd.join_next()).await;
            assert!(closing.is_ok(), "no more than {number} have been turned out");
        }
        let goes_on = tokio::time::timeout(Duration::from_millis(50), honest.until_closed()).await;
        if goes_on.is_err() {
            return;
        }
        assert!(came.elapsed() > GRACE, "who came before the crowd from another address was turned out");
    }
    panic!("the crowd was never there and turned out before everybody's time was up");
}
