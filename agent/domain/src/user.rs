//! A user record: roles, traits, and whether the account is locked.

use serde::{Deserialize, Serialize};

use crate::Timestamp;
use crate::resource::{Kind, Metadata, Resource, ResourceError, Spec};
use crate::traits::Traits;

/// A user.
pub type User = Resource<UserSpec>;

/// The trait that holds the operating-system logins.
pub const LOGINS: &str = "logins";

/// What a user record says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UserSpec {
    /// Names of the roles held.
    pub roles: Vec<String>,
    /// Named lists that roles draw on.
    #[serde(default)]
    pub traits: Traits,
    /// Whether the account is locked.
    #[serde(default)]
    pub status: UserStatus,
    /// When the account ends; the zero time means never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Timestamp>,
    /// Who made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_by: Option<CreatedBy>,
}

/// Whether an account is locked, and until when.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct UserStatus {
    /// A locked account gets no certificate and its certificates are refused.
    pub is_locked: bool,
    /// Why.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub locked_message: String,
    /// When it was locked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub locked_time: Option<Timestamp>,
    /// When the lock ends; never when absent or the zero time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lock_expires: Option<Timestamp>,
}

impl UserStatus {
    /// Whether the account is locked now.
    pub fn locked_at(&self, now: Timestamp) -> bool {
        let ended = |end: Timestamp| end > Timestamp::UNIX_EPOCH && end <= now;
        self.is_locked && !self.lock_expires.is_some_and(ended)
    }
}

/// When an account ends: as its record says, or with its record. Nothing for one that does not.
pub fn end(user: &User) -> Option<Timestamp> {
    let said = user.spec.expires.filter(|end| *end > Timestamp::UNIX_EPOCH);
    [said, user.metadata.expires].into_iter().flatten().min()
}

/// Who made a user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CreatedBy {
    /// When.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<Timestamp>,
    /// By whom.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<UserRef>,
}

/// A user's name inside another record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UserRef {
    /// The name.
    pub name: String,
}

impl UserSpec {
    /// The logins given to the user directly.
    pub fn logins(&self) -> &[String] {
        self.traits.values(LOGINS)
    }
}

impl Spec for UserSpec {
    const KIND: Kind = Kind::User;
    const VERSIONS: &'static [&'static str] = &["v2"];

    fn check(&self, metadata: &Metadata) -> Result<(), ResourceError> {
        if self.roles.is_empty() {
            return Err(User::invalid(metadata, "spec.roles", "a user needs at least one role"));
        }
        for login in self.logins() {
            crate::certificate::check_principal(login)
                .map_err(|error| User::invalid(metadata, "spec.traits.logins", error))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_record_of_the_manual() {
        let json = r#"{"kind":"user","version":"v2","metadata":{"name":"joe"},"spec":{"roles":["admin"],
            "status":{"is_locked":false,"lock_expires":"0001-01-01T00:00:00Z","locked_time":"0001-01-01T00:00:00Z"},
            "traits":{"logins":["joe","root"]},"expires":"0001-01-01T00:00:00Z",
            "created_by":{"time":"0001-01-01T00:00:00Z","user":{"name":"builtin-Admin"}}}}"#;
        let user = User::from_json(json.as_bytes()).unwrap();
        assert_eq!(user.spec.logins(), ["joe", "root"]);
        assert!(!user.spec.status.locked_at(Timestamp::MAX));
    }

    #[test]
    fn a_lock_ends_when_it_says() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let status = UserStatus { is_locked: true, lock_expires: Some(at(100)), ..UserStatus::default() };
        assert!(status.locked_at(at(99)));
        assert!(!status.locked_at(at(100)));
        assert!(UserStatus { lock_expires: None, ..status }.locked_at(Timestamp::MAX));
    }

    #[test]
    fn an_account_ends_with_whichever_comes_first() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let mut user = User::new("joe", UserSpec::default());
        assert_eq!(end(&user), None);
        user.spec.expires = Some(Timestamp::UNIX_EPOCH - std::time::Duration::from_secs(1));
        assert_eq!(end(&user), None, "the zero time is never");
        user.metadata.expires = Some(at(200));
        assert_eq!(end(&user), Some(at(200)));
        user.spec.expires = Some(at(100));
        assert_eq!(end(&user), Some(at(100)));
    }

    #[test]
    fn a_login_with_a_comma_is_refused() {
        let mut user = User::new("joe", UserSpec { roles: vec!["access".into()], ..UserSpec::default() });
        user.spec.traits.0.insert(LOGINS.into(), vec!["deploy,root".into()]);
        assert!(user.check().unwrap_err().to_string().contains("spec.traits.logins"));
    }

    #[test]
    fn a_misspelt_key_is_refused() {
        let json = r#"{"kind":"user","version":"v2","metadata":{"name":"joe"},"spec":{"role":["admin"]}}"#;
        assert!(User::from_json(json.as_bytes()).unwrap_err().to_string().contains("role"));
    }
}
