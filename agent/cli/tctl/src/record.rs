//! Records of any kind, as they are read from files and from the auth server, and as they are shown.
//!
//! The name of a token is a secret, so it is cut short unless somebody asks for secrets. A name that
//! was cut short is never taken back in: it would make a token that is easy to guess.

use domain::authority::CertAuthority;
use domain::lock::Lock;
use domain::node::Node;
use domain::printable::escape;
use domain::resource::{Kind, Metadata, Resource, ResourceError};
use domain::role::Role;
use domain::server::{AuthServer, Proxy};
use domain::token::Token;
use domain::user::User;
use serde::Serialize;
use serde_json::Value;

/// What a name that was cut short ends in.
const CUT: char = '…';

/// The most characters of a secret that are shown.
const SHOWN_MAX: usize = 4;

/// A record of one of the kinds.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub(crate) enum Record {
    /// A role.
    Role(Box<Role>),
    /// A user.
    User(Box<User>),
    /// A token.
    Token(Token),
    /// A node.
    Node(Box<Node>),
    /// A lock.
    Lock(Lock),
    /// An authority.
    CertAuthority(CertAuthority),
    /// A proxy.
    Proxy(Box<Proxy>),
    /// An auth server.
    AuthServer(Box<AuthServer>),
    /// One that a newer auth server wrote: passed on as it is, but never written back.
    Unknown(Value),
}

impl Record {
    /// Reads what the auth server sent.
    pub(crate) fn from_server(kind: Kind, json: &[u8]) -> Self {
        let known = match kind {
            Kind::Role => Resource::from_json(json).map(|role| Self::Role(Box::new(role))),
            Kind::User => Resource::from_json(json).map(|user| Self::User(Box::new(user))),
            Kind::Token => Resource::from_json(json).map(Self::Token),
            Kind::Node => Resource::from_json(json).map(|node| Self::Node(Box::new(node))),
            Kind::Lock => Resource::from_json(json).map(Self::Lock),
            Kind::CertAuthority => Resource::from_json(json).map(Self::CertAuthority),
            Kind::Proxy => Resource::from_json(json).map(|proxy| Self::Proxy(Box::new(proxy))),
            Kind::AuthServer => Resource::from_json(json).map(|server| Self::AuthServer(Box::new(server))),
        };
        known.unwrap_or_else(|_| Self::Unknown(serde_json::from_slice(json).unwrap_or_default()))
    }

    /// The kind; none for a record that is not understood.
    pub(crate) fn kind(&self) -> Option<Kind> {
        Some(match self {
            Self::Role(_) => Kind::Role,
            Self::User(_) => Kind::User,
            Self::Token(_) => Kind::Token,
            Self::Node(_) => Kind::Node,
            Self::Lock(_) => Kind::Lock,
            Self::CertAuthority(_) => Kind::CertAuthority,
            Self::Proxy(_) => Kind::Proxy,
            Self::AuthServer(_) => Kind::AuthServer,
            Self::Unknown(_) => return None,
        })
    }

    /// Name, expiry and revision; none for a record that is not understood.
    pub(crate) fn metadata(&self) -> Option<&Metadata> {
        Some(match self {
            Self::Role(record) => &record.metadata,
            Self::User(record) => &record.metadata,
            Self::Token(record) => &record.metadata,
            Self::Node(record) => &record.metadata,
            Self::Lock(record) => &record.metadata,
            Self::CertAuthority(record) => &record.metadata,
            Self::Proxy(record) => &record.metadata,
            Self::AuthServer(record) => &record.metadata,
            Self::Unknown(_) => return None,
        })
    }

    /// The name; empty for a record that is not understood.
    pub(crate) fn name(&self) -> &str {
        self.metadata().map(|metadata| metadata.name.as_str()).unwrap_or_default()
    }

    /// How messages call it: `user "joe"`, without what is secret.
    pub(crate) fn title(&self) -> String {
        match self.kind() {
            Some(Kind::Token) => title(Kind::Token, &redacted(self.name())),
            Some(kind) => title(kind, self.name()),
            None => "a record".to_owned(),
        }
    }

