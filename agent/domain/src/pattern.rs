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
    /// A glob: the texts between its stars, in their order. It needs no regular expression, which would take longer
    /// to compile than the rest of a decision.
    Glob(Vec<String>),
    /// A regular expression, anchored at both ends.
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
        let Some(inner) = inner else {
            return Ok(match text.contains('*') {
                true => Self::Glob(text.split('*').map(str::to_owned).collect()),
                false => Self::Literal(text.to_owned()),
            });
        };
        // By itself first: a parenthesis must not close the group it is put in. The group is there because the
        // anchors would belong to the first and the last of several alternatives only.
        compiled(inner).map_err(wrong)?;
        compiled(&format!("^(?:{inner})$")).map(|regex| Self::Expression(Box::new(regex))).map_err(wrong)
    }

    /// Whether the pattern matches the whole of `text`.
    pub fn matches(&self, text: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Literal(literal) => literal == text,
            Self::Glob(texts) => glob_matches(texts, text),
            // `$` would also match before a final newline only in multi-line mode, which is off.
            Self::Expression(regex) => regex.is_match(text),
        }
    }
}

/// Whether these follow each other in the text, the first at its beginning and the last at its end. Each is taken
/// where it comes first, which leaves the most to the others.
fn glob_matches<'a>(texts: &[String], text: &'a str) -> bool {
    let [first, middle @ .., last] = texts else { return false };
    let within = text.strip_prefix(first.as_str()).and_then(|rest| rest.strip_suffix(last.as_str()));
    let past = |rest: &'a str, next: &String| rest.split_once(next.as_str()).map(|(_, rest)| rest);
    within.and_then(|within| middle.iter().try_fold(within, past)).is_some()
}

fn compiled(expression: &str) -> Result<Regex, regex::Error> {
    regex::RegexBuilder::new(expression).size_limit(64 * 1024).build()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

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

    proptest! {
        /// The same as the regular expression it stands for.
        #[test]
        fn a_glob_is_each_star_for_any_text(glob in "[ab.\n*]{0,7}\\*[ab.\n*]{0,7}", text in "[ab.\n]{0,12}") {
            let texts: Vec<_> = glob.split('*').map(regex::escape).collect();
            let expression = compiled(&format!("^{}$", texts.join("(?s:.*)"))).unwrap();
            prop_assert_eq!(matches(&glob, &text), expression.is_match(&text));
        }
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
