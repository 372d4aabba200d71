//! Who may do what with the cluster's records, and which calls of the auth API are open to whom.
//!
//! Parts of the system have fixed rights, written as one table below; users have what the `rules`
//! of their roles say.

use std::sync::Arc;

use crate::identity::{HostIdentity, Identity, SystemRole, UserIdentity};
use crate::resource::Kind;
use crate::role::{Role, Verb};

/// The verbs of reading.
const READ: &[Verb] = &[Verb::List, Verb::Read];

/// What parts of the system may do with records, besides what is their own (a node its heartbeat).
///
/// A kind that is not listed for a role is closed to it.
pub const SYSTEM_TABLE: &[(SystemRole, Kind, &[Verb])] = &[
    (SystemRole::Admin, Kind::User, &[Verb::Any]),
    (SystemRole::Admin, Kind::Role, &[Verb::Any]),
    (SystemRole::Admin, Kind::Token, &[Verb::Any]),
    (SystemRole::Admin, Kind::Node, &[Verb::Any]),
    (SystemRole::Admin, Kind::Lock, &[Verb::Any]),
    (SystemRole::Admin, Kind::CertAuthority, READ),
    (SystemRole::Admin, Kind::Proxy, READ),
    (SystemRole::Admin, Kind::AuthServer, READ),
    (SystemRole::Auth, Kind::Role, READ),
    (SystemRole::Auth, Kind::Node, READ),
    (SystemRole::Auth, Kind::Lock, READ),
    (SystemRole::Auth, Kind::CertAuthority, READ),
    (SystemRole::Proxy, Kind::Role, READ),
    (SystemRole::Proxy, Kind::Node, READ),
    (SystemRole::Proxy, Kind::Lock, READ),
    (SystemRole::Proxy, Kind::CertAuthority, READ),
    (SystemRole::Node, Kind::Role, READ),
    (SystemRole::Node, Kind::Lock, READ),
    (SystemRole::Node, Kind::CertAuthority, READ),
    (SystemRole::Node, Kind::Proxy, READ),
    (SystemRole::App, Kind::Role, READ),
    (SystemRole::App, Kind::Lock, READ),
    (SystemRole::App, Kind::CertAuthority, READ),
    (SystemRole::Discovery, Kind::Node, READ),
    (SystemRole::Discovery, Kind::CertAuthority, READ),
];

/// The verbs of changing.
const CHANGE: &[Verb] = &[Verb::Create, Verb::Update, Verb::Delete];

/// What nobody may do through the API, whatever a role says: authorities are rotated, not edited, and servers
/// make themselves known.
const FORBIDDEN: &[(Kind, &[Verb])] =
    &[(Kind::CertAuthority, CHANGE), (Kind::Proxy, CHANGE), (Kind::AuthServer, CHANGE)];

/// Proof that a caller may use a verb on a kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordPermit {
    kind: Kind,
    verb: Verb,
}

impl RecordPermit {
    /// The kind of record.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// What may be done with it.
    pub fn verb(&self) -> Verb {
        self.verb
    }
}

/// Proof that a caller may have a certificate made for a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignPermit(());

/// Why a call is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ApiDenied {
    /// No right to this verb on this kind.
    #[error("{caller} may not {verb} records of kind {kind}")]
    Record {
        /// Who asked.
        caller: String,
        /// What for.
        verb: &'static str,
        /// On what.
        kind: Kind,
    },
    /// No right to make certificates for others.
    #[error("{0} may not have certificates made for others")]
    Sign(String),
    /// Only a host may make this call.
    #[error("{0} is not a host that may make this call")]
    NotHost(String),
}

/// Someone who calls the auth API, with what they may do.
#[derive(Debug, Clone)]
pub struct Caller {
    identity: Identity,
    roles: Vec<Arc<Role>>,
}

impl Caller {
    /// A caller whose certificate was verified. `lookup` finds a role by name.
    pub fn new(identity: Identity, lookup: impl Fn(&str) -> Option<Arc<Role>>) -> Self {
        let roles = match &identity {
            Identity::User(UserIdentity { roles, .. }) => {
                roles.iter().filter_map(|name| lookup(name)).collect()
            }
            Identity::Host(_) => Vec::new(),
        };
        Self { identity, roles }
    }

    /// Who it is.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// May the caller use this verb on this kind?
    ///
    /// # Errors
    /// [`ApiDenied::Record`] when not.
    pub fn record(&self, kind: Kind, verb: Verb) -> Result<RecordPermit, ApiDenied> {
        let forbidden = FORBIDDEN.iter().any(|(k, verbs)| *k == kind && verbs.contains(&verb));
        let allowed = match &self.identity {
            Identity::Host(host) => host_may(host.role, kind, verb),
            Identity::User(_) => self.user_may(kind, verb),
        };
        if allowed && !forbidden {
            return Ok(RecordPermit { kind, verb });
        }
        Err(ApiDenied::Record { caller: self.identity.to_string(), verb: verb_text(verb), kind })
    }

