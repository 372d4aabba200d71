//! A running auth service and callers of every kind.

use std::sync::Arc;
use std::time::Duration;

use api::auth::SignUserRequest;
use certs::bundle::Bundle;
use client::join::Joining;
use client::{AuthClient, AuthEndpoint, ClientError};
use domain::identity::SystemRole;
use domain::name::{ClusterName, HostId};
use domain::token::{JoinMethod, StaticToken, Token, TokenSpec};
use fake::{FakeAudit, FakeClock};
use net::tls::ServerTrust;
use port::clock::{Clock, SystemClock};
use port::random::{Random, SystemRandom};
use port::store::{Prefix, Store};
use ssh_key::Certificate;
use storage::MemoryStore;
use teleport_service_auth::{AuthError, AuthService, Deps, Metrics, ProxyAddresses, Settings};
use tokio_util::sync::{CancellationToken, DropGuard};

pub(crate) struct Bed {
    pub(crate) service: Arc<AuthService>,
    pub(crate) admin: AuthClient,
    pub(crate) audit: Arc<FakeAudit>,
    pub(crate) clock: FakeClock,
    pub(crate) random: Arc<SystemRandom>,
    store: Arc<dyn Store>,
    _stop: DropGuard,
}

impl Bed {
    pub(crate) async fn start() -> Self {
        net::install_crypto();
        // TLS looks at the machine's clock, so the fake one starts there.
        let clock = FakeClock::at(SystemClock.now());
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new(Arc::new(clock.clone())));
        let audit = Arc::new(FakeAudit::new());
        let random = Arc::new(SystemRandom);
        let deps = deps(&clock, &store, &audit);
        let service = AuthService::new(settings(Some("main")), deps).await.unwrap();
        let stop = CancellationToken::new();
        tokio::spawn(Arc::clone(&service).run(stop.clone()));
        let bundle = service.own_identity(SystemRole::Admin).await.unwrap();
        let admin = member(&service, Some(&bundle));
        Self { service, admin, audit, clock, random, store, _stop: stop.drop_guard() }
    }

    /// The same store, opened by another auth service.
    pub(crate) async fn open_again(&self, cluster: Option<&str>) -> Result<Arc<AuthService>, AuthError> {
        AuthService::new(settings(cluster), deps(&self.clock, &self.store, &self.audit)).await
    }

    /// An empty store, opened on a host that belongs to this cluster; and what is in the store then.
    pub(crate) async fn open_empty(&self, known: &str) -> (Option<AuthError>, usize) {
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new(Arc::new(self.clock.clone())));
        let settings = Settings { known_cluster: Some(known.to_owned()), ..settings(Some("main")) };
        let opened = AuthService::new(settings, deps(&self.clock, &store, &self.audit)).await;
        let items = store.range(&Prefix::all(), None, 10).await.unwrap().items;
        (opened.err(), items.len())
    }

    pub(crate) fn member(&self, bundle: &Bundle) -> AuthClient {
        member(&self.service, Some(bundle))
    }

    /// Someone without a certificate.
    pub(crate) fn stranger(&self) -> AuthClient {
        member(&self.service, None)
    }

    pub(crate) async fn token(&self, name: &str, roles: &[SystemRole], seconds: u64) {
        let spec = TokenSpec {
            roles: roles.to_vec(),
            join_method: JoinMethod::Token,
            suggested_labels: domain::label::Labels::default(),
            invites_user: None,
        };
        let expires = self.clock.after(Duration::from_secs(seconds));
        self.admin.put(&Token::new(name, spec).expiring(Some(expires)), false).await.unwrap();
    }

    pub(crate) async fn sign(&self, user: &str) -> Result<Certificate, ClientError> {
        let key = certs::ssh::new_key(&SystemRandom).public_key().to_openssh().unwrap();
        let request = SignUserRequest { user: user.to_owned(), ssh_public_key: key, ..Default::default() };
        let answer = self.admin.sign_user(request).await?;
        Ok(Certificate::from_openssh(&answer.ssh).unwrap())
    }
}

pub(crate) fn joining(bed: &Bed, name: &str, token: &str) -> Joining {
    Joining {
        addresses: vec![bed.service.address().to_string()],
        trust: ServerTrust::Pins(bed.service.pins().unwrap()),
        token: token.into(),
        host_id: HostId(bed.random.uuid()),
        role: SystemRole::Node,
        node_name: name.to_owned(),
        host_addresses: Vec::new(),
    }
}

fn member(service: &AuthService, bundle: Option<&Bundle>) -> AuthClient {
    let trust = ServerTrust::Cluster(service.authorities().to_vec());
    AuthClient::new(AuthEndpoint::new(vec![service.address().to_string()], &trust, bundle).unwrap())
}

fn deps(clock: &FakeClock, store: &Arc<dyn Store>, audit: &Arc<FakeAudit>) -> Deps {
    Deps {
        clock: Arc::new(clock.clone()),
        random: Arc::new(SystemRandom),
        store: Arc::clone(store),
        audit: audit.clone(),
        metrics: Metrics::default(),
    }
}

fn settings(cluster: Option<&str>) -> Settings {
    let token = |value: &str, role| StaticToken { roles: vec![role], value: value.into() };
    Settings {
        listen: "127.0.0.1:0".parse().unwrap(),
        cluster_name: cluster.map(|name| ClusterName::new(name).unwrap()),
        known_cluster: None,
        store: "the store in memory".to_owned(),
        tokens: vec![token("node-token", SystemRole::Node), token("proxy-token", SystemRole::Proxy)],
        host_id: HostId(SystemRandom.uuid()),
        hostname: "auth-1".into(),
        names: vec!["127.0.0.1".into()],
        proxies: ProxyAddresses { web: vec!["proxy.example.com:3080".into()], ..ProxyAddresses::default() },
        max_connections: 1000,
        host_ttl: domain::certificate::HOST_TTL,
        user_ttl: domain::certificate::USER_TTL,
        version: "0.1.0".into(),
    }
}
