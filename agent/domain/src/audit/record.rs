//! What is told of a record that was made, replaced or removed: whom a lock shuts out, what a user holds. The record
//! itself may be gone by the time somebody asks.

use serde::Serialize;
use serde_json::Value;

use crate::resource::Kind;

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
                let ends = at("/spec/expires").or_else(|| facts.expires.clone());
                Self { roles: at("/spec/roles"), logins: at("/spec/traits/logins"), expires: ends, ..facts }
            }
            Kind::Token => Self { roles: at("/spec/roles"), invites_user: at("/spec/invites_user"), ..facts },
            Kind::Lock => Self { target: at("/spec/target"), message: at("/spec/message"), ..facts },
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
        let user = json!({"metadata": {"name": "carol"}, "spec": {"roles": ["admin"], "traits": {"logins": ["root"], "other": ["y"]}}});
        assert_eq!(told(Kind::User, &user), json!({"roles": ["admin"], "logins": ["root"]}));
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
