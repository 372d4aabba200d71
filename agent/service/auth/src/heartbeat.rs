//! Nodes say that they are alive; those that fall silent are forgotten when their record expires.

use std::net::SocketAddr;

use api::auth as wire;
use domain::Timestamp;
use domain::access::api::Caller;
use domain::identity::SystemRole;
use domain::label::{Labels, check_key, clean_value};
use domain::name::HostId;
use domain::node::{Node, NodeSpec, TTL, admit_hostname, check_address};
use domain::resource::{Kind, Resource};
use port::store::{Operation, Transaction};

use crate::error::AuthError;
use crate::key;
use crate::service::AuthService;

/// The longest version text kept.
const VERSION_MAX: usize = 64;

impl AuthService {
    /// Lists the calling node for another while, or takes it off the list.
    pub(crate) async fn heartbeat(
        &self,
        caller: &Caller,
        request: wire::HeartbeatRequest,
        peer: SocketAddr,
    ) -> Result<wire::HeartbeatResponse, AuthError> {
        let host = caller.host()?;
        if host.role != SystemRole::Node {
            return Err(AuthError::Invalid(format!("a {} has no record of its own", host.role)));
        }
        let id = host.host_id;
        let key = key::record(Kind::Node, &id.to_string());
        if request.leaving {
            self.deps.store.write(Transaction::default().then(Operation::Delete(key))).await?;
            return Ok(wire::HeartbeatResponse { listed_as: String::new() });
        }
        let node = self.admit_node(id, &request.node_spec, peer)?;
        let listed_as = node.spec.hostname.clone();
        self.deps.metrics.heartbeats.inc();
        let stored = self.deps.store.get(&key).await?;
        let fresh = stored
            .as_ref()
            .is_some_and(|item| is_fresh(&item.value, &node, item.expires, self.deps.clock.now()));
        if !fresh {
            self.deps.store.put(key, node.to_json().into(), node.metadata.expires).await?;
        }
        Ok(wire::HeartbeatResponse { listed_as })
    }

    /// The record a heartbeat makes, with what a node may not say for itself taken out.
    fn admit_node(&self, id: HostId, json: &[u8], peer: SocketAddr) -> Result<Node, AuthError> {
        let mut spec: NodeSpec = serde_json::from_slice(json)
            .map_err(|error| AuthError::Invalid(format!("the heartbeat cannot be read: {error}")))?;
        if !spec.addr.is_empty() {
            check_address(&spec.addr, peer.ip()).map_err(|error| AuthError::Invalid(error.to_string()))?;
        }
        spec.labels = admitted(&spec.labels);
        spec.cmd_labels = admitted(&spec.cmd_labels);
        spec.cmd_label_errors = admitted(&spec.cmd_label_errors);
        spec.version = clean_value(&spec.version).chars().take(VERSION_MAX).collect();
        admit_hostname(&mut spec, id);
        let expires = self.deps.clock.now().saturating_add(TTL).unwrap_or(Timestamp::MAX);
        let node = Node::new(id.to_string(), spec).expiring(Some(expires));
        node.check()?;
        Ok(node)
    }
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
fn is_fresh(stored: &[u8], node: &Node, expires: Option<Timestamp>, now: Timestamp) -> bool {
    let half = now.saturating_add(TTL / 2).unwrap_or(now);
    let same = Resource::<NodeSpec>::from_json(stored).is_ok_and(|stored| stored.spec == node.spec);
    same && expires.is_some_and(|expires| expires > half)
}
