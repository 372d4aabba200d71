use std::time::Duration;

use certs::authority::AuthorityKeys;
use certs::bundle::{HostCertificates, HostKeys};
use certs::x509::{Leaf, Pin, issue};
use domain::Timestamp;
use domain::identity::{HostIdentity, Identity};
use domain::name::HostId;
use port::clock::{Clock, SystemClock};
use port::random::SystemRandom;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::*;

const ID: &str = "d52527f9-b260-41d0-bb5a-e23b0cfe0f8f";

fn now() -> Timestamp {
    SystemClock.now()
}

fn authority() -> AuthorityKeys {
    AuthorityKeys::generate(AuthorityType::Host, "main", now(), &SystemRandom).unwrap()
}

fn bundle(authority: &AuthorityKeys, role: SystemRole) -> Bundle {
    let identity = HostIdentity { host_id: HostId::parse(ID).unwrap(), role, cluster: "main".into() };
    let keys = HostKeys::generate(&SystemRandom).unwrap();
    let ttl = Duration::from_secs(600);
    let spec = certs::ssh::HostSpec { identity: identity.clone(), principals: vec![ID.into()], ttl };
    let ssh =
        certs::ssh::issue_host(authority.ssh().unwrap(), keys.ssh.public_key(), &spec, now(), &SystemRandom)
            .unwrap();
    let named = Identity::Host(identity.clone());
    let leaf = Leaf { identity: &named, public_key: &keys.tls.public_der(), names: &[], ttl, serial: 1 };
    let tls = issue(authority.tls().unwrap(), &leaf, now()).unwrap();
    let authorities = vec![authority.public().unwrap()];
    Bundle::new(identity, keys, HostCertificates { ssh: ssh.to_openssh().unwrap(), tls, authorities })
        .unwrap()
}

/// A handshake and one byte each way; who the server says the client is.
async fn meet(
    server: Arc<ServerConfig>,
    client: Arc<ClientConfig>,
    name: SystemRole,
) -> std::io::Result<Option<Identity>> {
    let (near, far) = tokio::io::duplex(16 * 1024);
    let serving = tokio::spawn(async move {
        let mut stream = TlsAcceptor::from(server).accept(far).await?;
        let who = peer_identity(stream.get_ref().1.peer_certificates()).map_err(std::io::Error::other)?;
        stream.write_all(b"!").await?;
        stream.flush().await?;
        Ok::<_, std::io::Error>(who)
    });
    let mut stream = TlsConnector::from(client).connect(role_name(name).unwrap(), near).await?;
    stream.read_u8().await?;
    serving.await.unwrap()
}

#[tokio::test]
async fn parts_of_one_cluster_know_each_other() {
    crate::install_crypto();
    let authority = authority();
    let (auth, node) = (bundle(&authority, SystemRole::Auth), bundle(&authority, SystemRole::Node));
    let trust = ServerTrust::Cluster(node.authorities.clone());
    let client = client(&trust, Some(&node), crate::alpn::AUTH).unwrap();
    let who = meet(server(&auth, &[crate::alpn::AUTH]).unwrap(), client, SystemRole::Auth).await.unwrap();
    assert!(matches!(who, Some(Identity::Host(host)) if host.role == SystemRole::Node));
}

#[tokio::test]
async fn a_node_cannot_pass_for_the_auth_server() {
    crate::install_crypto();
    let authority = authority();
    let node = bundle(&authority, SystemRole::Node);
    let client = client(&ServerTrust::Cluster(node.authorities.clone()), None, crate::alpn::AUTH).unwrap();
    let error =
        meet(server(&node, &[crate::alpn::AUTH]).unwrap(), client, SystemRole::Auth).await.unwrap_err();
    assert!(error.to_string().contains("not valid for"), "{error}");
}

#[tokio::test]
async fn another_cluster_is_refused_on_both_sides() {
    crate::install_crypto();
    let (ours, theirs) = (authority(), authority());
    let (auth, stranger) = (bundle(&ours, SystemRole::Auth), bundle(&theirs, SystemRole::Node));
    let serve = || server(&auth, &[crate::alpn::AUTH]).unwrap();
    let distrusts =
        client(&ServerTrust::Cluster(stranger.authorities.clone()), None, crate::alpn::AUTH).unwrap();
    assert!(meet(serve(), distrusts, SystemRole::Auth).await.is_err());
    let distrusted =
        client(&ServerTrust::Cluster(auth.authorities.clone()), Some(&stranger), crate::alpn::AUTH).unwrap();
    assert!(meet(serve(), distrusted, SystemRole::Auth).await.is_err());
}

#[tokio::test]
async fn a_pin_is_enough_and_a_wrong_one_is_not() {
    crate::install_crypto();
    let (ours, theirs) = (authority(), authority());
    let auth = bundle(&ours, SystemRole::Auth);
    let pin = |authority: &AuthorityKeys| Pin::of(authority.tls().unwrap().certificate_der()).unwrap();
    let ask = |pin, name| {
        let client = client(&ServerTrust::Pins(vec![pin]), None, crate::alpn::AUTH).unwrap();
        meet(server(&auth, &[crate::alpn::AUTH]).unwrap(), client, name)
    };
    assert_eq!(ask(pin(&ours), SystemRole::Auth).await.unwrap(), None, "no certificate, no identity");
    assert!(ask(pin(&theirs), SystemRole::Auth).await.is_err());
    assert!(ask(pin(&ours), SystemRole::Proxy).await.is_err(), "the role is checked under a pin too");
}

#[tokio::test]
async fn a_server_that_does_not_speak_the_protocol_refuses() {
    crate::install_crypto();
    let auth = bundle(&authority(), SystemRole::Auth);
    let client = client(&ServerTrust::Anyone, None, crate::alpn::TUNNEL).unwrap();
    assert!(meet(server(&auth, &[crate::alpn::AUTH]).unwrap(), client, SystemRole::Auth).await.is_err());
}
