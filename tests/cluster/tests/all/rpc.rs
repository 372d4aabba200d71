//! The auth server's API: every call, tried by every kind of caller.
//!
//! A call that is added to the protocol fails this test until it has a row in the table.

use std::collections::BTreeSet;
use std::sync::Arc;

use api::auth as wire;
use api::auth::cluster_service_client::ClusterServiceClient;
use api::auth::host_service_client::HostServiceClient;
use api::auth::join_service_client::JoinServiceClient;
use api::auth::record_service_client::RecordServiceClient;
use api::auth::sign_service_client::SignServiceClient;
use certs::bundle::{Bundle, HostCertificates, HostKeys};
use client::AuthEndpoint;
use domain::identity::SystemRole;
use domain::node::NodeSpec;
use domain::traits::Traits;
use domain::user::{LOGINS, User, UserSpec};
use net::tls::ServerTrust;
use port::random::{Random, SystemRandom};
use teleport_tests_cluster::Cluster;

const PROTOCOL: &str = include_str!("../../../../agent/api/proto/auth.proto");

/// Who calls, in the order of the table's columns: nobody known, a node, a proxy, a user with the role
/// `access`, a user with the role `admin`, `tctl` on the auth server's host.
const CALLERS: [&str; 6] = ["none", "node", "proxy", "access", "admin", "tctl"];

/// Which calls go well for whom. Records are tried with users, which are nobody's business but an
/// administrator's; the rights to the other kinds are one table in the domain.
const TABLE: [(&str, &str); 12] = [
    ("JoinService.Join", "++++++"),
    ("HostService.Renew", "-++---"),
    ("HostService.Heartbeat", "-++---"),
    ("HostService.EmitEvents", "-++---"),
    ("RecordService.Get", "----++"),
    ("RecordService.List", "----++"),
    ("RecordService.Put", "----++"),
    ("RecordService.Delete", "----++"),
    ("RecordService.Watch", "----++"),
    ("ClusterService.Status", "-+++++"),
    ("SignService.SignUser", "-----+"),
    ("SignService.SignHost", "-----+"),
];

/// The calls of the protocol.
fn protocol() -> BTreeSet<String> {
    let mut calls = BTreeSet::new();
    let mut service = "";
    for words in PROTOCOL.lines().map(|line| line.split([' ', '(']).filter(|word| !word.is_empty())) {
        match words.collect::<Vec<_>>()[..] {
            ["service", name, ..] => service = name,
            ["rpc", name, ..] => {
                calls.insert(format!("{service}.{name}"));
            }
            _ => {}
        }
    }
    calls
}

#[test]
fn every_call_of_the_protocol_has_a_row() {
    let rows: BTreeSet<_> = TABLE.iter().map(|(call, _)| (*call).to_owned()).collect();
    assert_eq!(protocol(), rows);
    assert_eq!(rows.len(), PROTOCOL.lines().filter(|line| line.trim_start().starts_with("rpc ")).count());
}

/// A caller: how it connects.
pub(crate) type Caller = Arc<AuthEndpoint>;

/// A cluster with a node and a proxy that joined and run nothing.
pub(crate) struct Bed {
    pub(crate) cluster: Cluster,
    pub(crate) node: Bundle,
    pub(crate) proxy: Bundle,
}

impl Bed {
    pub(crate) async fn start() -> Self {
        let cluster = Cluster::start().await;
        let node = cluster.host(SystemRole::Node, "web-1").await;
        let proxy = cluster.host(SystemRole::Proxy, "proxy-2").await;
        cluster.token("a-token-for-everybody").await;
        Self { cluster, node, proxy }
    }

    pub(crate) fn endpoint(&self, bundle: Option<&Bundle>) -> Caller {
        let trust = ServerTrust::Cluster(self.node.authorities.clone());
        AuthEndpoint::new(vec![self.cluster.auth().to_string()], &trust, bundle).unwrap()
    }

    /// A user with a certificate for TLS. It comes in a host's clothes, of which TLS shows nothing.
    pub(crate) async fn user(&self, name: &str, role: &str) -> Bundle {
        self.cluster.admin().put(&user(name, role), true).await.unwrap();
        let keys = HostKeys::generate(&SystemRandom).unwrap();
        let request = wire::SignUserRequest {
            user: name.to_owned(),
            ssh_public_key: keys.ssh_public().unwrap(),
            tls_public_key: keys.tls.public_der(),
            ..wire::SignUserRequest::default()
        };
        let signed = self.cluster.admin().sign_user(request).await.unwrap();
        let certificates =
            HostCertificates { ssh: signed.ssh, tls: signed.tls, authorities: signed.authorities };
        Bundle::new(self.node.identity.clone(), keys, certificates).unwrap()
    }

    async fn caller(&self, who: &str) -> Caller {
        match who {
            "none" => self.endpoint(None),
            "node" => self.endpoint(Some(&self.node)),
            "proxy" => self.endpoint(Some(&self.proxy)),
            "tctl" => {
                let file = self.cluster.folder().join("data").join(process::ADMIN_IDENTITY);
                let admin = domain::secret::Secret::new(std::fs::read(file).unwrap());
                self.endpoint(Some(&Bundle::from_secret(&admin).unwrap()))
            }
            role => self.endpoint(Some(&self.user(&format!("{role}-user"), role).await)),
        }
    }

