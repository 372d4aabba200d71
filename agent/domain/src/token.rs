//! Join tokens: a shared secret that lets a host become part of the cluster, for a while.

use serde::{Deserialize, Serialize};

use crate::Timestamp;
use crate::identity::SystemRole;
use crate::label::Labels;
use crate::resource::{Kind, Metadata, Resource, ResourceError, Spec};
use crate::secret::Secret;

/// A join token. Its name is the secret.
pub type Token = Resource<TokenSpec>;

/// The default life of a token.
pub const DEFAULT_TTL: std::time::Duration = std::time::Duration::from_secs(30 * 60);

/// The fewest characters of a token someone chooses; generated ones have 32 hexadecimal digits.
pub const VALUE_MIN: usize = 8;

/// What a token says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenSpec {
    /// What a host may join as.
    pub roles: Vec<SystemRole>,
    /// How a host proves itself: `token` alone so far.
    #[serde(default)]
    pub join_method: JoinMethod,
    /// For people: shown in `tctl tokens ls`.
    #[serde(default, skip_serializing_if = "Labels::is_empty")]
    pub suggested_labels: Labels,
    /// Set when the token invites a user instead of a host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invites_user: Option<String>,
}

/// How a host proves that it may join.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JoinMethod {
    /// It knows the token.
    #[default]
    Token,
}

impl Spec for TokenSpec {
    const KIND: Kind = Kind::Token;
    const VERSIONS: &'static [&'static str] = &["v2"];

    fn check(&self, metadata: &Metadata) -> Result<(), ResourceError> {
        if self.roles.is_empty() && self.invites_user.is_none() {
            return Err(Token::invalid(metadata, "spec.roles", "a token needs at least one role"));
        }
        if self.roles.contains(&SystemRole::Admin) {
            return Err(Token::invalid(metadata, "spec.roles", "nobody joins as admin"));
        }
        if metadata.name.len() < VALUE_MIN {
            let reason =
                format!("a token has at least {VALUE_MIN} characters; leave it out to have one made");
            return Err(Token::invalid(metadata, "metadata.name", reason));
        }
        Ok(())
    }
}

/// A token the operator wrote into the configuration: `"proxy,node:secret"`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StaticToken {
    /// What a host may join as.
    pub roles: Vec<SystemRole>,
    /// The secret.
    pub value: Secret,
}

/// Why a host may not join with a token. The reason is for the audit log; the host is told one of
/// a few plain sentences that do not help guessing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JoinRefusal {
    /// No such token, or no longer.
    #[error("the join token is unknown or has expired; make a new one with: tctl tokens add --type={0}")]
    UnknownOrExpired(SystemRole),
    /// The token is for something else.
    #[error("the join token does not allow the role {wanted}; it allows {allowed}")]
    WrongRole {
        /// The role asked for.
        wanted: SystemRole,
        /// The roles the token carries.
        allowed: String,
    },
}

/// Proof that a token admits a role. Only [`admit`] makes one.
#[derive(Debug, PartialEq, Eq)]
pub struct Admission {
    role: SystemRole,
}

impl Admission {
    /// The role admitted.
    pub fn role(&self) -> SystemRole {
        self.role
    }
}

/// Decides whether a token admits a host as `wanted`.
///
/// `dynamic` is the record found under the presented secret, if any; static tokens are compared in
/// constant time.
///
/// # Errors
/// [`JoinRefusal`] when it does not.
pub fn admit(
    presented: &Secret,
    wanted: SystemRole,
    statics: &[StaticToken],
    dynamic: Option<&Token>,
    now: Timestamp,
) -> Result<Admission, JoinRefusal> {
    let dynamic = dynamic
        .filter(|token| !token.is_expired(now) && presented.matches(token.name().as_bytes()))
        .map(|token| token.spec.roles.as_slice());
    let fixed = statics.iter().filter(|token| token.value == *presented).map(|token| token.roles.as_slice());
    let roles: Vec<SystemRole> = dynamic.into_iter().chain(fixed).flatten().copied().collect();
    if roles.contains(&wanted) {
        Ok(Admission { role: wanted })
    } else if roles.is_empty() {
        Err(JoinRefusal::UnknownOrExpired(wanted))
    } else {
        let names: Vec<_> = roles.iter().map(|role| role.as_str()).collect();
        Err(JoinRefusal::WrongRole { wanted, allowed: names.join(", ") })
    }
}

/// Reads one entry of `auth_service.tokens` up to the value: roles, and the text after the colon,
/// which is the secret itself or the absolute path of a file that holds it.
///
/// # Errors
/// A sentence about what is wrong.
pub fn parse_static(entry: &str) -> Result<(Vec<SystemRole>, &str), String> {
    let (roles, value) = entry
        .split_once(':')
        .ok_or_else(|| "write it as \"role,role:secret\" or \"role:/path\"".to_owned())?;
    let roles: Vec<_> = roles
        .split(',')
        .map(|role| SystemRole::parse_joinable(role).map_err(|error| error.to_string()))
        .collect::<Result<_, _>>()?;
    if value.trim().is_empty() {
        return Err("the secret after the colon is empty".to_owned());
    }
    Ok((roles, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(name: &str, roles: &[SystemRole], expires: i64) -> Token {
        let spec = TokenSpec {
            roles: roles.to_vec(),
            join_method: JoinMethod::Token,
            suggested_labels: Labels::default(),
            invites_user: None,
        };
        Token::new(name, spec).expiring(Some(at(expires)))
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn a_token_admits_its_roles_until_it_expires() {
        let token = token("secret-value", &[SystemRole::Node], 100);
        let secret = Secret::from("secret-value");
        let ask = |role, now| admit(&secret, role, &[], Some(&token), at(now));
        assert_eq!(ask(SystemRole::Node, 99).unwrap().role(), SystemRole::Node);
        assert!(matches!(ask(SystemRole::Node, 100), Err(JoinRefusal::UnknownOrExpired(_))));
        assert!(matches!(ask(SystemRole::Proxy, 99), Err(JoinRefusal::WrongRole { .. })));
    }

    #[test]
    fn static_tokens_never_expire() {
        let statics =
            [StaticToken { roles: vec![SystemRole::Proxy, SystemRole::Node], value: "xxxxx".into() }];
        let ask = |secret: &str| admit(&secret.into(), SystemRole::Proxy, &statics, None, Timestamp::MAX);
        assert!(ask("xxxxx").is_ok());
        assert!(ask("xxxx").is_err());
        assert!(ask("").is_err());
    }

    #[test]
    fn static_entries_split_at_the_first_colon() {
        let (roles, value) = parse_static("proxy,node:a:b").unwrap();
        assert_eq!((roles.as_slice(), value), ([SystemRole::Proxy, SystemRole::Node].as_slice(), "a:b"));
        assert!(parse_static("node").is_err());
        assert!(parse_static("noed:x").unwrap_err().contains("noed"));
        assert!(parse_static("node: ").is_err());
    }
}
