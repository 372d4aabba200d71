//! What certificates must say, how long they live, and when one is good.
//!
//! Reading bytes and verifying signatures happens in `certs`; this module judges the facts that
//! come out of it. Nothing here trusts a fact that was not verified first: [`UserFacts`] are made
//! after the signature of the authority was checked.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use crate::Timestamp;
use crate::identity::{SystemRole, UserIdentity};
use crate::name::{HostId, is_valid_hostname};

mod source_address;

pub use source_address::{SourceAddressError, source_allowed};

/// The life of a user certificate when nobody asks for another.
pub const USER_TTL: Duration = Duration::from_secs(12 * 3600);
/// The shortest life of a user certificate.
pub const USER_TTL_MIN: Duration = Duration::from_secs(60);
/// The life of a host certificate. It is renewed when a third has passed, so a host may be away for
/// twenty days before it has to join anew.
pub const HOST_TTL: Duration = Duration::from_secs(30 * 86_400);
/// How far a certificate's beginning reaches back, for clocks that differ a little.
pub const BACKDATE: Duration = Duration::from_secs(60);

/// The longest principal, in bytes.
pub const PRINCIPAL_MAX: usize = 256;
/// The most principals of one certificate.
pub const PRINCIPALS_MAX: usize = 256;

/// The extension of a user certificate that carries the [`UserIdentity`] as JSON.
pub const IDENTITY_EXTENSION: &str = "identity@teleport";
/// The extension of a host certificate that carries the host's system role.
pub const HOST_ROLE_EXTENSION: &str = "x-teleport-role";

/// Why a text cannot be a principal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} cannot be a login or principal: 1 to 256 bytes, no comma, white space, quotes, wildcards or control characters"
)]
pub struct PrincipalError(String);

/// Checks one principal.
///
/// Separators are refused because programs that read principals as a list would see two names in
/// one (`deploy,root`); wildcards because some match with them.
///
/// # Errors
/// [`PrincipalError`] with the rule.
pub fn check_principal(principal: &str) -> Result<(), PrincipalError> {
    let forbidden = |c: char| c.is_control() || c.is_whitespace() || ",*?!\"'`".contains(c);
    if principal.is_empty() || principal.len() > PRINCIPAL_MAX || principal.chars().any(forbidden) {
        return Err(PrincipalError(principal.to_owned()));
    }
    Ok(())
}

/// The names a host answers to, in the order they are written into its certificate.
///
/// `extra` are advertised and public addresses, without port. A name that is no valid host name is
/// skipped; so is the UUID of another host, and everything but the UUID for the admin identity.
pub fn host_principals(
    role: SystemRole,
    id: HostId,
    name: &str,
    cluster: &str,
    extra: &[String],
) -> Vec<String> {
    if role == SystemRole::Admin {
        return vec![id.to_string()];
    }
    let mut principals = vec![format!("{id}.{cluster}"), id.to_string()];
    if is_valid_hostname(name) {
        principals.push(format!("{name}.{cluster}"));
        principals.push(name.to_owned());
    }
    principals.extend(["localhost", "127.0.0.1", "::1"].map(str::to_owned));
    principals.extend(extra.iter().filter(|text| check_principal(text).is_ok()).cloned());
    let mut seen = std::collections::HashSet::new();
    principals.retain(|principal| !is_of_another(principal, id) && seen.insert(principal.clone()));
    principals.truncate(PRINCIPALS_MAX);
    principals
}

/// Whether a name begins with the UUID of another host, and so stands for that one.
fn is_of_another(name: &str, id: HostId) -> bool {
    let first = name.split_once('.').map_or(name, |(first, _)| first);
    // Written with hyphens; a host may be called by 32 hexadecimal digits, as containers are.
    first.contains('-') && HostId::parse(first).is_some_and(|other| other != id)
}

/// The life of a user certificate: what was asked for, within one minute and the roles' maximum.
pub fn user_ttl(asked: Duration, roles_max: Duration) -> Duration {
    let max = roles_max.min(crate::role::MAX_TTL).max(USER_TTL_MIN);
    asked.clamp(USER_TTL_MIN, max)
}

/// The moment after which a certificate should be renewed: a third of its life.
pub fn renew_at(valid_after: Timestamp, valid_before: Timestamp) -> Timestamp {
    let life = valid_before.duration_since(valid_after);
    valid_after.saturating_add(life / 3).unwrap_or(valid_before)
}

/// The facts of an SSH user certificate whose authority's signature has been verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserFacts {
    /// Serial number.
    pub serial: u64,
    /// Logins the certificate allows.
    pub principals: Vec<String>,
    /// Valid from this Unix second on.
    pub valid_after: u64,
    /// Valid until before this Unix second.
    pub valid_before: u64,
    /// Options that must be understood.
    pub critical_options: BTreeMap<String, String>,
    /// Options that may be ignored.
    pub extensions: BTreeMap<String, String>,
}

/// Logins of a certificate that are named where another was asked for.
const NAMES_TOLD: usize = 8;

