//! Which records a command means: `user/joe`, `roles`, `user/joe,role/admin`, `all`.

use std::str::FromStr;

use domain::resource::{Kind, ResourceError, check_name};

/// One record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct One {
    /// Its kind.
    pub(crate) kind: Kind,
    /// Its name.
    pub(crate) name: String,
}

/// One record or all of a kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reference {
    /// The kind.
    pub(crate) kind: Kind,
    /// The name; all of the kind without one.
    pub(crate) name: Option<String>,
}

/// Several references, as one argument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct References(pub(crate) Vec<Reference>);

/// Why a text names no record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ReferenceError {
    /// The kind or the name breaks a rule.
    #[error(transparent)]
    Resource(#[from] ResourceError),
    /// One record is meant, but only a kind is named.
    #[error("{0:?} names no record; write KIND/NAME, such as user/joe")]
    NoName(String),
}

impl FromStr for Reference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        let (kind, name) =
            text.split_once('/').map_or((text, None), |(kind, name)| (kind, Some(name.to_owned())));
        let kind = Kind::parse(kind).ok_or_else(|| ResourceError::UnknownKind(kind.trim().to_owned()))?;
        if let Some(name) = &name {
            check_name(kind, name)?;
        }
        Ok(Self { kind, name })
    }
}

impl FromStr for One {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        let Reference { kind, name } = text.parse()?;
        let name = name.ok_or_else(|| ReferenceError::NoName(text.to_owned()))?;
        Ok(Self { kind, name })
    }
}

impl FromStr for References {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        if text.trim().eq_ignore_ascii_case("all") {
            // What is printed is meant to be made again; servers make themselves known.
            let made = |kind: &Kind| !matches!(kind, Kind::Proxy | Kind::AuthServer);
            let all = Kind::ALL.into_iter().filter(made);
            return Ok(Self(all.map(|kind| Reference { kind, name: None }).collect()));
        }
        text.split(',').map(str::parse).collect::<Result<_, _>>().map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reference(kind: Kind, name: Option<&str>) -> Reference {
        Reference { kind, name: name.map(str::to_owned) }
    }

    #[test]
    fn kinds_with_and_without_a_name() {
        assert_eq!("users".parse(), Ok(reference(Kind::User, None)));
        assert_eq!("users/admin".parse(), Ok(reference(Kind::User, Some("admin"))));
        let both = References(vec![reference(Kind::User, Some("joe")), reference(Kind::Role, None)]);
        assert_eq!("user/joe,roles".parse(), Ok(both));
        let all: References = "all".parse().unwrap();
        assert_eq!(all.0.len(), Kind::ALL.len() - 2);
        let servers = [Kind::Proxy, Kind::AuthServer];
        assert!(!all.0.iter().any(|reference| servers.contains(&reference.kind)));
    }

    #[test]
    fn what_names_nothing_is_refused_with_the_choices() {
        let error = "spoon/x".parse::<Reference>().unwrap_err().to_string();
        assert!(error.contains("spoon") && error.contains("user, role, token"), "{error}");
        assert!("user/".parse::<Reference>().is_err());
        assert!("user/a/b".parse::<Reference>().is_err());
        assert!("user,".parse::<References>().is_err());
        assert!("user".parse::<One>().unwrap_err().to_string().contains("user/joe"));
        assert_eq!("role/x".parse(), Ok(One { kind: Kind::Role, name: "x".into() }));
    }
}
