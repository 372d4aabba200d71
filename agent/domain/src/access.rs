//! Who may do what.
//!
//! A decision is a value: [`Checker`] and [`api::Caller`] hand out permits, and only they can build
//! one. Whoever does the deed asks for the permit, so a path that skips the decision does not
//! compile. Deny always wins, and what no role allows is denied.

use std::sync::Arc;

use crate::identity::UserIdentity;
use crate::label::Labels;
use crate::label::selector::Selector;
use crate::name::HostId;
use crate::node::Node;
use crate::pattern::Pattern;
use crate::role::{Conditions, Options, Role};
use crate::traits::{Template, Traits};

pub mod api;
mod permit;

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

/// One role with its patterns compiled and its templates filled in for one user.
#[derive(Debug)]
struct Compiled {
    role: Arc<Role>,
    allow: Side,
    deny: Side,
}

#[derive(Debug)]
struct Side {
    logins: Vec<Pattern>,
    labels: Selector,
}

impl Side {
    /// A role in the store was checked when it was written, so a pattern that does not compile
    /// comes from a newer program. It matches nothing on the allow side and, see [`Compiled::new`],
    /// everything on the deny side.
    fn new(conditions: &Conditions, traits: &Traits) -> Option<Self> {
        let mut logins = Vec::new();
        for text in &conditions.logins {
            for value in Template::parse(text).ok()?.expand(traits) {
                // A trait's value is data, not a pattern: a user called `*` is not every user.
                let is_template = text.contains("{{");
                logins.push(if is_template { Pattern::Literal(value) } else { Pattern::new(&value).ok()? });
            }
        }
        Some(Self { logins, labels: Selector::new(&conditions.node_labels).ok()? })
    }

    fn has_login(&self, login: &str) -> bool {
        self.logins.iter().any(|pattern| pattern.matches(login))
    }
}

impl Compiled {
    fn new(role: Arc<Role>, traits: &Traits) -> Self {
        let allow = Side::new(&role.spec.allow, traits)
            .unwrap_or_else(|| Side { logins: Vec::new(), labels: Selector::default() });
        let deny = Side::new(&role.spec.deny, traits).unwrap_or_else(Side::everything);
        Self { role, allow, deny }
    }
}

impl Side {
    fn everything() -> Self {
        let star = crate::label::selector::OneOrMany(vec!["*".to_owned()]);
        let labels = Selector::new(&[("*".to_owned(), star)].into()).unwrap_or_default();
        Self { logins: vec![Pattern::Any], labels }
    }
}

/// The roles of one user, ready to decide.
#[derive(Debug)]
pub struct Checker {
    user: String,
    roles: Vec<Compiled>,
}

impl Checker {
    /// Prepares the decision for `user`. `lookup` finds a role by name; a role that is gone grants
    /// nothing.
    pub fn new(user: &UserIdentity, lookup: impl Fn(&str) -> Option<Arc<Role>>) -> Self {
        let roles = user
            .roles
            .iter()
            .filter_map(|name| lookup(name))
            .map(|role| Compiled::new(role, &user.traits))
            .collect();
        Self { user: user.user.clone(), roles }
    }

    /// May the user start sessions as `login` on this node?
    ///
    /// # Errors
    /// [`Denied`] says why not.
    pub fn session(&self, login: &str, node: HostId, labels: &Labels) -> Result<SessionPermit, Denied> {
        self.check_denied(node, labels, Some(login))?;
        let opening: Vec<_> = self.roles.iter().filter(|role| role.allow.labels.matches(labels)).collect();
        if opening.is_empty() {
            return Err(Denied::Node { user: self.user.clone(), node: node.to_string() });
        }
        let granting: Vec<_> = opening.into_iter().filter(|role| role.allow.has_login(login)).collect();
        if granting.is_empty() {
            let (user, login) = (self.user.clone(), login.to_owned());
            return Err(Denied::Login { user, login, node: node.to_string() });
        }
        let options = strictest(granting.iter().map(|role| &role.role.spec.options));
        Ok(SessionPermit::new(self.user.clone(), login.to_owned(), node, options))
    }

    /// May the user reach this node at all, as whatever login? The node asks again for the login.
    ///
    /// # Errors
    /// [`Denied`] says why not.
    pub fn dial(&self, node: &Arc<Node>) -> Result<DialPermit, Denied> {
        let labels = node.spec.all_labels();
        let id = HostId::parse(node.name()).ok_or_else(|| self.node_denied(node.name()))?;
        self.check_denied(id, &labels, None)?;
        let open = self.roles.iter().any(|role| role.allow.labels.matches(&labels));
        if open {
            Ok(DialPermit::new(self.user.clone(), id, Arc::clone(node)))
        } else {
            Err(self.node_denied(&node.spec.hostname))
        }
    }

    /// The logins a certificate of this user carries: those the roles spell out.
    pub fn logins(&self) -> Vec<String> {
        let literal = |pattern: &Pattern| match pattern {
            Pattern::Literal(login) => Some(login.clone()),
            Pattern::Any | Pattern::Expression(_) => None,
        };
        let mut logins: Vec<_> =
            self.roles.iter().flat_map(|role| role.allow.logins.iter().filter_map(literal)).collect();
        let mut seen = std::collections::HashSet::new();
        logins.retain(|login| seen.insert(login.clone()));
        logins
    }

    /// The options that hold whichever role is used: for certificates.
    pub fn options(&self) -> Options {
        strictest(self.roles.iter().map(|role| &role.role.spec.options))
    }

    /// Whether any role of the user would let an agent or a port be forwarded somewhere: a
    /// certificate carries the permission, the node decides again for itself.
    pub fn may_anywhere(&self, ask: impl Fn(&Options) -> bool) -> bool {
        self.roles.iter().any(|role| ask(&role.role.spec.options))
    }

    fn node_denied(&self, node: &str) -> Denied {
        Denied::Node { user: self.user.clone(), node: node.to_owned() }
    }

    /// Each of the two that a deny side names forbids by itself: its labels all logins on those nodes, its logins
    /// those logins everywhere. As with Teleport, whose roles are written for that: a deny side that was read as
    /// both together would let in whom it is to keep out.
    fn check_denied(&self, node: HostId, labels: &Labels, login: Option<&str>) -> Result<(), Denied> {
        let forbids = |role: &&Compiled| {
            let names_labels = !role.role.spec.deny.node_labels.is_empty();
            (names_labels && role.deny.labels.matches(labels))
                || login.is_some_and(|login| role.deny.has_login(login))
        };
        match self.roles.iter().find(forbids) {
            Some(role) => Err(Denied::Role {
                role: role.role.name().to_owned(),
                user: self.user.clone(),
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
