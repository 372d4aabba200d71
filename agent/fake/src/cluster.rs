//! A cluster known by heart.

use std::collections::HashMap;
use std::sync::Arc;

use domain::access::RoleInForce;
use domain::authority::{AuthoritySpec, AuthorityType};
use domain::lock::Lock;
use domain::node::Node;
use domain::role::{Role, presets};
use domain::route::NodeIndex;
use parking_lot::RwLock;
use port::cluster::ClusterView;
use tokio::sync::watch;

/// A cluster as the test describes it. Changes are seen by the next question.
#[derive(Debug)]
pub struct FakeView {
    name: String,
    state: RwLock<State>,
    locks: watch::Sender<Arc<Vec<Lock>>>,
}

#[derive(Debug, Default)]
struct State {
    authorities: HashMap<AuthorityType, Arc<AuthoritySpec>>,
    roles: HashMap<String, Arc<RoleInForce>>,
    nodes: NodeIndex,
}

impl FakeView {
    /// A cluster with the preset roles and nothing else: as before the first answer from auth, no
    /// authority is known.
    pub fn new(name: &str) -> Self {
        let (state, locks) = (RwLock::default(), watch::Sender::default());
        let view = Self { name: name.to_owned(), state, locks };
        presets().into_iter().for_each(|role| view.put_role(role));
        view
    }

    /// Sets an authority's public keys.
    pub fn put_authority(&self, spec: AuthoritySpec) {
        self.state.write().authorities.insert(spec.r#type, Arc::new(spec));
    }

    /// Forgets an authority.
    pub fn remove_authority(&self, kind: AuthorityType) {
        self.state.write().authorities.remove(&kind);
    }

    /// Adds or replaces a role.
    pub fn put_role(&self, role: Role) {
        self.state.write().roles.insert(role.name().to_owned(), Arc::new(RoleInForce::new(role)));
    }

    /// Removes a role.
    pub fn remove_role(&self, name: &str) {
        self.state.write().roles.remove(name);
    }

    /// Sets all locks.
    pub fn set_locks(&self, locks: Vec<Lock>) {
        self.locks.send_replace(Arc::new(locks));
    }

    /// Adds or replaces a node.
    pub fn put_node(&self, node: Node) {
        self.state.write().nodes.insert(Arc::new(node));
    }

    /// Removes a node.
    pub fn remove_node(&self, id: &str) {
        self.state.write().nodes.remove(id);
    }
}

impl ClusterView for FakeView {
    fn cluster_name(&self) -> &str {
        &self.name
    }

    fn authority(&self, kind: AuthorityType) -> Option<Arc<AuthoritySpec>> {
        self.state.read().authorities.get(&kind).cloned()
    }

    fn role(&self, name: &str) -> Option<Arc<RoleInForce>> {
        self.state.read().roles.get(name).cloned()
    }

    fn locks(&self) -> Arc<Vec<Lock>> {
        Arc::clone(&self.locks.borrow())
    }

    fn follow_locks(&self) -> watch::Receiver<Arc<Vec<Lock>>> {
        self.locks.subscribe()
    }

    fn with_nodes(&self, read: &mut dyn FnMut(&NodeIndex)) {
        read(&self.state.read().nodes);
    }
}

#[cfg(test)]
mod tests {
    use domain::authority::{PublicKeys, Rotation};
    use domain::lock::{LockSpec, Target};

    use super::*;

    #[test]
    fn shows_what_it_was_told() {
        let view = FakeView::new("example.com");
        assert_eq!(view.cluster_name(), "example.com");
        assert!(view.role("access").is_some() && view.authority(AuthorityType::User).is_none());
        view.remove_role("access");
        assert!(view.role("access").is_none());

        let target = Target { user: Some("joe".into()), ..Target::default() };
        view.set_locks(vec![Lock::new("l", LockSpec { target, ..LockSpec::default() })]);
        assert_eq!(view.locks().len(), 1);

        let (active_keys, rotation) = (vec![PublicKeys::default()], Rotation::Standby);
        let r#type = AuthorityType::User;
        view.put_authority(AuthoritySpec {
            r#type,
            cluster_name: "example.com".into(),
            active_keys,
            rotation,
        });
        assert!(view.authority(r#type).is_some());
        view.remove_authority(r#type);
        assert!(view.authority(r#type).is_none());
    }
}
