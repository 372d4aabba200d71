//! What strangers who join in vain leave behind.

use domain::name::ClusterName;
use fake::{FakeAudit, FakeClock};
use port::random::SystemRandom;
use storage::MemoryStore;
use tokio::task::JoinSet;

use super::*;
use crate::metrics::Metrics;
use crate::service::Deps;
use crate::settings::{ProxyAddresses, Settings};

const UUID: &str = "d52527f9-b260-41d0-bb5a-e23b0cfe0f8f";
const GOOD: &str = "a-token-of-the-configuration";

async fn service() -> (Arc<AuthService>, Arc<FakeAudit>) {
    net::install_crypto();
    let (clock, audit) = (Arc::new(FakeClock::new()), Arc::new(FakeAudit::new()));
    let settings = Settings {
        listen: "127.0.0.1:0".parse().unwrap(),
        cluster_name: Some(ClusterName::new("main").unwrap()),
        known_cluster: None,
        store: "the store".to_owned(),
        tokens: vec![StaticToken { roles: vec![SystemRole::Node], value: GOOD.into() }],
        host_id: HostId::parse(UUID).unwrap(),
        hostname: "auth-1".into(),
        names: Vec::new(),
        proxies: ProxyAddresses::default(),
        max_connections: 10,
        host_ttl: domain::certificate::HOST_TTL,
        user_ttl: domain::certificate::USER_TTL,
        version: "0.1.0".into(),
    };
    let deps = Deps {
        clock: clock.clone(),
        random: Arc::new(SystemRandom),
        store: Arc::new(MemoryStore::new(clock)),
        audit: audit.clone(),
        metrics: Metrics::default(),
    };
    (AuthService::new(settings, deps).await.unwrap(), audit)
}

fn request() -> wire::JoinRequest {
    wire::JoinRequest {
        token: "nothing-like-it".into(),
        role: "node".into(),
        host_id: UUID.into(),
        node_name: format!("a{}", "\u{e9}".repeat(200)),
        ..wire::JoinRequest::default()
    }
}

fn peer() -> SocketAddr {
    "192.0.2.1:1".parse().unwrap()
}

#[tokio::test(start_paused = true)]
async fn nonsense_leaves_no_event_and_a_long_name_a_short_one() {
    let (service, audit) = service().await;
    let before = audit.lines().len();
    let large = "x".repeat(8000);
    for nonsense in [
        wire::JoinRequest { role: large.clone(), ..request() },
        wire::JoinRequest { host_id: large.clone(), ..request() },
        wire::JoinRequest { node_name: large, ..request() },
    ] {
        service.join(nonsense, peer()).await.unwrap_err();
    }
    assert_eq!(audit.lines().len(), before);
    service.join(request(), peer()).await.unwrap_err();
    let lines = audit.lines();
    let name = lines.last().and_then(|line| line.get("node_name")).and_then(|name| name.as_str()).unwrap();
    assert_eq!(name.len(), 255, "whole letters, at most 256 bytes");
}

#[tokio::test(start_paused = true)]
async fn refusals_are_on_record_as_often_as_there_are_places_to_wait() {
    let (service, audit) = service().await;
    let before = audit.lines().len();
    let places = service.refusals.available_permits();
    // Hanging up at once frees no place.
    for _ in 0..places / 2 {
        let asked = service.join(request(), peer());
        assert!(tokio::time::timeout(REFUSAL_DELAY / 1000, asked).await.is_err(), "it waits");
    }
    let mut asking = JoinSet::new();
    for _ in 0..places {
        let service = Arc::clone(&service);
        asking.spawn(async move { service.join(request(), peer()).await.unwrap_err().to_string() });
    }
    let said = asking.join_all().await;
    assert_eq!(said.iter().filter(|text| text.contains("too many refused joins")).count(), places / 2);
    assert_eq!(audit.lines().len() - before, places);
    tokio::time::sleep(REFUSAL_DELAY).await;
    assert_eq!(service.refusals.available_permits(), places);
}

/// A request of a new host with keys of its own.
fn with_keys(host_id: &str) -> wire::JoinRequest {
    wire::JoinRequest {
        token: GOOD.into(),
        host_id: host_id.into(),
        ssh_public_key: certs::ssh::new_key(&SystemRandom).public_key().to_openssh().unwrap(),
        tls_public_key: certs::x509::KeyPair::generate().unwrap().public_der(),
        ..request()
    }
}

async fn is_recorded(service: &AuthService, host_id: &str) -> bool {
    let key = key::host(HostId::parse(host_id).unwrap(), SystemRole::Node);
    service.deps.store.get(&key).await.unwrap().is_some()
}

const OTHER: &str = "11111111-f9b2-41d0-bb5a-e23b0cfe0f8f";
const THIRD: &str = "22222222-f9b2-41d0-bb5a-e23b0cfe0f8f";

#[tokio::test(start_paused = true)]
async fn a_token_that_let_in_too_many_lets_in_no_more_and_that_is_on_record() {
    let (service, audit) = service().await;
    let known = with_keys(THIRD);
    service.join(known.clone(), peer()).await.unwrap();
    for _ in 1..bound::AT_ONCE {
        let _ = service.joined.count(&GOOD.into()).unwrap();
    }
    let one_more = with_keys(OTHER);
    let refused = service.join(one_more.clone(), peer()).await.unwrap_err();
    assert!(refused.to_string().contains("joined with this token lately"), "{refused}");
    // A host that hears this asks again, and does not give up.
    assert_eq!(tonic::Status::from(refused).code(), tonic::Code::ResourceExhausted);
    let lines = audit.lines();
    assert_eq!(lines.last().unwrap()["code"], "TJ002E", "{lines:?}");
    assert!(!is_recorded(&service, OTHER).await);
    // The services of this process come in all the same, and who is known makes no new record.
    let token = service.local_token(vec![SystemRole::Node]);
    let own = wire::JoinRequest { token: token.reveal_str().unwrap().to_owned(), ..one_more };
    service.join(own, peer()).await.unwrap();
    service.join(known, peer()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_uses_up_no_token() {
    let (service, _) = service().await;
    service.join(with_keys(THIRD), peer()).await.unwrap();
    // Room for one more.
    for _ in 2..bound::AT_ONCE {
        let _ = service.joined.count(&GOOD.into()).unwrap();
    }
    // Each of these takes a second, and all of them less than it takes until there is room by itself.
    let lost_its_keys = service.join(with_keys(THIRD), peer()).await.unwrap_err();
    assert!(matches!(lost_its_keys, AuthError::HostKnown(_)), "{lost_its_keys}");
    for bad in [
        wire::JoinRequest { ssh_public_key: String::new(), ..with_keys(OTHER) },
        wire::JoinRequest { tls_public_key: b"no key".to_vec(), ..with_keys(OTHER) },
    ] {
        let without = service.join(bad, peer()).await.unwrap_err();
        assert!(matches!(without, AuthError::Certificate(_)), "{without}");
        assert!(!is_recorded(&service, OTHER).await);
    }
    service.join(with_keys(OTHER), peer()).await.unwrap();
    let full = service.join(with_keys("33333333-f9b2-41d0-bb5a-e23b0cfe0f8f"), peer()).await.err();
    assert!(matches!(full, Some(AuthError::TooMany(_))), "{:?}", full.map(|error| error.to_string()));
}
