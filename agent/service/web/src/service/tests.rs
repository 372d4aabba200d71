use std::time::Duration;

use async_trait::async_trait;
use net::listen::ConnectionLimit;
use net::tls::{PemPair, WebCertificates};
use port::stream::BoxedStream;
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;

use super::*;
use crate::settings::Addresses;

struct NoLinks;

#[async_trait]
impl Serve for NoLinks {
    async fn serve(&self, _stream: BoxedStream, _origin: Origin) {}
}

struct Port {
    address: SocketAddr,
    shutdown: CancellationToken,
}

impl Drop for Port {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

async fn port(auth: Vec<String>, plain_http: bool) -> Port {
    net::install_crypto();
    let (chain, key) =
        certs::x509::self_signed(&["localhost".to_owned()], domain::Timestamp::UNIX_EPOCH).unwrap();
    let settings = Settings {
        cluster_name: "main".into(),
        ca_pins: vec![],
        version: "0.1.0".into(),
        auth_servers: auth,
        addresses: Addresses::default(),
        auth_type: "local".into(),
        second_factor: "otp".into(),
        plain_http,
    };
    // No test here gets as far as an agent's link, so the identity is never looked at.
    let (_sender, identity) = watch::channel(Arc::new(certs_fixture()));
    let certificates =
        WebCertificates::new(&[PemPair { place: String::new(), chain, key: key.into() }]).unwrap();
    let deps = Deps { identity, links: Arc::new(NoLinks), certificates, metrics: Metrics::default() };
    let listener = Listener::bind("127.0.0.1:0".parse().unwrap(), ConnectionLimit::new(100)).await.unwrap();
    let (address, shutdown) = (listener.address(), CancellationToken::new());
    tokio::spawn(WebService::new(settings, deps).run(listener, shutdown.clone()));
    Port { address, shutdown }
}

fn certs_fixture() -> Bundle {
    use certs::authority::AuthorityKeys;
    use certs::bundle::{HostCertificates, HostKeys};
    use domain::authority::AuthorityType;
    use domain::identity::{HostIdentity, SystemRole};
    let now = domain::Timestamp::UNIX_EPOCH;
    let random = fake::FakeRandom::new(1);
    let authority = AuthorityKeys::generate(AuthorityType::Host, "main", now, &random).unwrap();
    let host_id = domain::name::HostId::parse("d52527f9-b260-41d0-bb5a-e23b0cfe0f8f").unwrap();
    let identity = HostIdentity { host_id, role: SystemRole::Proxy, cluster: "main".into() };
    let keys = HostKeys::generate(&random).unwrap();
    let ttl = Duration::from_secs(60);
    let spec = certs::ssh::HostSpec { identity: identity.clone(), principals: vec!["p".into()], ttl };
    let ssh =
        certs::ssh::issue_host(authority.ssh().unwrap(), keys.ssh.public_key(), &spec, now, &random).unwrap();
    let certificates = HostCertificates { ssh: ssh.to_openssh().unwrap(), tls: vec![], authorities: vec![] };
    Bundle::new(identity, keys, certificates).unwrap()
}

async fn talk(address: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    let mut answer = Vec::new();
    let _ = tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut answer))
        .await
        .expect("no answer");
    answer
}

#[tokio::test]
async fn http_where_tls_is_wanted_gets_a_readable_answer() {
    let port = port(vec![], false).await;
    let answer = String::from_utf8(talk(port.address, b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await).unwrap();
    assert!(answer.starts_with("HTTP/1.1 400") && answer.contains("https://"), "{answer}");
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.contains(&format!("content-length: {}", body.len())));
}

#[tokio::test]
async fn plain_http_is_served_when_asked_for() {
    let port = port(vec![], true).await;
    let answer =
        talk(port.address, b"GET /webapi/ping HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
    assert!(String::from_utf8(answer).unwrap().starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn garbage_is_closed_and_the_port_lives_on() {
    let port = port(vec![], false).await;
    for garbage in [
        b"\x16\x03\x01\xff\xff\x01\x02\x03 nonsense".as_slice(),
        b"\0\0\0\0\0\0",
        b"SSH-2.0-x\r\n",
        &[0xff; 5000],
    ] {
        // Longer than a TLS record may be, so that nothing is waited for.
        let mut bytes = garbage.to_vec();
        bytes.resize(70_000, 0);
        let mut stream = TcpStream::connect(port.address).await.unwrap();
        let _ = stream.write_all(&bytes).await;
        let mut answer = Vec::new();
        let _ = tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut answer))
            .await
            .expect("it stays open");
    }
    let answer = talk(port.address, b"GET / HTTP/1.1\r\n\r\n").await;
    assert!(!answer.is_empty());
}

#[tokio::test]
async fn a_call_to_auth_reaches_it_byte_for_byte() {
    let auth = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let dead = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let dead_address = dead.local_addr().unwrap().to_string();
    drop(dead);
    let port = port(vec![dead_address, auth.local_addr().unwrap().to_string()], false).await;
    let trust = net::tls::ServerTrust::Anyone;
    let mut client = rustls::ClientConnection::new(
        net::tls::client(&trust, None, net::alpn::AUTH).unwrap(),
        net::tls::role_name(domain::identity::SystemRole::Auth).unwrap(),
    )
    .unwrap();
    let mut greeting = Vec::new();
    client.write_tls(&mut greeting).unwrap();
    let talking = tokio::spawn(async move { (talk(port.address, &greeting).await, greeting) });
    let (mut arrived, _) = auth.accept().await.unwrap();
    let told = net::preface::read(&mut arrived).await.unwrap().unwrap();
    assert!(told.ip().is_loopback() && told.port() != 0);
    let mut received = vec![0; 64];
    arrived.read_exact(&mut received).await.unwrap();
    arrived.write_all(b"from auth").await.unwrap();
    drop(arrived);
    let (answer, greeting) = talking.await.unwrap();
    assert_eq!(received, greeting.get(..64).unwrap());
    assert!(answer.is_empty() || answer == b"from auth");
}
