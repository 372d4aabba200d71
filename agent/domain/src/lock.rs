//! Locks: a target that is shut out at once, whatever its certificate says.
//!
//! Deleting a user leaves a lock behind that refuses every certificate made before, until the last
//! of them has run out: a certificate cannot be called back, so its acceptance is.

use serde::{Deserialize, Serialize};

use crate::Timestamp;
use crate::identity::UserIdentity;
use crate::name::HostId;
use crate::resource::{Kind, Metadata, Resource, ResourceError, Spec};

/// A lock.
pub type Lock = Resource<LockSpec>;

/// What a lock says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockSpec {
    /// Whom it shuts out. All fields that are set must match.
    pub target: Target,
    /// Told to whoever is shut out.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// Shuts out only certificates made before this moment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issued_before: Option<Timestamp>,
}

/// Whom a lock shuts out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Target {
    /// A user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Every holder of a role.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// An operating-system login on every node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub login: Option<String>,
    /// One certificate, by serial number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub serial: Option<u64>,
    /// A host: its own identity is refused, and nobody gets onto it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_id: Option<HostId>,
}

impl Spec for LockSpec {
    const KIND: Kind = Kind::Lock;
    const VERSIONS: &'static [&'static str] = &["v2"];

    fn check(&self, metadata: &Metadata) -> Result<(), ResourceError> {
        if self.target == Target::default() {
            let reason = "name at least one of user, role, login, serial, server_id";
            return Err(Lock::invalid(metadata, "spec.target", reason));
        }
        Ok(())
    }
}

/// What holds in place of a lock that cannot be read as a whole, since a newer program wrote it: whoever
/// its readable part names is shut out. A condition that is not known is left out, and so is one whose
/// value is not understood; the lock then shuts out more than was meant, and never less. None when nothing
/// is left that names anybody: shutting out everybody would let nobody mend it.
pub fn salvage(name: &str, json: &[u8]) -> Option<Lock> {
    fn part<T: serde::de::DeserializeOwned>(of: &serde_json::Value, name: &str) -> Option<T> {
        of.get(name).and_then(|value| T::deserialize(value).ok())
    }
    let record: serde_json::Value = serde_json::from_slice(json).ok()?;
    let spec = record.get("spec")?;
    let named = spec.get("target")?;
    let target = Target {
        user: part(named, "user"),
        role: part(named, "role"),
        login: part(named, "login"),
        serial: part(named, "serial"),
        server_id: part(named, "server_id"),
    };
    let message = part(spec, "message").unwrap_or_default();
    let lock = Lock::new(name, LockSpec { target, message, issued_before: part(spec, "issued_before") });
    let expires = record.get("metadata").and_then(|metadata| part(metadata, "expires"));
    lock.check().is_ok().then(|| lock.expiring(expires))
}

/// What a lock is held against.
#[derive(Debug, Clone, Copy)]
pub struct Attempt<'a> {
    /// Who.
    pub user: &'a UserIdentity,
    /// With which certificate.
    pub serial: u64,
    /// As which login, where that matters.
    pub login: Option<&'a str>,
    /// Onto which host, where that matters.
    pub server: Option<HostId>,
}

/// The lock that shuts an attempt out, if there is one.
pub fn find<'a>(
    locks: impl IntoIterator<Item = &'a Lock>,
    attempt: Attempt<'_>,
    now: Timestamp,
) -> Option<&'a Lock> {
    locks.into_iter().find(|lock| !lock.is_expired(now) && holds(&lock.spec, attempt))
}

/// The lock that shuts a host out that shows the certificate of this serial number, if there is one.
pub fn find_host<'a>(
    locks: impl IntoIterator<Item = &'a Lock>,
    (host, serial): (HostId, u64),
    now: Timestamp,
) -> Option<&'a Lock> {
    let holds = |target: &Target| {
        let about_users = target.user.is_some() || target.role.is_some() || target.login.is_some();
        let named = target.server_id.is_some() || target.serial.is_some();
        !about_users
            && named
            && target.server_id.is_none_or(|id| id == host)
            && target.serial.is_none_or(|number| number == serial)
    };
    locks.into_iter().find(|lock| !lock.is_expired(now) && holds(&lock.spec.target))
}