    /// Makes a call that is right in every way, so that only who calls can be wrong. The error is the
    /// code and the sentence.
    async fn call(&self, (who, caller): (&str, &Caller), call: &str) -> Result<(), String> {
        let channel = caller.channel();
        let keys = HostKeys::generate(&SystemRandom).unwrap();
        let (ssh, tls) = (keys.ssh_public().unwrap(), keys.tls.public_der());
        let outcome = match call {
            "JoinService.Join" => {
                let request = join_request("a-token-for-everybody", ssh, tls);
                JoinServiceClient::new(channel).join(request).await.map(drop)
            }
            "HostService.Renew" => {
                let request = wire::RenewRequest {
                    node_name: "web-1".into(),
                    ssh_public_key: ssh,
                    tls_public_key: tls,
                    addresses: Vec::new(),
                };
                HostServiceClient::new(channel).renew(request).await.map(drop)
            }
            "HostService.Heartbeat" => {
                // Each kind of host describes itself in its own way.
                let spec = if who == "proxy" { br#"{"hostname":"proxy-2"}"#.to_vec() } else { spec("web-1") };
                let request = wire::HeartbeatRequest { spec, leaving: false };
                HostServiceClient::new(channel).heartbeat(request).await.map(drop)
            }
            "HostService.EmitEvents" => {
                let request = wire::EmitEventsRequest { events: vec![event("somebody-else", "")] };
                HostServiceClient::new(channel).emit_events(request).await.map(drop)
            }
            "SignService.SignUser" => {
                let request = wire::SignUserRequest {
                    user: "victim".into(),
                    ssh_public_key: ssh,
                    ..wire::SignUserRequest::default()
                };
                SignServiceClient::new(channel).sign_user(request).await.map(drop)
            }
            "SignService.SignHost" => {
                let request = wire::SignHostRequest {
                    hosts: vec!["web-9".into()],
                    ttl_seconds: 0,
                    ssh_public_key: ssh,
                    tls_public_key: tls,
                };
                SignServiceClient::new(channel).sign_host(request).await.map(drop)
            }
            "ClusterService.Status" => {
                ClusterServiceClient::new(channel).status(wire::StatusRequest {}).await.map(drop)
            }
            record => return self.record(caller, record).await,
        };
        outcome.map_err(|status| format!("{:?}: {}", status.code(), status.message()))
    }

    async fn record(&self, caller: &Caller, call: &str) -> Result<(), String> {
        let mut records = RecordServiceClient::new(caller.channel());
        let (kind, name) = ("user".to_owned(), "victim".to_owned());
        let outcome = match call {
            "RecordService.Get" => records.get(wire::GetRequest { kind, name }).await.map(drop),
            "RecordService.List" => {
                let request = wire::ListRequest { kind, limit: 0, page_token: String::new() };
                records.list(request).await.map(drop)
            }
            "RecordService.Put" => {
                let json = user("victim", "access").to_json();
                let request = wire::PutRequest { json, replace: true, if_revision: String::new() };
                records.put(request).await.map(drop)
            }
            "RecordService.Delete" => records.delete(wire::DeleteRequest { kind, name }).await.map(drop),
            "RecordService.Watch" => records.watch(wire::WatchRequest { kinds: vec![kind] }).await.map(drop),
            other => panic!("nobody knows how to call {other}"),
        };
        outcome.map_err(|status| format!("{:?}: {}", status.code(), status.message()))
    }
}

pub(crate) fn user(name: &str, role: &str) -> User {
    let traits = Traits([(LOGINS.to_owned(), vec!["root".to_owned()])].into());
    User::new(name, UserSpec { roles: vec![role.to_owned()], traits, ..UserSpec::default() })
}

pub(crate) fn spec(hostname: &str) -> Vec<u8> {
    let spec = NodeSpec {
        hostname: hostname.into(),
        addr: String::new(),
        use_tunnel: true,
        labels: domain::label::Labels::default(),
        cmd_labels: domain::label::Labels::default(),
        cmd_label_errors: domain::label::Labels::default(),
        version: "0.1.0".into(),
    };
    serde_json::to_vec(&spec).unwrap()
}

pub(crate) fn event(server_id: &str, padding: &str) -> Vec<u8> {
    let event = serde_json::json!({
        "event": "exec", "code": "T3002I", "uid": SystemRandom.uuid().to_string(), "time": "2026-01-01T00:00:00Z",
        "server_id": server_id, "cluster_name": "another", "padding": padding,
    });
    serde_json::to_vec(&event).unwrap()
}

pub(crate) fn join_request(
    token: &str,
    ssh_public_key: String,
    tls_public_key: Vec<u8>,
) -> wire::JoinRequest {
    wire::JoinRequest {
        token: token.into(),
        role: "node".into(),
        host_id: SystemRandom.uuid().to_string(),
        node_name: "web-7".into(),
        ssh_public_key,
        tls_public_key,
        addresses: Vec::new(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_are_open_to_whom_the_table_says() {
    let bed = Bed::start().await;
    let mut wrong = Vec::new();
    for (column, who) in CALLERS.into_iter().enumerate() {
        let caller = bed.caller(who).await;
        for (call, expected) in TABLE {
            bed.cluster.admin().put(&user("victim", "access"), true).await.unwrap();
            let outcome = bed.call((who, &caller), call).await;
            let as_meant = match (expected.as_bytes()[column], &outcome) {
                (b'+', Ok(())) => true,
                (b'-', Err(text)) if who == "none" => text.starts_with("Unauthenticated: "),
                (b'-', Err(text)) => text.starts_with("PermissionDenied: "),
                _ => false,
            };
            if !as_meant {
                wrong.push(format!(
                    "{who} {call}: {outcome:?}, the table says {}",
                    &expected[column..=column]
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
