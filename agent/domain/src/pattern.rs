//! Patterns in roles: a literal, a glob with `*`, or a regular expression between `^` and `$`.
//!
//! One rule for logins, label values and names, so an operator learns it once.

use regex::Regex;

/// A compiled pattern.
#[derive(Debug, Clone)]
pub enum Pattern {
    /// Matches everything: `*`.
    Any,
    /// Matches exactly this text.
    Literal(String),
    /// A glob or regular expression, anchored at both ends.
    Expression(Box<Regex>),
}

/// Why a pattern cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{pattern:?} is not a valid pattern: {reason}")]
pub struct PatternError {
    pattern: String,
    reason: String,
}

impl Pattern {
    /// Compiles a pattern. Text without `*` and without `^…$` is a literal.
    ///
    /// # Errors
    /// [`PatternError`] when a regular expression does not compile or is too large.
    pub fn new(text: &str) -> Result<Self, PatternError> {
        if text == "*" {
            return Ok(Self::Any);
        }
        let wrong =
            |error: regex::Error| PatternError { pattern: text.to_owned(), reason: error.to_string() };
        let inner = text.strip_prefix('^').and_then(|text| text.strip_suffix('$'));
        let expression = if let Some(inner) = inner {
            // By itself first: a parenthesis must not close the group it is put in. The group is there because the
            // anchors would belong to the first and the last of several alternatives only.
            compiled(inner).map_err(wrong)?;
            format!("^(?:{inner})$")
        } else if text.contains('*') {
            let parts: Vec<_> = text.split('*').map(regex::escape).collect();
            format!("^{}$", parts.join("(?s:.*)"))
        } else {
            return Ok(Self::Literal(text.to_owned()));
        };
        compiled(&expression).map(|regex| Self::Expression(Box::new(regex))).map_err(wrong)
    }

    /// Whether the pattern matches the whole of `text`.
    pub fn matches(&self, text: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Literal(literal) => literal == text,
            // `$` would also match before a final newline only in multi-line mode, which is off.
            Self::Expression(regex) => regex.is_match(text),
        }
    }
}

fn compiled(expression: &str) -> Result<Regex, regex::Error> {
    regex::RegexBuilder::new(expression).size_limit(64 * 1024).build()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, text: &str) -> bool {
        Pattern::new(pattern).unwrap().matches(text)
    }

    #[test]
    fn literals_match_themselves_only() {
        assert!(matches("root", "root"));
        assert!(!matches("root", "rooted"));
        assert!(!matches("ro.t", "root"), "a dot is a dot");
    }

    #[test]
    fn globs_are_anchored() {
        assert!(matches("dev-*", "dev-1"));
        assert!(!matches("dev-*", "my-dev-1"));
        assert!(matches("*", ""));
        assert!(!matches("dev-*", "prod\ndev-1"));
    }

    #[test]
    fn regular_expressions_need_both_anchors() {
        assert!(matches("^us-(east|west)$", "us-east"));
        assert!(!matches("^us-(east|west)$", "us-east-1"));
        assert!(!matches("^us-(east|west)$", "us-east\n"));
        assert!(Pattern::new("^(unclosed$").is_err());
        assert!(Pattern::new("^a)|(b$").is_err(), "the group is not left");
    }

    #[test]
    fn each_alternative_is_anchored_at_both_ends() {
        for whole in ["web", "db"] {
            assert!(matches("^web|db$", whole));
        }
        for longer in ["webmaster", "mydb", "web\n"] {
            assert!(!matches("^web|db$", longer), "{longer}");
        }
    }
}
