//! Servers make themselves known, and are told to whoever asks for the state of the cluster.

use std::time::Duration;

use api::auth::StatusResponse;
use client::AuthClient;
use client::join::Joining;
use domain::identity::SystemRole;
use domain::label::INVALID_HOSTNAME;
use domain::lock::{Lock, LockSpec, Target};
use domain::node::{Node, TTL};
use domain::resource::Kind;
use domain::server::{AuthServer, Proxy, ProxySpec};
use port::random::Random as _;
use tokio_util::sync::CancellationToken;

use crate::bed::{Bed, joining};
use crate::{node, said};

/// How long something may take that needs nothing but to be noticed.
const SOON: Duration = Duration::from_secs(30);

fn proxy(host: &str) -> ProxySpec {
    ProxySpec {
        hostname: "proxy-2".to_owned(),
        public_addrs: vec![format!("{host}:443")],
        ssh_public_addrs: vec![format!("{host}:22")],
        version: "0.1.0".to_owned(),
    }
}

fn as_proxy(bed: &Bed) -> Joining {
    Joining { role: SystemRole::Proxy, ..joining(bed, "proxy-2", "proxy-token") }
}

async fn join(bed: &Bed, joining: &Joining) -> AuthClient {
    bed.member(&client::join::join(joining, &*bed.random).await.unwrap())
}

