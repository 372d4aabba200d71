//! The tunnel port: who may hold a link, and what a link may be used for.

use std::sync::Arc;
use std::time::Duration;

use certs::bundle::Bundle;
use domain::identity::SystemRole;
use domain::lock::{Lock, LockSpec, Target};
use russh::client::{AuthResult, Handle};
use ssh_key::{Certificate, PrivateKey};
use teleport_tests_cluster::channel::Opened;
use teleport_tests_cluster::raw::Raw;
use teleport_tests_cluster::{AnyServer, Client, Cluster, until};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsAcceptor;

/// Asks for a link under this name with this certificate.
async fn link(
    cluster: &Cluster,
    name: &str,
    key: &PrivateKey,
    certificate: &Certificate,
) -> (Handle<AnyServer>, AuthResult) {
    let port = cluster.running().addresses.tunnel.unwrap();
    let mut handle = russh::client::connect(Arc::default(), port, AnyServer).await.unwrap();
    let key = Arc::new(key.clone());
    let answer = handle.authenticate_openssh_cert(name, key, certificate.clone()).await.unwrap();
    (handle, answer)
}

async fn of_host(cluster: &Cluster, name: &str, bundle: &Bundle) -> (Handle<AnyServer>, AuthResult) {
    link(cluster, name, &bundle.keys.ssh, &bundle.ssh_certificate).await
}

