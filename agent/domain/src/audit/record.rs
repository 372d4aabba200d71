//! What is told of a record that was made, replaced or removed: whom a lock shuts out, what a user holds. The record
//! itself may be gone by the time somebody asks.

use serde::Serialize;
use serde_json::Value;

use crate::resource::Kind;
use crate::user;

/// What of a record matters to whoever reads the log. Nothing that a secret could be in.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct RecordFacts {
    /// The roles of a user, or what a host may join as.
    #[serde(skip_serializing_if = "Option::is_none")]
    roles: Option<Value>,
    /// The logins of a user beside those that roles give.
    #[serde(skip_serializing_if = "Option::is_none")]
    logins: Option<Value>,
    /// Whom a join token invites instead of a host.
    #[serde(skip_serializing_if = "Option::is_none")]
    invites_user: Option<Value>,
    /// Whom a lock shuts out.
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<Value>,
    /// Before when a certificate was made that a lock shuts out; without it, all are.
    #[serde(skip_serializing_if = "Option::is_none")]
    issued_before: Option<Value>,
    /// Whether the account of a user is locked.
    #[serde(skip_serializing_if = "Option::is_none")]
    is_locked: Option<Value>,
    /// What they are told.
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<Value>,
    /// When the record ends by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    expires: Option<Value>,
}

impl RecordFacts {
    /// Of a record as it is stored. One that cannot be read has none.
    pub fn of(kind: Kind, json: &[u8]) -> Self {
        let Ok(record) = serde_json::from_slice::<Value>(json) else { return Self::default() };
        let at = |path: &str| record.pointer(path).cloned();
        let facts = Self { expires: at("/metadata/expires"), ..Self::default() };
        match kind {
            Kind::User => {
                let end = serde_json::from_slice(json).ok().and_then(|user| user::end(&user));
                Self {
                    roles: at("/spec/roles"),
                    logins: at("/spec/traits/logins"),
                    is_locked: at("/spec/status/is_locked").filter(|locked| *locked == Value::Bool(true)),
                    expires: end.map(|end| end.to_string().into()),
                    ..Self::default()
                }
            }
            Kind::Token => Self { roles: at("/spec/roles"), invites_user: at("/spec/invites_user"), ..facts },
            Kind::Lock => Self {
                target: at("/spec/target"),
                message: at("/spec/message"),
                issued_before: at("/spec/issued_before"),
                ..facts
            },
            Kind::Role | Kind::Node | Kind::Proxy | Kind::AuthServer | Kind::CertAuthority => Self::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn told(kind: Kind, record: &Value) -> Value {
        serde_json::to_value(RecordFacts::of(kind, record.to_string().as_bytes())).unwrap()
    }

    #[test]
    fn who_is_shut_out_and_who_may_what_is_told() {
        let lock = json!({"metadata": {"name": "x", "expires": "2026-01-01T00:00:00Z"}, "spec": {"target": {"user": "carol"}, "message": "gone"}});
        assert_eq!(
            told(Kind::Lock, &lock),
            json!({"target": {"user": "carol"}, "message": "gone", "expires": "2026-01-01T00:00:00Z"})
        );
        let until = json!({"metadata": {"name": "x"}, "spec": {"target": {"role": "dev"}, "issued_before": "2026-01-01T00:00:00Z"}});
        assert_eq!(told(Kind::Lock, &until)["issued_before"], "2026-01-01T00:00:00Z");
        let user = |expires: &str, is_locked| {
            json!({"kind": "user", "version": "v2", "metadata": {"name": "carol"},
                "spec": {"roles": ["admin"], "traits": {"logins": ["root"], "other": ["y"]}, "expires": expires, "status": {"is_locked": is_locked}}})
        };
        let never = user("0001-01-01T00:00:00Z", false);
        assert_eq!(told(Kind::User, &never), json!({"roles": ["admin"], "logins": ["root"]}));
        let ends = told(Kind::User, &user("2027-01-01T00:00:00Z", true));
        assert_eq!((&ends["expires"], &ends["is_locked"]), (&"2027-01-01T00:00:00Z".into(), &true.into()));
        let token =
            json!({"metadata": {"name": "secret"}, "spec": {"roles": ["Node"], "join_method": "token"}});
        assert_eq!(told(Kind::Token, &token), json!({"roles": ["Node"]}));
    }

    #[test]
    fn what_cannot_be_read_or_hosts_tell_often_is_not_told() {
        assert_eq!(RecordFacts::of(Kind::Lock, b"{"), RecordFacts::default());
        assert_eq!(told(Kind::Node, &json!({"spec": {"roles": ["x"]}})), json!({}));
    }
}
