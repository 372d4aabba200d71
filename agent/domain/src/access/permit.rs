//! Permits: proof that a decision was made, and what it covers.
//!
//! The constructors are visible to the checker alone.

use std::sync::Arc;

use crate::name::HostId;
use crate::node::Node;
use crate::role::Options;

/// A user may start sessions as one login on one node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionPermit {
    user: String,
    login: String,
    node: HostId,
    options: Options,
}

impl SessionPermit {
    pub(super) fn new(user: String, login: String, node: HostId, options: Options) -> Self {
        Self { user, login, node, options }
    }

    /// Who.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// As whom.
    pub fn login(&self) -> &str {
        &self.login
    }

    /// Where.
    pub fn node(&self) -> HostId {
        self.node
    }

    /// Under which conditions.
    pub fn options(&self) -> &Options {
        &self.options
    }
}

/// A user may have a connection to one node. It carries the node, so that no other can be dialled
/// with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DialPermit {
    user: String,
    id: HostId,
    node: Arc<Node>,
}

impl DialPermit {
    pub(super) fn new(user: String, id: HostId, node: Arc<Node>) -> Self {
        Self { user, id, node }
    }

    /// Who.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// Which host.
    pub fn host_id(&self) -> HostId {
        self.id
    }

    /// The host as the cluster knows it.
    pub fn node(&self) -> &Node {
        &self.node
    }
}