/// Asks until the answer is as wanted: what others say arrives a moment later.
async fn until(asked: &AuthClient, wanted: impl Fn(&StatusResponse) -> bool) -> StatusResponse {
    let looking = async {
        loop {
            let status = asked.status().await.unwrap();
            if wanted(&status) {
                return status;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(SOON, looking).await.unwrap()
}

#[tokio::test]
async fn a_proxy_is_told_of_until_it_leaves_or_falls_silent() {
    let bed = Bed::start().await;
    let speaker = join(&bed, &as_proxy(&bed)).await;
    assert_eq!(speaker.heartbeat(&proxy("p.example.com"), false).await.unwrap(), "proxy-2");
    let is_told = |status: &StatusResponse| status.proxy_addresses.len() == 2;
    let status = until(&bed.admin, is_told).await;
    assert_eq!(
        status.proxy_addresses,
        ["proxy.example.com:3080", "p.example.com:443"],
        "its own comes first"
    );
    assert_eq!(status.proxy_ssh_addresses, ["p.example.com:22"]);
    speaker.heartbeat(&proxy("p.example.com"), true).await.unwrap();
    until(&bed.admin, |status| !is_told(status)).await;
    speaker.heartbeat(&proxy("p.example.com"), false).await.unwrap();
    until(&bed.admin, is_told).await;
    bed.clock.advance(TTL + Duration::from_secs(1));
    until(&bed.admin, |status| !is_told(status)).await;
}

#[tokio::test]
async fn a_host_name_that_is_mended_takes_the_place_of_the_uuid_and_the_label_goes() {
    let bed = Bed::start().await;
    let bundle = client::join::join(&joining(&bed, "bad_name", "node-token"), &*bed.random).await.unwrap();
    let (member, id) = (bed.member(&bundle), bundle.identity.host_id.to_string());
    let label = async || {
        let record: Node = bed.admin.get(&id).await.unwrap();
        let label = record.spec.labels.value(INVALID_HOSTNAME).map(str::to_owned);
        (record.spec.hostname, label)
    };
    for _ in 0..2 {
        assert_eq!(member.heartbeat(&node("bad_name"), false).await.unwrap(), id);
        assert_eq!(label().await, (id.clone(), Some("bad_name".to_owned())));
        assert_eq!(member.heartbeat(&node("good-name"), false).await.unwrap(), "good-name");
        assert_eq!(label().await, ("good-name".to_owned(), None));
    }
}

/// The names in the certificate of a host that joins, or why it does not.
async fn names(bed: &Bed, joining: &Joining) -> Result<Vec<String>, String> {
    let bundle = client::join::join(joining, &*bed.random).await.map_err(said)?;
    Ok(bundle.ssh_certificate.valid_principals().to_vec())
}

#[tokio::test]
async fn no_node_takes_the_name_of_a_proxy_for_as_long_as_its_certificate_lives() {
    let bed = Bed::start().await;
    let addresses = vec!["p.example.com".to_owned(), "2001:db8::1".to_owned()];
    let proxys = Joining { host_addresses: addresses.clone(), ..as_proxy(&bed) };
    assert!(names(&bed, &proxys).await.unwrap().contains(&addresses[0]));
    // It has never said a word yet, and the names are its own.
    let thief = |name: &str| Joining {
        host_addresses: vec!["2001:0db8:0::1".to_owned(), "web.example.com".to_owned()],
        ..joining(&bed, name, "node-token")
    };
    for name in ["p.example.com", "P.Example.com"] {
        let names = names(&bed, &thief(name)).await.unwrap();
        assert!(!names.iter().any(|name| name.eq_ignore_ascii_case("p.example.com")), "{names:?}");
        assert!(!names.iter().any(|name| name.starts_with("2001:")), "{names:?}");
        assert!(names.contains(&"web.example.com".to_owned()), "{names:?}");
    }
    // With public names of its own it is not reached by its host's.
    assert!(names(&bed, &thief("proxy-2")).await.unwrap().contains(&"proxy-2".to_owned()));
    bed.clock.advance(domain::certificate::HOST_TTL + Duration::from_secs(600));
    assert!(names(&bed, &thief("p.example.com")).await.unwrap().contains(&addresses[0]));
}

#[tokio::test]
async fn a_token_for_nodes_alone_makes_nobody_the_node_beside_a_proxy() {
    let bed = Bed::start().await;
    let proxys = as_proxy(&bed);
    assert!(names(&bed, &proxys).await.unwrap().contains(&"proxy-2".to_owned()));
    let beside = Joining { host_id: proxys.host_id, ..joining(&bed, "proxy-2", "node-token") };
    let error = names(&bed, &beside).await.unwrap_err();
    assert!(error.contains("a host that runs a proxy") && error.contains("--type=node,proxy"), "{error}");
    bed.token("for-both", &[SystemRole::Node, SystemRole::Proxy], 600).await;
    let beside = Joining { token: "for-both".into(), ..beside };
    assert!(names(&bed, &beside).await.unwrap().contains(&"proxy-2".to_owned()), "the host has one name");
}

#[tokio::test]
async fn a_proxy_that_is_locked_is_not_told_of() {
    let bed = Bed::start().await;
    let proxys = as_proxy(&bed);
    join(&bed, &proxys).await.heartbeat(&proxy("p.example.com"), false).await.unwrap();
    until(&bed.admin, |status| status.proxy_addresses.len() == 2).await;
    let target = Target { server_id: Some(proxys.host_id), ..Target::default() };
    bed.admin.put(&Lock::new("l", LockSpec { target, ..LockSpec::default() }), false).await.unwrap();
    until(&bed.admin, |status| status.proxy_addresses.len() == 1).await;
}

#[tokio::test]
async fn what_a_proxy_says_is_no_line_of_a_file() {
    let bed = Bed::start().await;
    let speaker = join(&bed, &as_proxy(&bed)).await;
    for evil in ["*", "p,q", "p\nq", ""] {
        let error = said(speaker.heartbeat(&proxy(evil), false).await.unwrap_err());
        assert!(error.contains("spec.public_addrs") && error.contains("host:port"), "{error}");
    }
    assert!(bed.admin.list_json(Kind::Proxy).await.unwrap().is_empty());
}

#[tokio::test]
async fn every_auth_server_of_a_store_is_told_by_each() {
    let bed = Bed::start().await;
    let one = bed.service.address().to_string();
    let other = bed.open_again(None).await.unwrap();
    let stop = CancellationToken::new();
    let running = tokio::spawn(std::sync::Arc::clone(&other).run(stop.clone()));
    let status = until(&bed.admin, |status| status.auth_addresses.len() == 2).await;
    assert_eq!(status.auth_addresses, [one.clone(), other.address().to_string()]);
    let looking = async {
        loop {
            let listed = bed.admin.list_json(Kind::AuthServer).await.unwrap();
            if listed.len() == 2 {
                return listed;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let listed = tokio::time::timeout(SOON, looking).await.unwrap();
    let listed: Vec<_> = listed.iter().map(|json| AuthServer::from_json(json).unwrap()).collect();
    assert!(
        listed.iter().all(|server| server.spec.hostname == "auth-1" && server.metadata.expires.is_some())
    );
    stop.cancel();
    running.await.unwrap().unwrap();
    let status = until(&bed.admin, |status| status.auth_addresses.len() == 1).await;
    assert_eq!(status.auth_addresses, [one]);
}

#[tokio::test]
async fn nobody_writes_these_records_by_hand() {
    let bed = Bed::start().await;
    let made_up = Proxy::new(bed.random.uuid().to_string(), proxy("p.example.com"));
    let error = said(bed.admin.put(&made_up, false).await.unwrap_err());
    assert!(error.contains("may not create records of kind proxy"), "{error}");
    let error = said(bed.admin.delete(Kind::AuthServer, made_up.name()).await.unwrap_err());
    assert!(error.contains("may not delete records of kind auth_server"), "{error}");
}
