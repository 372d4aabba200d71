//! Questions about hosts: `labels["env"] == "prod" && !search("old")`, as `tctl nodes ls --query` takes them.
//!
//! Texts are `name` (a host's name), `labels["key"]` or `labels.key` (empty when there is no such label) and
//! `"…"`. They are compared by `==`, `!=` or `equals(a, b)`; `search("a", "b")` is true where all of the words
//! are found, whatever their case. `!` binds before `&&`, and that before `||`; parentheses group. It filters
//! what somebody may see already, and decides about no access.

use std::fmt;

use crate::label::Labels;

mod parser;

/// The longest query, in bytes.
pub const LENGTH_MAX: usize = 4096;
/// How deep parentheses and negations may be nested.
pub const DEPTH_MAX: usize = 32;

/// What a query is asked of.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// The name people know it by.
    pub name: &'a str,
    /// Its labels.
    pub labels: &'a Labels,
    /// All the text that words are looked for in.
    pub text: &'a str,
}

/// A query that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query(Condition);

/// Why a query cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    /// Too much of it.
    #[error("the query is longer than {LENGTH_MAX} bytes")]
    TooLong,
    /// Parentheses in parentheses, without end.
    #[error("column {0}: parentheses and negations are nested deeper than {DEPTH_MAX}")]
    TooDeep(usize),
    /// Something else stands there.
    #[error("column {column}: expected {expected}, found {found}")]
    Unexpected {
        /// Where, in characters, from 1.
        column: usize,
        /// What could stand there.
        expected: &'static str,
        /// What does.
        found: String,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Condition {
    Any(Vec<Condition>),
    All(Vec<Condition>),
    Not(Box<Condition>),
    Equal(Text, Text),
    Search(Vec<String>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Text {
    Name,
    Label(String),
    Fixed(String),
}

impl Query {
    /// Reads a query.
    ///
    /// # Errors
    /// [`QueryError`] with the column and what could have stood there.
    pub fn parse(text: &str) -> Result<Self, QueryError> {
        parser::parse(text).map(Self)
    }

    /// Whether the answer is yes.
    pub fn matches(&self, subject: Subject<'_>) -> bool {
        self.0.holds(subject)
    }
}

impl Condition {
    /// As deep as [`DEPTH_MAX`] allows and no deeper.
    fn holds(&self, subject: Subject<'_>) -> bool {
        match self {
            Self::Any(some) => some.iter().any(|one| one.holds(subject)),
            Self::All(every) => every.iter().all(|one| one.holds(subject)),
            Self::Not(other) => !other.holds(subject),
            Self::Equal(a, b) => a.of(subject) == b.of(subject),
            Self::Search(words) => {
                let text = subject.text.to_lowercase();
                words.iter().all(|word| text.contains(&word.to_lowercase()))
            }
        }
    }
}

impl Text {
    fn of<'a>(&'a self, subject: Subject<'a>) -> &'a str {
        match self {
            Self::Name => subject.name,
            Self::Label(key) => subject.labels.value(key).unwrap_or_default(),
            Self::Fixed(text) => text,
        }
    }
}

/// As it could have been written; reading that gives the same query.
impl fmt::Display for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let joined = |list: &[Self], sign: &str| {
            list.iter().map(|one| format!("({one})")).collect::<Vec<_>>().join(sign)
        };
        match self {
            Self::Any(some) => f.write_str(&joined(some, " || ")),
            Self::All(every) => f.write_str(&joined(every, " && ")),
            Self::Not(other) => write!(f, "!({other})"),
            Self::Equal(a, b) => write!(f, "{a} == {b}"),
            Self::Search(words) => {
                let words: Vec<String> = words.iter().map(|word| quoted(word)).collect();
                write!(f, "search({})", words.join(", "))
            }
        }
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name => f.write_str("name"),
            Self::Label(key) => write!(f, "labels[{}]", quoted(key)),
            Self::Fixed(text) => f.write_str(&quoted(text)),
        }
    }
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests;