/// Why a user certificate is refused. The text is for whoever showed it, the log and the audit event.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It is a host certificate.
    #[error("the certificate is not a user certificate")]
    NotUser,
    /// Signed by nobody we trust, or the signature is wrong.
    #[error("the certificate was not signed by this cluster's user authority")]
    UnknownAuthority,
    /// A certificate may be signed by a plain key only.
    #[error("the certificate was signed by a certificate, not by a key")]
    SignedByCertificate,
    /// Not valid yet.
    #[error("the certificate is not valid yet (from {0}); check the clocks")]
    NotYetValid(String),
    /// No longer valid.
    #[error(
        "the certificate expired at {0}; get a new one, which an administrator makes with `tctl auth sign`"
    )]
    Expired(String),
    /// The login is none of its principals.
    #[error("the certificate does not allow the login {login:?}, only {allowed}")]
    WrongPrincipal {
        /// The one that was asked for.
        login: String,
        /// Those it allows, or the first of them.
        allowed: String,
    },
    /// It names nobody.
    #[error("the certificate has no principals")]
    NoPrincipals,
    /// An option that must be understood is not.
    #[error("the certificate has the critical option {0:?}, which is not supported")]
    CriticalOption(String),
    /// From the wrong place.
    #[error("the certificate may not be used from {0}")]
    SourceAddress(IpAddr),
    /// The option cannot be read, so it cannot be honoured.
    #[error("the certificate's source-address option is malformed")]
    BadSourceAddress,
    /// Made by something else than this cluster.
    #[error("the certificate carries no identity of this cluster")]
    NoIdentity,
}

/// Whether a login was asked for, and which.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoginRule<'a> {
    /// The certificate must allow this login: a node.
    MustAllow(&'a str),
    /// Any login will do, because no session starts here: a proxy.
    Any,
}

/// Names as they are told, whatever is in them; a certificate may hold very many.
fn some_of(names: &[String]) -> String {
    let told: Vec<_> = names.iter().take(NAMES_TOLD).map(|name| format!("{name:?}")).collect();
    let more = if names.len() > NAMES_TOLD { " and others" } else { "" };
    format!("{}{more}", told.join(", "))
}

/// Judges a user certificate and returns whom it stands for.
///
/// # Errors
/// The first reason to refuse it.
pub fn judge_user(
    facts: &UserFacts,
    login: LoginRule<'_>,
    peer: IpAddr,
    now: Timestamp,
) -> Result<UserIdentity, Refusal> {
    check_validity(facts, now)?;
    if facts.principals.is_empty() {
        return Err(Refusal::NoPrincipals);
    }
    if let LoginRule::MustAllow(login) = login
        && !facts.principals.iter().any(|principal| principal == login)
    {
        return Err(Refusal::WrongPrincipal { login: login.to_owned(), allowed: some_of(&facts.principals) });
    }
    check_critical_options(&facts.critical_options, peer)?;
    identity_of(facts)
}

/// Whom a certificate names, whether or not it is good: by itself this grants nothing, but tells who
/// was refused.
///
/// # Errors
/// [`Refusal::NoIdentity`].
pub fn identity_of(facts: &UserFacts) -> Result<UserIdentity, Refusal> {
    let json = facts.extensions.get(IDENTITY_EXTENSION).ok_or(Refusal::NoIdentity)?;
    let identity: UserIdentity = serde_json::from_str(json).map_err(|_| Refusal::NoIdentity)?;
    Ok(UserIdentity { logins: facts.principals.clone(), ..identity })
}

fn check_validity(facts: &UserFacts, now: Timestamp) -> Result<(), Refusal> {
    if seconds(now) < facts.valid_after {
        return Err(Refusal::NotYetValid(time_text(facts.valid_after)));
    }
    check_not_expired(facts.valid_before, now)
}

/// Whether a certificate that was good when it was shown still is: a connection may outlive it.
///
/// # Errors
/// [`Refusal::Expired`].
pub fn check_not_expired(valid_before: u64, now: Timestamp) -> Result<(), Refusal> {
    if seconds(now) >= valid_before { Err(Refusal::Expired(time_text(valid_before))) } else { Ok(()) }
}

/// As certificates tell time; nothing is before 1970.
fn seconds(time: Timestamp) -> u64 {
    u64::try_from(time.as_second()).unwrap_or(0)
}

fn check_critical_options(options: &BTreeMap<String, String>, peer: IpAddr) -> Result<(), Refusal> {
    for (name, value) in options {
        match name.as_str() {
            "source-address" => match source_allowed(value, peer) {
                Ok(true) => {}
                Ok(false) => return Err(Refusal::SourceAddress(peer)),
                Err(SourceAddressError) => return Err(Refusal::BadSourceAddress),
            },
            unknown => return Err(Refusal::CriticalOption(unknown.to_owned())),
        }
    }
    Ok(())
}

fn time_text(second: u64) -> String {
    i64::try_from(second)
        .ok()
        .and_then(|second| Timestamp::from_second(second).ok())
        .map_or_else(|| "the end of time".to_owned(), |time| time.to_string())
}

#[cfg(test)]
mod tests;