fn id(bundle: &Bundle) -> String {
    bundle.identity.host_id.to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_is_for_nodes_under_their_own_name() {
    let (cluster, other) = (Cluster::start().await, Cluster::start().await);
    let node = cluster.host(SystemRole::Node, "web-1").await;
    let thief = cluster.host(SystemRole::Node, "thief").await;
    let proxy = cluster.host(SystemRole::Proxy, "proxy-2").await;
    let stranger = other.host(SystemRole::Node, "web-1").await;
    let joe = cluster.user("joe", &["access"], &["root"]).await;
    let (_link, answer) = of_host(&cluster, &id(&node), &node).await;
    assert!(answer.success());
    assert_eq!(cluster.running().linked_hosts(), 1);
    let names = [&id(&node), "web-1", "web-1.main", "root", ""];
    for name in names {
        assert!(!of_host(&cluster, name, &thief).await.1.success(), "thief as {name:?}");
    }
    for (who, name, bundle) in [
        ("a proxy", id(&proxy), &proxy),
        ("a proxy as a node", id(&node), &proxy),
        ("a node of another cluster", id(&stranger), &stranger),
    ] {
        assert!(!of_host(&cluster, &name, bundle).await.1.success(), "{who}");
    }
    for name in [id(&node), "joe".to_owned(), "root".to_owned()] {
        let (_, answer) = link(&cluster, &name, &joe.key, &joe.certificate).await;
        assert!(!answer.success(), "a user as {name}");
    }
    // The right certificate without its key.
    let port = cluster.running().addresses.tunnel.unwrap();
    let mut handle = russh::client::connect(Arc::default(), port, AnyServer).await.unwrap();
    let wrong = Arc::new(thief.keys.ssh.clone());
    let answer = handle.authenticate_openssh_cert(id(&node), wrong, node.ssh_certificate.clone()).await;
    assert!(!answer.is_ok_and(|answer| answer.success()));
    assert_eq!(cluster.running().linked_hosts(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_gives_its_host_nothing() {
    let cluster = Cluster::start().await;
    let node = cluster.host(SystemRole::Node, "web-1").await;
    let trap = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = u32::from(trap.local_addr().unwrap().port());
    let (link, answer) = of_host(&cluster, &id(&node), &node).await;
    assert!(answer.success());
    assert!(link.channel_open_session().await.is_err(), "a session");
    assert!(link.channel_open_direct_tcpip("127.0.0.1", port, "127.0.0.1", 1).await.is_err(), "a dial");
    assert!(link.channel_open_direct_streamlocal("/run/x").await.is_err(), "a socket");
    assert!(link.tcpip_forward("127.0.0.1", 0).await.is_err(), "a listener");
    assert!(link.streamlocal_forward("/tmp/teleport-no-such-socket").await.is_err(), "a listening socket");
    let dialled = timeout(Duration::from_millis(50), trap.accept()).await;
    assert!(dialled.is_err(), "nothing was dialled");
    assert!(!link.is_closed(), "what is refused ends nothing");
    assert_eq!(cluster.running().linked_hosts(), 1);
    link.disconnect(russh::Disconnect::ByApplication, "", "").await.unwrap();
    until("the link is out of the registry", async || cluster.running().linked_hosts() == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_makes_link_after_link_keeps_the_newest_few() {
    let cluster = Cluster::start().await;
    let node = cluster.host(SystemRole::Node, "web-1").await;
    let mut links = Vec::new();
    for _ in 0..10 {
        let (link, answer) = of_host(&cluster, &id(&node), &node).await;
        assert!(answer.success());
        links.push(link);
    }
    until("the oldest have ended", async || links.iter().take(2).all(Handle::is_closed)).await;
    assert!(!links.iter().skip(2).any(Handle::is_closed));
    until("and are out of the registry", async || cluster.running().links() == 8).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_locked_host_gets_no_link_and_nobody_gets_to_it() {
    let cluster = Cluster::start().await;
    let process = cluster.add_node("web-1", "").await;
    let host_id = std::fs::read_to_string(process.data_dir.join("host_uuid")).unwrap();
    let host_id = domain::name::HostId::parse(host_id.trim()).unwrap();
    let file = std::fs::read(process.data_dir.join("identity/node.json")).unwrap();
    let bundle = Bundle::from_secret(&domain::secret::Secret::new(file)).unwrap();
    let joe = cluster.user("joe", &["access"], &["root"]).await;
    let (client, _) = Client::connect(cluster.ssh_proxy(), &joe, "root").await.unwrap();
    until("it is reached", async || client.dial("web-1", 22).await.is_ok()).await;
    let target = Target { server_id: Some(host_id), ..Target::default() };
    let lock = Lock::new("stolen", LockSpec { target, message: "stolen host".into(), issued_before: None });
    cluster.admin().put(&lock, false).await.unwrap();
    until("no new link", async || !of_host(&cluster, &id(&bundle), &bundle).await.1.success()).await;
    // The link of before is up, but leads nobody to the host any more.
    assert_eq!(cluster.running().linked_hosts(), 1);
    let mut raw = Raw::signed_in(cluster.ssh_proxy(), &joe, "root").await;
    for name in ["web-1", &id(&bundle)] {
        let opened = raw.open_direct(name, 22).await.unwrap();
        assert!(
            matches!(&opened, Opened::Refused(_, reason) if reason.contains("stolen host")),
            "{opened:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_to_a_proxy_that_never_shows_a_key_is_cut_in_time() {
    let cluster = Cluster::start().await;
    let silent = cluster.host(SystemRole::Proxy, "silent").await;
    let tls = TlsAcceptor::from(net::tls::server(&silent, &[net::alpn::TUNNEL]).unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let web = cluster.web();
    let hearing = async {
        let mut link = loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut hello = [0; 4096];
            let length = stream.peek(&mut hello).await.unwrap();
            if hello[..length].windows(net::alpn::TUNNEL.len()).any(|part| part == net::alpn::TUNNEL) {
                break tls.accept(stream).await.unwrap();
            }
            // Everything else is as it is with a proxy that is well. Either end may break off.
            tokio::spawn(async move {
                let mut to = TcpStream::connect(web).await.unwrap();
                let _ = copy_bidirectional(&mut stream, &mut to).await;
            });
        };
        let (began, mut said) = (Instant::now(), Vec::new());
        // Says who it is, and never a key.
        link.write_all(b"SSH-2.0-silent\r\n").await.unwrap();
        // Cut, or ended in an orderly way.
        let _ended = timeout(Duration::from_secs(50), link.read_to_end(&mut said)).await.expect("it is cut");
        assert!(said.starts_with(b"SSH-2.0-"), "the agent speaks first");
        began.elapsed().as_secs()
    };
    let proxies = [address];
    let took = tokio::select! {
        took = hearing => took,
        _ready = cluster.add_node_behind(&proxies, "web-1", "") => panic!("its proxy has shown no key"),
    };
    assert!((15..40).contains(&took), "{took} s");
}