    /// May the caller have certificates made for any user or host? Only `tctl` on the auth host.
    ///
    /// # Errors
    /// [`ApiDenied::Sign`] when not.
    pub fn sign(&self) -> Result<SignPermit, ApiDenied> {
        match &self.identity {
            Identity::Host(HostIdentity { role: SystemRole::Admin, .. }) => Ok(SignPermit(())),
            other => Err(ApiDenied::Sign(other.to_string())),
        }
    }

    /// The host that calls, for calls about itself.
    ///
    /// # Errors
    /// [`ApiDenied::NotHost`] for users and for `tctl`.
    pub fn host(&self) -> Result<&HostIdentity, ApiDenied> {
        match &self.identity {
            Identity::Host(host) if host.role != SystemRole::Admin => Ok(host),
            other => Err(ApiDenied::NotHost(other.to_string())),
        }
    }

    fn user_may(&self, kind: Kind, verb: Verb) -> bool {
        let denied = self.roles.iter().any(|role| rules_cover(&role.spec.deny.rules, kind, verb));
        let allowed = self.roles.iter().any(|role| rules_cover(&role.spec.allow.rules, kind, verb));
        allowed && !denied
    }
}

fn host_may(role: SystemRole, kind: Kind, verb: Verb) -> bool {
    SYSTEM_TABLE.iter().any(|(r, k, verbs)| {
        *r == role && *k == kind && (verbs.contains(&verb) || verbs.contains(&Verb::Any))
    })
}

fn rules_cover(rules: &[crate::role::Rule], kind: Kind, verb: Verb) -> bool {
    rules.iter().any(|rule| {
        let kind_fits = rule.resources.iter().any(|name| name == "*" || Kind::parse(name) == Some(kind));
        kind_fits && (rule.verbs.contains(&verb) || rule.verbs.contains(&Verb::Any))
    })
}

fn verb_text(verb: Verb) -> &'static str {
    match verb {
        Verb::List => "list",
        Verb::Read => "read",
        Verb::Create => "create",
        Verb::Update => "update",
        Verb::Delete => "delete",
        Verb::Any => "do everything with",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Timestamp;
    use crate::name::HostId;
    use crate::role::presets;
    use crate::traits::Traits;

    const VERBS: [Verb; 5] = [Verb::List, Verb::Read, Verb::Create, Verb::Update, Verb::Delete];

    fn host(role: SystemRole) -> Caller {
        let host_id = HostId::parse("d52527f9-b260-41d0-bb5a-e23b0cfe0f8f").unwrap();
        Caller::new(Identity::Host(HostIdentity { host_id, role, cluster: "main".into() }), |_| None)
    }

    fn user(role: &str) -> Caller {
        let identity = UserIdentity {
            user: "joe".into(),
            roles: vec![role.to_owned()],
            traits: Traits::default(),
            logins: Vec::new(),
            issued: Timestamp::UNIX_EPOCH,
        };
        Caller::new(Identity::User(identity), |name| {
            presets().into_iter().find(|role| role.name() == name).map(Arc::new)
        })
    }

    /// The rights of everybody as one text: a change of any right changes it.
    fn matrix() -> String {
        let systems = [
            SystemRole::Admin,
            SystemRole::Auth,
            SystemRole::Proxy,
            SystemRole::Node,
            SystemRole::App,
            SystemRole::Discovery,
            SystemRole::TrustedCluster,
        ];
        let users = ["access", "editor", "auditor", "admin", "unknown"];
        let callers = systems
            .into_iter()
            .map(|role| (format!("@{role}"), host(role)))
            .chain(users.into_iter().map(|role| (role.to_owned(), user(role))));
        let mut text = String::new();
        for (name, caller) in callers {
            for kind in Kind::ALL {
                let letters: String = VERBS
                    .iter()
                    .zip(["L", "R", "C", "U", "D"])
                    .map(|(verb, letter)| if caller.record(kind, *verb).is_ok() { letter } else { "-" })
                    .collect();
                text += &format!("{name:<16} {:<15} {letters}\n", kind.as_str());
            }
        }
        text
    }

    #[test]
    fn the_matrix_of_rights_is_the_committed_one() {
        let golden = include_str!("matrix.golden");
        assert_eq!(matrix(), golden, "rights changed; if that is meant, update access/matrix.golden");
    }

    #[test]
    fn only_the_local_admin_has_certificates_made_for_others() {
        assert!(host(SystemRole::Admin).sign().is_ok());
        for role in SystemRole::JOINABLE {
            assert!(host(role).sign().is_err(), "{role}");
        }
        assert!(user("admin").sign().is_err());
    }

    #[test]
    fn calls_of_hosts_are_closed_to_users_and_tctl() {
        assert!(host(SystemRole::Node).host().is_ok());
        assert!(host(SystemRole::Admin).host().is_err());
        assert!(user("admin").host().is_err());
    }
}
