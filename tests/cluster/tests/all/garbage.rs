//! Bytes that are no protocol, on each of the five ports: the connection ends, the port lives on.

use std::net::SocketAddr;
use std::time::Duration;

use domain::identity::SystemRole;
use net::tls::ServerTrust;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use teleport_tests_cluster::forge::{Shown, Verdict};
use teleport_tests_cluster::raw::{Raw, kexinit};
use teleport_tests_cluster::{Cluster, Credentials, HostProcess};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// Longer than any port waits for the rest of what it was promised.
const PATIENCE: Duration = Duration::from_secs(60);

struct Bed {
    cluster: Cluster,
    node: HostProcess,
    joe: Credentials,
}

impl Bed {
    async fn start() -> Self {
        let cluster = Cluster::start().await;
        let node = cluster.add_node("web-1", "  force_listen: yes\n  listen_addr: 127.0.0.1:0\n").await;
        let joe = cluster.user("joe", &["access"], &["root"]).await;
        Self { cluster, node, joe }
    }

    /// 3022 to 3025 and 3080, as this cluster has them.
    fn ports(&self) -> [SocketAddr; 5] {
        let tunnel = self.cluster.running().addresses.tunnel.unwrap();
        let node = self.node.running.addresses.node.unwrap();
        [node, self.cluster.ssh_proxy(), tunnel, self.cluster.auth(), self.cluster.web()]
    }

    /// Everything works for honest clients.
    async fn is_well(&self) {
        let joe = Shown::honest(&self.joe);
        let [node, proxy, tunnel, _, _] = self.ports();
        for door in [node, proxy] {
            let mut raw = Raw::stranger(door).await.unwrap();
            assert_eq!(raw.sign_in("root", &joe).await.unwrap(), Verdict::Accepted);
        }
        Raw::stranger(tunnel).await.unwrap();
        self.cluster.admin().status().await.unwrap();
        let found = client::find::find(&self.cluster.web().to_string(), client::find::Belief::Hint).await;
        assert_eq!(found.unwrap().unwrap().cluster_name, "main");
        assert_eq!(self.cluster.running().linked_hosts(), 1);
    }
}

/// Sends bytes and no more; the answer, up to the end of the connection.
async fn talk(port: SocketAddr, bytes: &[u8], ends: bool) -> Vec<u8> {
    let mut stream = TcpStream::connect(port).await.unwrap();
    // The port may hang up while it is still being talked to.
    let _ = stream.write_all(bytes).await;
    if ends {
        let _ = stream.shutdown().await;
    }
    let mut answer = Vec::new();
    let reading = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await;
    assert!(reading.is_ok(), "{port} keeps the connection after {:?}", &bytes[..bytes.len().min(40)]);
    answer
}

/// What is no greeting of any protocol spoken here.
fn garbage() -> Vec<Vec<u8>> {
    let mut all = vec![
        b"\0".repeat(300),
        b"\xff".repeat(300),
        b"\r\n".repeat(200),
        b"SSH-1.5-ancient\r\n".to_vec(),
        b"SSH-2.0\r\n".to_vec(),
        [&b"SSH-2.0-"[..], &b"x".repeat(5000)].concat(),
        b"GET / HTTP/1.1\r\nhost: x\r\n\r\n".to_vec(),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(),
        b"\x16\x03\x01\xff\xff\x01\x00\xff\xff".repeat(40),
        b"\x16\x03\x01\x00\x00".to_vec(),
        b"\x80\x2e\x01\x03\x01".repeat(20),
        "é\u{1b}[2J".repeat(100).into_bytes(),
    ];
    let mut runner = TestRunner::deterministic();
    let random = prop::collection::vec(any::<u8>(), 1..2000);
    all.extend((0..30).map(|_| random.new_tree(&mut runner).unwrap().current()));
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_ends_the_connection_and_nothing_else() {
    let bed = Bed::start().await;
    let mut talks = tokio::task::JoinSet::new();
    for port in bed.ports() {
        for bytes in garbage() {
            talks.spawn(async move { talk(port, &bytes, true).await });
        }
    }
    while let Some(talk) = talks.join_next().await {
        let answer = talk.unwrap();
        assert!(answer.len() < 4096, "{answer:?}");
    }
    bed.is_well().await;
}

/// A TLS greeting as an agent sends it.
fn hello(protocol: &[u8]) -> Vec<u8> {
    let config = net::tls::client(&ServerTrust::Anyone, None, protocol).unwrap();
    let name = net::tls::role_name(SystemRole::Auth).unwrap();
    let mut connection = rustls::ClientConnection::new(config, name).unwrap();
    let mut bytes = Vec::new();
    connection.write_tls(&mut bytes).unwrap();
    bytes
}

#[tokio::test(flavor = "multi_thread")]
async fn greetings_cut_anywhere_end_the_connection_and_nothing_else() {
    let bed = Bed::start().await;
    let ssh = {
        let packet = Raw::silent(Box::new(tokio::io::empty())).packet(&kexinit());
        [&b"SSH-2.0-Raw\r\n"[..], &packet].concat()
    };
    let [node, proxy, tunnel, auth, web] = bed.ports();
    let mut whole: Vec<(SocketAddr, Vec<u8>)> = [node, proxy, tunnel].map(|port| (port, ssh.clone())).into();
    whole.push((auth, hello(net::alpn::AUTH)));
    whole.extend([net::alpn::AUTH, net::alpn::TUNNEL, net::alpn::HTTP2].map(|alpn| (web, hello(alpn))));
    let mut talks = tokio::task::JoinSet::new();
    for (port, bytes) in whole {
        for cut in (0..bytes.len()).step_by(bytes.len() / 25) {
            let bytes = bytes[..cut].to_vec();
            talks.spawn(async move { talk(port, &bytes, true).await });
        }
    }
    while let Some(talk) = talks.join_next().await {
        talk.unwrap();
    }
    bed.is_well().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_inside_tls_ends_the_connection_and_nothing_else() {
    let bed = Bed::start().await;
    let [_, _, _, auth, web] = bed.ports();
    for (port, alpn) in
        [(auth, net::alpn::AUTH), (web, net::alpn::AUTH), (web, net::alpn::TUNNEL), (web, net::alpn::HTTP2)]
    {
        for bytes in garbage() {
            let config = net::tls::client(&ServerTrust::Anyone, None, alpn).unwrap();
            let name = net::tls::role_name(SystemRole::Auth).unwrap();
            let stream = TcpStream::connect(port).await.unwrap();
            let mut stream = TlsConnector::from(config).connect(name, stream).await.unwrap();
            let _ = stream.write_all(&bytes).await;
            let _ = stream.shutdown().await;
            let mut answer = Vec::new();
            let reading = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await;
            assert!(reading.is_ok(), "{port} keeps the connection after {bytes:?}");
        }
    }
    bed.is_well().await;
}
