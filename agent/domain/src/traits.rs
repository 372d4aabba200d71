//! Traits of a user and the templates in roles that draw on them: `{{internal.logins}}`.
//!
//! A template yields a list, because a trait is a list; text around it is kept:
//! `admin-{{external.team}}` with two teams gives two values.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Named lists of values that describe a user.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Traits(pub BTreeMap<String, Vec<String>>);

impl Traits {
    /// The values of a trait; none when it is not set.
    pub fn values(&self, name: &str) -> &[String] {
        self.0.get(name).map(Vec::as_slice).unwrap_or_default()
    }
}

/// A value of a role that may hold one template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Template {
    /// Plain text.
    Literal(String),
    /// Text around one trait.
    Trait {
        /// Text before.
        prefix: String,
        /// The trait's name.
        name: String,
        /// Text after.
        suffix: String,
    },
}

/// Why a template cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "template {0:?} is not understood; write {{{{internal.NAME}}}} or {{{{external.NAME}}}}, once per value"
)]
pub struct TemplateError(String);

impl Template {
    /// Reads one value of a role.
    ///
    /// # Errors
    /// [`TemplateError`] for braces that are not a template of the known form.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        let error = || TemplateError(text.to_owned());
        let Some((prefix, rest)) = text.split_once("{{") else {
            return if text.contains("}}") { Err(error()) } else { Ok(Self::Literal(text.to_owned())) };
        };
        let (inner, suffix) = rest.split_once("}}").ok_or_else(error)?;
        let name = trait_name(inner.trim()).ok_or_else(error)?;
        if suffix.contains("{{") || suffix.contains("}}") || prefix.contains("}}") {
            return Err(error());
        }
        Ok(Self::Trait { prefix: prefix.to_owned(), name, suffix: suffix.to_owned() })
    }

    /// The values it stands for; empty ones are left out.
    pub fn expand(&self, traits: &Traits) -> Vec<String> {
        match self {
            Self::Literal(text) => vec![text.clone()],
            Self::Trait { prefix, name, suffix } => traits
                .values(name)
                .iter()
                .filter(|value| !value.is_empty())
                .map(|value| format!("{prefix}{value}{suffix}"))
                .collect(),
        }
    }
}

/// `internal.logins`, `external.team` or `external["team"]`.
fn trait_name(inner: &str) -> Option<String> {
    let rest = inner.strip_prefix("internal").or_else(|| inner.strip_prefix("external"))?;
    let name = match rest.strip_prefix('.') {
        Some(name) => name,
        None => rest.strip_prefix("[\"")?.strip_suffix("\"]")?,
    };
    let fits = |c: char| c.is_ascii_alphanumeric() || "_-./:".contains(c);
    (!name.is_empty() && name.chars().all(fits)).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn traits() -> Traits {
        Traits([("logins".to_owned(), vec!["joe".to_owned(), "root".to_owned()])].into())
    }

    #[test]
    fn a_trait_multiplies_out() {
        let expand = |text| Template::parse(text).unwrap().expand(&traits());
        assert_eq!(expand("{{internal.logins}}"), ["joe", "root"]);
        assert_eq!(expand("svc-{{ external.logins }}-x"), ["svc-joe-x", "svc-root-x"]);
        assert_eq!(expand(r#"{{external["logins"]}}"#), ["joe", "root"]);
        assert_eq!(expand("ubuntu"), ["ubuntu"]);
        assert!(expand("{{internal.none}}").is_empty());
    }

    #[test]
    fn unknown_forms_are_refused() {
        for text in [
            "{{logins}}",
            "{{internal.}}",
            "{{internal.a}}{{internal.b}}",
            "{{internal.a",
            "a}}",
            "{{email.local(x)}}",
        ] {
            assert!(Template::parse(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "[{}a-z.\\[\\]\"]{0,30}") {
            let _ = Template::parse(&text);
        }
    }
}