fn holds(lock: &LockSpec, attempt: Attempt<'_>) -> bool {
    let target = &lock.target;
    let fits = |wanted: &Option<String>, holds: &dyn Fn(&str) -> bool| wanted.as_deref().is_none_or(holds);
    fits(&target.user, &|user| user == attempt.user.user)
        && fits(&target.role, &|role| attempt.user.roles.iter().any(|held| held == role))
        && fits(&target.login, &|login| attempt.login == Some(login))
        && target.serial.is_none_or(|serial| serial == attempt.serial)
        && target.server_id.is_none_or(|server| attempt.server == Some(server))
        && lock.issued_before.is_none_or(|moment| attempt.user.issued < moment)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::traits::Traits;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn joe() -> UserIdentity {
        UserIdentity {
            user: "joe".into(),
            roles: vec!["access".into()],
            traits: Traits::default(),
            logins: vec!["root".into()],
            issued: at(50),
        }
    }

    fn lock(target: Target, issued_before: Option<Timestamp>) -> Lock {
        Lock::new("l", LockSpec { target, message: String::new(), issued_before })
    }

    fn shuts_out(lock: &Lock) -> bool {
        let user = joe();
        let attempt = Attempt { user: &user, serial: 7, login: Some("root"), server: None };
        find([lock], attempt, at(100)).is_some()
    }

    #[test]
    fn every_field_that_is_set_must_match() {
        let user = |name: &str| Target { user: Some(name.into()), ..Target::default() };
        assert!(shuts_out(&lock(user("joe"), None)));
        assert!(!shuts_out(&lock(user("ann"), None)));
        assert!(!shuts_out(&lock(Target { login: Some("ubuntu".into()), ..user("joe") }, None)));
        assert!(shuts_out(&lock(Target { serial: Some(7), ..Target::default() }, None)));
        assert!(!shuts_out(&lock(Target { serial: Some(8), ..Target::default() }, None)));
        assert!(shuts_out(&lock(Target { role: Some("access".into()), ..Target::default() }, None)));
    }

    #[test]
    fn a_deleted_users_lock_spares_later_certificates() {
        let target = Target { user: Some("joe".into()), ..Target::default() };
        assert!(shuts_out(&lock(target.clone(), Some(at(51)))));
        assert!(!shuts_out(&lock(target, Some(at(50)))));
    }

    #[test]
    fn an_expired_lock_holds_nobody() {
        let lock =
            lock(Target { user: Some("joe".into()), ..Target::default() }, None).expiring(Some(at(100)));
        assert!(!shuts_out(&lock));
    }

    #[test]
    fn a_host_is_shut_out_by_its_name_or_by_its_certificate() {
        let [own, other] = [1, 2].map(|id| HostId(uuid::Uuid::from_u128(id)));
        let shut_out = |target| find_host([&lock(target, None)], (own, 7), at(100)).is_some();
        let of_host = |id| Target { server_id: Some(id), ..Target::default() };
        let of_serial = |serial| Target { serial: Some(serial), ..Target::default() };
        assert!(shut_out(of_host(own)) && shut_out(of_serial(7)));
        assert!(shut_out(Target { serial: Some(7), ..of_host(own) }));
        assert!(!shut_out(of_host(other)) && !shut_out(of_serial(8)));
        assert!(!shut_out(Target { serial: Some(8), ..of_host(own) }));
        assert!(!shut_out(Target { user: Some("joe".into()), ..of_host(own) }), "nobody gets onto it as joe");
        assert!(!shut_out(Target::default()));
    }

    #[test]
    fn of_a_lock_that_cannot_be_read_holds_what_can() {
        let salvaged = |spec: &str| {
            let record =
                format!(r#"{{"kind":"lock","version":"v9","metadata":{{"name":"l"}},"spec":{spec}}}"#);
            assert!(Lock::from_json(record.as_bytes()).is_err());
            salvage("l", record.as_bytes())
        };
        let joe = Target { user: Some("joe".into()), ..Target::default() };
        let known = salvaged(r#"{"target":{"user":"joe","device":"d1"},"message":"why","again":1}"#).unwrap();
        assert!(known.spec.target == joe && known.spec.message == "why" && shuts_out(&known));
        // What narrows it down counts only where it is understood.
        let of_root = salvaged(r#"{"target":{"user":"joe","login":["ubuntu"]},"issued_before":"some day"}"#);
        assert_eq!(of_root, Some(lock(joe.clone(), None)));
        let spared = salvaged(r#"{"target":{"user":"joe"},"issued_before":"1970-01-01T00:00:50Z"}"#).unwrap();
        assert!(!shuts_out(&spared) && spared.spec.target == joe);
        for nobody in [r#"{"target":{"device":"d1"}}"#, r#"{"target":{"user":7}}"#, r#"{"target":7}"#, "{}"] {
            assert_eq!(salvaged(nobody), None, "{nobody}");
        }
        assert_eq!(salvage("l", b"no JSON"), None);
    }

    #[test]
    fn the_end_of_a_lock_that_cannot_be_read_is_its_end() {
        let record =
            br#"{"metadata":{"name":"l","expires":"1970-01-01T00:01:40Z"},"spec":{"target":{"user":"joe"}}}"#;
        assert!(!shuts_out(&salvage("l", record).unwrap()));
    }

    #[test]
    fn a_lock_without_a_target_is_refused() {
        assert!(lock(Target::default(), None).check().is_err());
    }
}
