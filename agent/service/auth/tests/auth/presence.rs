//! Servers make themselves known, and are told to whoever asks for the state of the cluster.

use std::time::Duration;

use api::auth::StatusResponse;
use client::AuthClient;
use client::join::Joining;
use domain::identity::SystemRole;
use domain::name::HostId;
use domain::node::TTL;
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
async fn no_node_takes_the_name_of_a_proxy_that_runs_elsewhere() {
    let bed = Bed::start().await;
    let proxys = as_proxy(&bed);
    join(&bed, &proxys).await.heartbeat(&proxy("p.example.com"), false).await.unwrap();
    until(&bed.admin, |status| status.proxy_addresses.len() == 2).await;
    for (host_id, may) in [(HostId(bed.random.uuid()), false), (proxys.host_id, true)] {
        let node = Joining { host_id, ..joining(&bed, "p.example.com", "node-token") };
        let bundle = client::join::join(&node, &*bed.random).await.unwrap();
        let names = bundle.ssh_certificate.valid_principals();
        assert_eq!(names.contains(&"p.example.com".to_owned()), may, "{names:?}");
    }
}

#[tokio::test]
async fn what_a_proxy_says_is_no_line_of_a_file() {
    let bed = Bed::start().await;
    let speaker = join(&bed, &as_proxy(&bed)).await;
    for evil in ["*", "p,q", "p\nq", ""] {
        let error = said(speaker.heartbeat(&proxy(evil), false).await.unwrap_err());
        assert!(error.contains("spec.public_addrs") && error.contains("host:port"), "{error}");
    }
    // What it says is its own kind of record, whatever it sends.
    let error = said(speaker.heartbeat(&node("web-1"), false).await.unwrap_err());
    assert!(error.contains("the heartbeat cannot be read"), "{error}");
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
    let listed = bed.admin.list_json(Kind::AuthServer).await.unwrap();
    let listed: Vec<_> = listed.iter().map(|json| AuthServer::from_json(json).unwrap()).collect();
    assert_eq!(listed.len(), 2);
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
