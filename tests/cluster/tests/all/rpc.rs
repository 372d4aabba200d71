//! The auth server's API: every call, tried by every kind of caller.
//!
//! A call that is added to the protocol fails this test until it has a row in the table.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

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
use domain::resource::Kind;
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
    ("HostService.Heartbeat", "-+----"),
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
type Caller = Arc<AuthEndpoint>;

struct Bed {
    cluster: Cluster,
    node: Bundle,
    proxy: Bundle,
}

impl Bed {
    async fn start() -> Self {
        let cluster = Cluster::start().await;
        let node = cluster.host(SystemRole::Node, "web-1").await;
        let proxy = cluster.host(SystemRole::Proxy, "proxy-2").await;
        cluster.token("a-token-for-everybody").await;
        Self { cluster, node, proxy }
    }

    fn endpoint(&self, bundle: Option<&Bundle>) -> Caller {
        let trust = ServerTrust::Cluster(self.node.authorities.clone());
        AuthEndpoint::new(vec![self.cluster.auth().to_string()], &trust, bundle).unwrap()
    }

    /// A user with a certificate for TLS. It comes in a host's clothes, of which TLS shows nothing.
    async fn user(&self, name: &str, role: &str) -> Bundle {
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
    async fn call(&self, caller: &Caller, call: &str) -> Result<(), String> {
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
                let request = wire::HeartbeatRequest { node_spec: spec("web-1"), leaving: false };
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

fn user(name: &str, role: &str) -> User {
    let traits = Traits([(LOGINS.to_owned(), vec!["root".to_owned()])].into());
    User::new(name, UserSpec { roles: vec![role.to_owned()], traits, ..UserSpec::default() })
}

fn spec(hostname: &str) -> Vec<u8> {
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

fn event(server_id: &str, padding: &str) -> Vec<u8> {
    let event = serde_json::json!({
        "event": "exec", "code": "T3002I", "uid": SystemRandom.uuid().to_string(), "time": "2026-01-01T00:00:00Z",
        "server_id": server_id, "cluster_name": "another", "padding": padding,
    });
    serde_json::to_vec(&event).unwrap()
}

fn join_request(token: &str, ssh_public_key: String, tls_public_key: Vec<u8>) -> wire::JoinRequest {
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
            let outcome = bed.call(&caller, call).await;
            let as_meant = match (expected.as_bytes()[column], &outcome) {
                (b'+', Ok(())) => true,
                // A proxy has no heartbeat at all, whatever its rights.
                (b'-', Err(text)) if (who, call) == ("proxy", "HostService.Heartbeat") => {
                    text.contains("no record of its own")
                }
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

#[tokio::test(flavor = "multi_thread")]
async fn whatever_a_host_says_it_speaks_for_itself() {
    let bed = Bed::start().await;
    let thief = bed.cluster.host(SystemRole::Node, "thief").await;
    let (honest, thief_client) = (bed.cluster.client_of(&bed.node), bed.cluster.client_of(&thief));
    honest.heartbeat(&serde_json::from_slice(&spec("web-1")).unwrap(), false).await.unwrap();
    // In another's name, and off the list in it: both touch its own record alone.
    thief_client.heartbeat(&serde_json::from_slice(&spec("web-1")).unwrap(), false).await.unwrap();
    thief_client.heartbeat(&serde_json::from_slice(&spec("web-1")).unwrap(), true).await.unwrap();
    let nodes = bed.cluster.admin().list::<NodeSpec>().await.unwrap();
    let ids: Vec<_> = nodes.iter().map(|node| node.name().to_owned()).collect();
    assert_eq!(ids, [bed.node.identity.host_id.to_string()]);
    for sender in [&bed.proxy, &thief] {
        let forged = event(&bed.node.identity.host_id.to_string(), "");
        let uid = serde_json::from_slice::<serde_json::Value>(&forged).unwrap()["uid"].clone();
        bed.cluster.client_of(sender).emit(vec![forged]).await.unwrap();
        let line = bed.cluster.events().into_iter().find(|event| event["uid"] == uid).unwrap();
        assert_eq!(line["server_id"], sender.identity.host_id.to_string());
        assert_eq!(line["cluster_name"], "main");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_cannot_pose_as_the_auth_server() {
    let bed = Bed::start().await;
    // As names are the same in any spelling, so must the refusal be.
    let names = ["auth.teleport.internal", "AUTH.Teleport.Internal", "auth.teleport.internal."];
    let token = bed.cluster.token("a-token-for-thieves").await;
    let mut joining = bed.cluster.joining(SystemRole::Node, "thief", token);
    joining.host_addresses = names.map(str::to_owned).to_vec();
    let thief = client::join::join(&joining, &SystemRandom).await.unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(net::tls::server(&thief, &[net::alpn::AUTH]).unwrap());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let taken_in = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        acceptor.accept(stream).await.is_ok()
    });
    let endpoint = AuthEndpoint::of_member(vec![address.to_string()], &bed.node).unwrap();
    let error = client::AuthClient::new(endpoint).status().await.unwrap_err();
    let text = teleport_tests_cluster::chain(&error);
    assert!(text.contains("it is not the auth server of this cluster"), "{text}");
    assert!(!tokio::time::timeout(Duration::from_secs(30), taken_in).await.unwrap().unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn oversize_messages_are_refused_and_nothing_else_ends() {
    let bed = Bed::start().await;
    let (node, admin) = (bed.cluster.client_of(&bed.node), bed.cluster.admin());
    let large = "x".repeat(64 * 1024);
    let cases = [
        (vec![event("x", &large)], "is larger than 65536 bytes"),
        (vec![event("x", ""); api::EVENTS_MAX + 1], "more than 1000 events in one call"),
        (vec![event("x", &large[..60_000]); 80], "4194304"),
    ];
    for (events, says) in cases {
        let error = node.emit(events).await.unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    }
    let mut fat = user("fat", "access");
    fat.spec.traits.0.insert("padding".to_owned(), vec!["x".repeat(api::MESSAGE_MAX)]);
    assert!(admin.put(&fat, false).await.unwrap_err().to_string().contains("4194304"));
    assert!(admin.get::<UserSpec>("fat").await.unwrap_err().is_not_found());
    let endpoint = bed.endpoint(None);
    let request = join_request(&large, String::new(), Vec::new());
    let refused = JoinServiceClient::new(endpoint.channel()).join(request).await.unwrap_err();
    assert!(refused.message().contains("65536"), "{refused}");
    let written = bed.cluster.events().into_iter().filter(|event| event["padding"].is_string());
    assert_eq!(written.count(), 0, "nothing of it was taken");
    node.emit(vec![event("x", &large[..60_000])]).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_user_is_out_of_the_api_at_once() {
    let bed = Bed::start().await;
    let ann = bed.user("ann", "admin").await;
    let client = bed.cluster.client_of(&ann);
    client.status().await.unwrap();
    bed.cluster.admin().delete(Kind::User, "ann").await.unwrap();
    let refused = async {
        loop {
            if let Err(error) = client.status().await {
                return error.to_string();
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let text = tokio::time::timeout(Duration::from_secs(30), refused).await.unwrap();
    assert!(text.contains("removed"), "{text}");
}
