//! What a proxy or node knows of its cluster: a copy kept fresh by watching the auth server.

use std::sync::Arc;

use domain::access::RoleInForce;
use domain::authority::{AuthoritySpec, AuthorityType};
use domain::lock::Lock;
use domain::route::NodeIndex;
use tokio::sync::watch;

/// The cluster as last heard of. Answers come from memory; none of them waits.
pub trait ClusterView: Send + Sync + 'static {
    /// The cluster's name.
    fn cluster_name(&self) -> &str;

    /// The public keys of an authority; none before the first answer from auth.
    fn authority(&self, kind: AuthorityType) -> Option<Arc<AuthoritySpec>>;

    /// A role by name.
    fn role(&self, name: &str) -> Option<Arc<RoleInForce>>;

    /// The locks there are.
    fn locks(&self) -> Arc<Vec<Lock>>;

    /// The locks there are, and when they change: for whoever must act on a lock without being asked
    /// anything. The first look shows those of this moment.
    fn follow_locks(&self) -> watch::Receiver<Arc<Vec<Lock>>>;

    /// The nodes, for as long as the closure runs. Only proxies watch them; elsewhere there are none.
    fn with_nodes(&self, read: &mut dyn FnMut(&NodeIndex));
}
