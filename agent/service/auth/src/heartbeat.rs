//! Nodes, proxies and auth servers say that they are alive; those that fall silent are forgotten when their record
//! expires.

use std::net::SocketAddr;
use std::time::Duration;

use api::auth as wire;
use domain::Timestamp;
use domain::access::api::Caller;
use domain::backoff::around;
use domain::identity::SystemRole;
use domain::label::{Labels, check_key, clean_value};
use domain::name::HostId;
use domain::node::{HEARTBEAT, Node, NodeSpec, TTL, admit_hostname, check_address};
use domain::resource::{Kind, Resource, Spec};
use domain::server::{ADDRESSES_MAX, AuthServer, AuthServerSpec, Proxy, ProxySpec};
use port::store::{Operation, StoreError, Transaction};

use crate::error::AuthError;
use crate::key;
use crate::service::AuthService;

/// The longest version text kept.
const VERSION_MAX: usize = 64;

/// The wait after this server's own record could not be written.
const RETRY: Duration = Duration::from_secs(5);

/// How long taking that record away may take.
const LEAVE: Duration = Duration::from_secs(2);

impl AuthService {
    /// Lists the caller for another while, or takes it off the list.
    pub(crate) async fn heartbeat(
        &self,
        caller: &Caller,
        request: wire::HeartbeatRequest,
        peer: SocketAddr,
    ) -> Result<wire::HeartbeatResponse, AuthError> {
        let host = caller.host()?;
        let id = host.host_id;
        let kind = match host.role {
            SystemRole::Node => Kind::Node,
            SystemRole::Proxy => Kind::Proxy,
            role => return Err(AuthError::Invalid(format!("a {role} has no record of its own"))),
        };
        if request.leaving {
            self.forget(kind, id).await?;
            return Ok(wire::HeartbeatResponse { listed_as: String::new() });
        }
        let listed_as = if kind == Kind::Node {
            let node = self.admit_node(id, &request.spec, peer)?;
            self.keep(&node).await?;
            node.spec.hostname
        } else {
            let proxy = self.admit_proxy(id, &request.spec)?;
            self.keep(&proxy).await?;
            proxy.spec.hostname
        };
        Ok(wire::HeartbeatResponse { listed_as })
    }

    /// Makes this auth server itself known, until dropped.
    pub(crate) async fn announce(&self) {
        loop {
            let server = AuthServer::new(self.settings.host_id.to_string(), self.own_spec());
            let wait = match self.keep(&server.expiring(self.until())).await {
                Ok(()) => HEARTBEAT,
                Err(error) => {
                    tracing::warn!(%error, "this auth server's own record could not be written");
                    RETRY
                }
            };
            tokio::time::sleep(around(wait, self.deps.random.uniform())).await;
        }
    }

    /// Takes this auth server off the list. One that cannot is forgotten when its record expires.
    pub(crate) async fn leave(&self) {
        let leaving = self.forget(Kind::AuthServer, self.settings.host_id);
        let _ = tokio::time::timeout(LEAVE, leaving).await;
    }

    fn own_spec(&self) -> AuthServerSpec {
        let (hostname, version) = (self.settings.hostname.clone(), self.settings.version.clone());
        let addrs = self.own_addresses().take(ADDRESSES_MAX).collect();
        AuthServerSpec { hostname, addrs, version }
    }

    /// When a record that is made now expires.
    fn until(&self) -> Option<Timestamp> {
        Some(self.deps.clock.now().saturating_add(TTL).unwrap_or(Timestamp::MAX))
    }

    /// Writes a record, unless what is there says the same for long enough.
    async fn keep<S: Spec + PartialEq>(&self, record: &Resource<S>) -> Result<(), StoreError> {
        self.deps.metrics.heartbeats.inc();
        let key = key::record(S::KIND, record.name());
        let (stored, now) = (self.deps.store.get(&key).await?, self.deps.clock.now());
        if stored.is_some_and(|item| is_fresh(&item.value, record, item.expires, now)) {
            return Ok(());
        }
        self.deps.store.put(key, record.to_json().into(), record.metadata.expires).await.map(drop)
    }

    async fn forget(&self, kind: Kind, id: HostId) -> Result<(), StoreError> {
        let removal = Operation::Delete(key::record(kind, &id.to_string()));
        self.deps.store.write(Transaction::default().then(removal)).await.map(drop)
    }

    /// The record a heartbeat makes, with what a node may not say for itself taken out.
    fn admit_node(&self, id: HostId, json: &[u8], peer: SocketAddr) -> Result<Node, AuthError> {
        let mut spec: NodeSpec = read_spec(json)?;
        if !spec.addr.is_empty() {
            check_address(&spec.addr, peer.ip()).map_err(|error| AuthError::Invalid(error.to_string()))?;
        }
        spec.labels = admitted(&spec.labels);
        spec.cmd_labels = admitted(&spec.cmd_labels);
        spec.cmd_label_errors = admitted(&spec.cmd_label_errors);
        spec.version = clean_value(&spec.version).chars().take(VERSION_MAX).collect();
        admit_hostname(&mut spec, id);
        let node = Node::new(id.to_string(), spec).expiring(self.until());
        node.check()?;
        Ok(node)
    }

    /// The same of a proxy.
    fn admit_proxy(&self, id: HostId, json: &[u8]) -> Result<Proxy, AuthError> {
        let spec: ProxySpec = read_spec(json)?;
        let proxy = Proxy::new(id.to_string(), spec.cleaned()).expiring(self.until());
        proxy.check()?;
        Ok(proxy)
    }
}

fn read_spec<S: Spec>(json: &[u8]) -> Result<S, AuthError> {
    serde_json::from_slice(json)
        .map_err(|error| AuthError::Invalid(format!("the heartbeat cannot be read: {error}")))
}

/// Labels with allowed keys and clean values; a node may not set the cluster's own.
fn admitted(labels: &Labels) -> Labels {
    labels
        .iter()
        .filter(|(key, _)| check_key(key).is_ok())
        .map(|(key, value)| (key, clean_value(value)))
        .collect()
}

/// Whether the stored record says the same and lives long enough, so that nothing need be written:
/// a quiet fleet costs the disk one write per node in five minutes, not one a minute.
fn is_fresh<S: Spec + PartialEq>(
    stored: &[u8],
    record: &Resource<S>,
    expires: Option<Timestamp>,
    now: Timestamp,
) -> bool {
    let half = now.saturating_add(TTL / 2).unwrap_or(now);
    let same = Resource::<S>::from_json(stored).is_ok_and(|stored| stored.spec == record.spec);
    same && expires.is_some_and(|expires| expires > half)
}
