//! Who may do what.
//!
//! A decision is a value: [`Checker`] and [`api::Caller`] hand out permits, and only they can build
//! one. Whoever does the deed asks for the permit, so a path that skips the decision does not
//! compile. Deny always wins, and what no role allows is denied.

use std::sync::Arc;

use crate::identity::UserIdentity;
use crate::label::Labels;
use crate::name::HostId;
use crate::node::Node;
use crate::role::Options;

pub mod api;
mod in_force;
mod permit;

pub use in_force::RoleInForce;
pub use permit::{DialPermit, SessionPermit};

/// Why access is denied. The text is for the log, the audit event and the user.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// No role opens this node.
    #[error("none of the roles of {user} allow the node {node}")]
    Node {
        /// Who.
        user: String,
        /// Where.
        node: String,
    },
    /// The node is open, but not as this login.
    #[error("none of the roles of {user} allow the login {login} on {node}")]
    Login {
        /// Who.
        user: String,
        /// As whom.
        login: String,
        /// Where.
        node: String,
    },
    /// A role forbids it.
    #[error("role {role} denies {user} access to {node}")]
    Role {
        /// The role that forbids.
        role: String,
        /// Who.
        user: String,
        /// Where.
        node: String,
    },
    /// A lock holds.
    #[error("locked: {0}")]
    Locked(String),
}

/// The roles of one user, ready to decide.
#[derive(Debug)]
pub struct Checker<'a> {
    user: &'a UserIdentity,
    roles: Vec<Arc<RoleInForce>>,
}

impl<'a> Checker<'a> {
    /// Prepares the decision for `user`. `lookup` finds a role by name; a role that is gone grants
    /// nothing.
    pub fn new(user: &'a UserIdentity, lookup: impl Fn(&str) -> Option<Arc<RoleInForce>>) -> Self {
        Self { user, roles: user.roles.iter().filter_map(|name| lookup(name)).collect() }
    }

    /// May the user start sessions as `login` on this node?
    ///
    /// # Errors
    /// [`Denied`] says why not.
    pub fn session(&self, login: &str, node: HostId, labels: &Labels) -> Result<SessionPermit, Denied> {
        self.check_denied(node, labels, Some(login))?;
        let opening: Vec<_> = self.roles.iter().filter(|role| role.allow.has_node(labels)).collect();
        if opening.is_empty() {
            return Err(self.node_denied(&node.to_string()));
        }
        let traits = &self.user.traits;
        let granting: Vec<_> =
            opening.into_iter().filter(|role| role.allow.has_login(login, traits)).collect();
        if granting.is_empty() {
            let (user, login) = (self.user.user.clone(), login.to_owned());
            return Err(Denied::Login { user, login, node: node.to_string() });
        }
        let options = strictest(granting.iter().map(|role| role.options()));
        Ok(SessionPermit::new(self.user.user.clone(), login.to_owned(), node, options))
    }

    /// May the user reach this node at all, as whatever login? The node asks again for the login.
    ///
    /// # Errors
    /// [`Denied`] says why not.
    pub fn dial(&self, node: &Arc<Node>) -> Result<DialPermit, Denied> {
        let labels = node.spec.all_labels();
        let id = HostId::parse(node.name()).ok_or_else(|| self.node_denied(node.name()))?;
        self.check_denied(id, &labels, None)?;
        let open = self.roles.iter().any(|role| role.allow.has_node(&labels));
        if open {
            Ok(DialPermit::new(self.user.user.clone(), id, Arc::clone(node)))
        } else {
            Err(self.node_denied(&node.spec.hostname))
        }
    }

    /// The logins a certificate of this user carries: those the roles spell out.
    pub fn logins(&self) -> Vec<String> {
        let traits = &self.user.traits;
        let mut logins: Vec<_> =
            self.roles.iter().flat_map(|role| role.allow.literal_logins(traits)).collect();
        let mut seen = std::collections::HashSet::new();
        logins.retain(|login| seen.insert(login.clone()));
        logins
    }

    /// The options that hold whichever role is used: for certificates.
    pub fn options(&self) -> Options {
        strictest(self.roles.iter().map(|role| role.options()))
    }

    /// Whether any role of the user would let an agent or a port be forwarded somewhere: a
    /// certificate carries the permission, the node decides again for itself.
    pub fn may_anywhere(&self, ask: impl Fn(&Options) -> bool) -> bool {
        self.roles.iter().any(|role| ask(role.options()))
    }

    fn node_denied(&self, node: &str) -> Denied {
        Denied::Node { user: self.user.user.clone(), node: node.to_owned() }
    }

    fn check_denied(&self, node: HostId, labels: &Labels, login: Option<&str>) -> Result<(), Denied> {
        match self.roles.iter().find(|role| role.forbids(labels, login, &self.user.traits)) {
            Some(role) => Err(Denied::Role {
                role: role.role().name().to_owned(),
                user: self.user.user.clone(),
                node: node.to_string(),
            }),
            None => Ok(()),
        }
    }
}

/// The shortest life, and only what all of them allow.
fn strictest<'a>(options: impl Iterator<Item = &'a Options>) -> Options {
    let all =
        Options { forward_agent: true, port_forwarding: true, ssh_file_copy: true, ..Options::default() };
    options.fold(all, |all, one| Options {
        max_session_ttl: all.max_session_ttl.min(one.max_session_ttl),
        forward_agent: all.forward_agent && one.forward_agent,
        port_forwarding: all.port_forwarding && one.port_forwarding,
        ssh_file_copy: all.ssh_file_copy && one.ssh_file_copy,
    })
}

#[cfg(test)]
mod tests;