    /// Checks a record somebody wrote: the rules of its kind, and that its name is whole.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub(crate) fn check(&self) -> Result<(), ResourceError> {
        match self {
            Self::Role(record) => record.check_written(),
            Self::User(record) => record.check_written(),
            Self::Token(record) => check_whole(record).and_then(|()| record.check_written()),
            Self::Node(record) => record.check_written(),
            Self::Lock(record) => record.check_written(),
            Self::CertAuthority(record) => record.check_written(),
            Self::Proxy(record) => record.check_written(),
            Self::AuthServer(record) => record.check_written(),
            Self::Unknown(_) => Err(ResourceError::Shape("it is of no known kind".to_owned())),
        }
    }

    /// The record as the wire carries it.
    pub(crate) fn to_json(&self) -> Vec<u8> {
        match self {
            Self::Role(record) => record.to_json(),
            Self::User(record) => record.to_json(),
            Self::Token(record) => record.to_json(),
            Self::Node(record) => record.to_json(),
            Self::Lock(record) => record.to_json(),
            Self::CertAuthority(record) => record.to_json(),
            Self::Proxy(record) => record.to_json(),
            Self::AuthServer(record) => record.to_json(),
            Self::Unknown(value) => value.to_string().into_bytes(),
        }
    }

    /// The record without what is secret in it.
    #[must_use]
    pub(crate) fn without_secrets(mut self) -> Self {
        match &mut self {
            Self::Token(token) => token.metadata.name = redacted(&token.metadata.name),
            // Nobody knows what a newer kind of token keeps where; its name alone is known to be secret.
            Self::Unknown(value) if value.get("kind").is_some_and(|kind| kind == Kind::Token.as_str()) => {
                *value = Value::from("a token that this program cannot read");
            }
            _ => {}
        }
        self
    }
}

/// How messages call a record: `user "joe"`.
pub(crate) fn title(kind: Kind, name: &str) -> String {
    format!("{kind} \"{}\"", escape(name))
}

/// The beginning of a secret, enough to tell it from others and too little to guess it.
pub(crate) fn redacted(secret: &str) -> String {
    let shown = (secret.chars().count() / 4).min(SHOWN_MAX);
    secret.chars().take(shown).chain([CUT]).collect()
}

/// Whether a secret was cut short.
pub(crate) fn is_cut(secret: &str) -> bool {
    secret.ends_with(CUT)
}

fn check_whole(token: &Token) -> Result<(), ResourceError> {
    if !is_cut(token.name()) {
        return Ok(());
    }
    let reason = "this is a token that was cut short when it was shown; get it with --with-secrets";
    Err(Token::invalid(&token.metadata, "metadata.name", reason))
}

#[cfg(test)]
mod tests {
    use domain::identity::SystemRole;
    use domain::label::Labels;
    use domain::role::presets;
    use domain::token::{JoinMethod, TokenSpec};

    use super::*;

    fn token(name: &str) -> Record {
        let spec = TokenSpec {
            roles: vec![SystemRole::Node],
            join_method: JoinMethod::Token,
            suggested_labels: Labels::default(),
            invites_user: None,
        };
        Record::Token(Token::new(name, spec))
    }

    #[test]
    fn a_token_is_shown_cut_short_and_never_taken_back() {
        let shown = token("0123456789abcdef0123456789abcdef").without_secrets();
        assert_eq!(shown.name(), "0123…");
        assert_eq!(token("hunter22").without_secrets().name(), "hu…");
        assert_eq!(token("secret-value").title(), "token \"sec…\"");
        let long = "ü".repeat(300);
        for cut in [shown, token(&long).without_secrets(), token("12345678…")] {
            assert!(cut.check().is_err(), "{}", cut.name());
        }
        assert!(token("secret-value").check().is_ok());
    }

    #[test]
    fn records_keep_the_order_of_the_manual() {
        let role = presets().into_iter().next().unwrap();
        let record = Record::from_server(Kind::Role, &role.to_json());
        assert_eq!(record, Record::Role(Box::new(role)));
        let yaml = serde_saphyr::to_string(&record).unwrap();
        let keys: Vec<_> = yaml.lines().filter(|line| !line.starts_with([' ', '-'])).collect();
        assert_eq!(keys, ["kind: role", "version: v7", "metadata:", "spec:"]);
    }

    #[test]
    fn what_is_not_understood_is_passed_on_but_gives_no_secret_away() {
        let newer = br#"{"kind":"token","version":"v9","metadata":{"name":"secret-value"},"spec":{}}"#;
        let record = Record::from_server(Kind::Token, newer);
        assert!(matches!(record, Record::Unknown(_)) && record.check().is_err());
        assert!(!String::from_utf8(record.without_secrets().to_json()).unwrap().contains("secret-value"));
        let newer = br#"{"kind":"role","version":"v9","metadata":{"name":"x"},"spec":{"new":1}}"#;
        let record = Record::from_server(Kind::Role, newer).without_secrets();
        assert!(String::from_utf8(record.to_json()).unwrap().contains("\"new\":1"));
    }
}
