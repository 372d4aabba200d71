//! Roles as decisions use them: their patterns are compiled once, when a role comes into force, and not for each
//! decision.

use crate::label::Labels;
use crate::label::selector::{OneOrMany, Selector};
use crate::pattern::Pattern;
use crate::role::{Conditions, Options, Role};
use crate::traits::{Template, Traits};

/// A role, ready to decide with.
#[derive(Debug)]
pub struct RoleInForce {
    role: Role,
    pub(super) allow: Side,
    deny: Side,
}

/// One side of a role.
#[derive(Debug, Default)]
pub(super) struct Side {
    logins: Vec<Login>,
    labels: Selector,
}

/// Logins a role names.
#[derive(Debug)]
enum Login {
    Like(Pattern),
    /// Those among a user's traits.
    Of(Template),
}

impl RoleInForce {
    /// Compiles a role. One in the store was checked when it was written, so a pattern that does not compile comes from
    /// a newer program: the whole side then allows nothing, or denies everything.
    pub fn new(role: Role) -> Self {
        let allow = Side::new(&role.spec.allow).unwrap_or_default();
        let deny = Side::new(&role.spec.deny).unwrap_or_else(Side::everything);
        Self { role, allow, deny }
    }

    /// The role as it is written.
    pub fn role(&self) -> &Role {
        &self.role
    }

    pub(super) fn options(&self) -> &Options {
        &self.role.spec.options
    }

    /// Whether it forbids this login, where one is asked about, or all logins on nodes like this one. Each of the two
    /// that a deny side names forbids by itself: its labels all logins on those nodes, its logins
    /// those logins everywhere. As with Teleport, whose roles are written for that: a deny side that was read as
    /// both together would let in whom it is to keep out.
    pub(super) fn forbids(&self, labels: &Labels, login: Option<&str>, traits: &Traits) -> bool {
        let names_labels = !self.role.spec.deny.node_labels.is_empty();
        (names_labels && self.deny.has_node(labels))
            || login.is_some_and(|login| self.deny.has_login(login, traits))
    }
}

impl Side {
    fn new(conditions: &Conditions) -> Option<Self> {
        let logins = conditions.logins.iter().map(|text| Login::new(text)).collect::<Option<_>>()?;
        Some(Self { logins, labels: Selector::new(&conditions.node_labels).ok()? })
    }

    fn everything() -> Self {
        let star = OneOrMany(vec!["*".to_owned()]);
        let labels = Selector::new(&[("*".to_owned(), star)].into()).unwrap_or_default();
        Self { logins: vec![Login::Like(Pattern::Any)], labels }
    }

    pub(super) fn has_node(&self, labels: &Labels) -> bool {
        self.labels.matches(labels)
    }

    pub(super) fn has_login(&self, login: &str, traits: &Traits) -> bool {
        self.logins.iter().any(|one| one.is(login, traits))
    }

    /// The logins it spells out.
    pub(super) fn literal_logins(&self, traits: &Traits) -> Vec<String> {
        let literal = |login: &Login| match login {
            Login::Like(Pattern::Literal(login)) => vec![login.clone()],
            Login::Like(Pattern::Any | Pattern::Glob(_) | Pattern::Expression(_)) => Vec::new(),
            Login::Of(template) => template.expand(traits),
        };
        self.logins.iter().flat_map(literal).collect()
    }
}

impl Login {
    fn new(text: &str) -> Option<Self> {
        match Template::parse(text).ok()? {
            Template::Literal(text) => Pattern::new(&text).ok().map(Self::Like),
            template @ Template::Trait { .. } => Some(Self::Of(template)),
        }
    }

    fn is(&self, login: &str, traits: &Traits) -> bool {
        match self {
            Self::Like(pattern) => pattern.matches(login),
            // A trait's value is data, not a pattern: a user called `*` is not every user.
            Self::Of(template) => template.expand(traits).iter().any(|value| value == login),
        }
    }
}
