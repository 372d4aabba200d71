//! Secrets as they may appear in a log: join tokens by their beginning, all else not at all.
//!
//! Called wherever a value that opens something must be named to a person. A value that must never
//! be shown is a `domain::secret::Secret` and does not get here.

use std::fmt;

/// How much of a token is shown.
const SHOWN: usize = 4;

/// The fewest characters that must stay hidden; a shorter token is not shown at all.
const HIDDEN_MIN: usize = 8;

/// A join token as people may see it: its first four characters, enough to tell two apart.
///
/// A token of which fewer than eight characters would stay hidden is not shown at all.
pub fn token(value: &str) -> String {
    let shown: String = value.chars().take(SHOWN).filter(|c| c.is_ascii_graphic()).collect();
    let long_enough = value.chars().count() >= SHOWN + HIDDEN_MIN;
    if long_enough && shown.len() == SHOWN { format!("{shown}…") } else { "…".to_owned() }
}

/// A value that is carried along and never printed: `Display` and `Debug` show `[redacted]`.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Redacted<T>(pub T);

impl<T> fmt::Debug for Redacted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl<T> fmt::Display for Redacted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_shows_its_beginning_only() {
        assert_eq!(token("6fc5545ab78c2ea978caabef9dbd08a5"), "6fc5…");
    }

    #[test]
    fn a_short_or_odd_token_shows_nothing() {
        for secret in ["", "abcd", "secret-1", "elevenchars", "\u{1b}[2Jaaaaaaaaaaaa", "äöüßaaaaaaaaaaaa"]
        {
            assert_eq!(token(secret), "…", "{secret:?}");
        }
    }

    #[test]
    fn a_redacted_value_prints_nothing_of_itself() {
        let value = Redacted("hunter2");
        assert_eq!(format!("{value} {value:?} {value:#?}"), "[redacted] [redacted] [redacted]");
    }
}
