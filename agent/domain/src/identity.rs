//! Who is speaking: a user, or a part of the system, as proven by a certificate.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Timestamp;
use crate::name::HostId;
use crate::traits::Traits;

/// What a part of the system was admitted as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SystemRole {
    /// The certificate authority itself.
    Auth,
    /// A proxy.
    Proxy,
    /// An SSH node.
    #[serde(alias = "ssh")]
    Node,
    /// An application proxy.
    App,
    /// A discovery service.
    Discovery,
    /// Another cluster that will trust this one.
    TrustedCluster,
    /// `tctl` on the auth server's own host.
    Admin,
}

impl SystemRole {
    /// The roles a join token may carry.
    pub const JOINABLE: [Self; 6] =
        [Self::Auth, Self::Proxy, Self::Node, Self::App, Self::Discovery, Self::TrustedCluster];

    /// The name in files, flags and certificates.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Auth => "auth",
            Self::Proxy => "proxy",
            Self::Node => "node",
            Self::App => "app",
            Self::Discovery => "discovery",
            Self::TrustedCluster => "trusted_cluster",
            Self::Admin => "admin",
        }
    }

    /// The name in tables: `Node`, `Trusted_cluster`.
    pub fn title(self) -> String {
        let name = self.as_str();
        let (first, rest) = name.split_at(1);
        first.to_ascii_uppercase() + rest
    }

    /// Reads a joinable role; letter case does not matter and `ssh` means node.
    ///
    /// # Errors
    /// [`RoleNameError`] lists the roles there are.
    pub fn parse_joinable(text: &str) -> Result<Self, RoleNameError> {
        let name = text.trim().to_ascii_lowercase();
        if name == "ssh" {
            return Ok(Self::Node);
        }
        Self::JOINABLE
            .into_iter()
            .find(|role| role.as_str() == name)
            .ok_or_else(|| RoleNameError(text.trim().to_owned()))
    }
}

impl fmt::Display for SystemRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A role nobody knows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a role; choose from auth, proxy, node, app, discovery, trusted_cluster")]
pub struct RoleNameError(String);

/// A host as its certificate names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostIdentity {
    /// Which host.
    pub host_id: HostId,
    /// Admitted as.
    pub role: SystemRole,
    /// Of which cluster.
    pub cluster: String,
}

/// A user as a certificate names them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserIdentity {
    /// The user's name.
    pub user: String,
    /// Names of the roles held when the certificate was made.
    pub roles: Vec<String>,
    /// Traits held when the certificate was made.
    #[serde(default)]
    pub traits: Traits,
    /// Operating-system logins the certificate allows.
    #[serde(default)]
    pub logins: Vec<String>,
    /// When the certificate was made; a lock may reach back to it.
    pub issued: Timestamp,
}

/// Whoever a verified certificate stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Identity {
    /// A part of the system.
    Host(HostIdentity),
    /// A person or a robot.
    User(UserIdentity),
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host(host) => write!(f, "{} {}", host.role, host.host_id),
            Self::User(user) => write!(f, "user {}", user.user),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_read_as_they_are_written() {
        for role in SystemRole::JOINABLE {
            assert_eq!(SystemRole::parse_joinable(role.as_str()), Ok(role));
        }
        assert_eq!(SystemRole::parse_joinable(" Node "), Ok(SystemRole::Node));
        assert!(SystemRole::parse_joinable("admin").is_err(), "nobody joins as admin");
        assert_eq!(SystemRole::Proxy.title(), "Proxy");
    }
}
