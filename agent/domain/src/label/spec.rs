//! Labels on the command line: `env=prod,uptime=[1m:"uptime -p"],kernel=[1h:"uname -r"]`.
//!
//! A comma inside brackets or quotes does not split. The command is split on spaces, quotes group
//! words; no shell is involved.

use std::time::Duration;

use super::{DEFAULT_PROVIDER, DynamicLabel, LabelError, Labels, MIN_PERIOD, check_key, check_value};
use crate::duration::{self, DurationError};
use crate::plugin::capability::{ArgvError, check_argv};

/// Static and dynamic labels of one `--labels` value.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LabelSpec {
    /// `key=value` pairs.
    pub fixed: Labels,
    /// `key=[period:command]` entries.
    pub dynamic: Vec<DynamicLabel>,
    /// The names of dynamic labels whose period was raised to the shortest there is.
    pub raised: Vec<String>,
}

/// Why a `--labels` value cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SpecError {
    /// No `=` in an entry.
    #[error("label {0:?} has no value; write it as key=value or key=[1m:\"command\"]")]
    NoValue(String),
    /// The key breaks the rule.
    #[error(transparent)]
    Key(#[from] LabelError),
    /// The value breaks the rule.
    #[error("label {key:?} {source}")]
    Value {
        /// The label.
        key: String,
        /// The rule.
        source: LabelError,
    },
    /// A key twice.
    #[error("label {0:?} is given twice")]
    Duplicate(String),
    /// A bracket or quote that is never closed.
    #[error("label {0:?}: a bracket or quote is not closed")]
    Unclosed(String),
    /// `[…]` without a period.
    #[error("label {0:?}: a dynamic label is written as [period:command], for example [1m:\"uptime -p\"]")]
    NoPeriod(String),
    /// A period that is no duration.
    #[error("label {key:?}: {source}")]
    Period {
        /// The label.
        key: String,
        /// What is wrong with the period.
        source: DurationError,
    },
    /// Nothing to run.
    #[error("label {0:?}: the command is empty")]
    NoCommand(String),
    /// A command the operating system would not take.
    #[error("label {key:?}: {source}")]
    Command {
        /// The label.
        key: String,
        /// The rule.
        source: ArgvError,
    },
}

/// Reads a `--labels` value.
///
/// # Errors
/// [`SpecError`] names the entry at fault.
pub fn parse(text: &str) -> Result<LabelSpec, SpecError> {
    let mut spec = LabelSpec::default();
    for entry in split_entries(text)? {
        let (key, value) = entry.split_once('=').ok_or_else(|| SpecError::NoValue(entry.to_owned()))?;
        let (key, value) = (key.trim(), value.trim());
        check_key(key)?;
        if spec.fixed.value(key).is_some() || spec.dynamic.iter().any(|label| label.name == key) {
            return Err(SpecError::Duplicate(key.to_owned()));
        }
        match value.strip_prefix('[') {
            Some(inner) => {
                let (period, label) = dynamic(key, inner)?;
                spec.raised.extend((period < label.period).then(|| key.to_owned()));
                spec.dynamic.push(label);
            }
            None => {
                spec.fixed.0.insert(key.to_owned(), fixed(key, unquoted(value))?);
            }
        }
    }
    Ok(spec)
}

fn fixed(key: &str, value: &str) -> Result<String, SpecError> {
    check_value(value).map_err(|source| SpecError::Value { key: key.to_owned(), source })?;
    Ok(value.to_owned())
}

/// The label, and its period as it was written.
fn dynamic(key: &str, inner: &str) -> Result<(Duration, DynamicLabel), SpecError> {
    let unclosed = || SpecError::Unclosed(key.to_owned());
    let inner = inner.strip_suffix(']').ok_or_else(unclosed)?;
    let (written, command) = inner.split_once(':').ok_or_else(|| SpecError::NoPeriod(key.to_owned()))?;
    let written =
        duration::parse(written).map_err(|source| SpecError::Period { key: key.to_owned(), source })?;
    let command = split_words(unquoted(command.trim())).ok_or_else(unclosed)?;
    if command.is_empty() {
        return Err(SpecError::NoCommand(key.to_owned()));
    }
    check_argv(&command).map_err(|source| SpecError::Command { key: key.to_owned(), source })?;
    let (name, plugin) = (key.to_owned(), DEFAULT_PROVIDER.to_owned());
    Ok((written, DynamicLabel { name, command, period: written.max(MIN_PERIOD), plugin }))
}

/// Splits at commas outside brackets and quotes.
fn split_entries(text: &str) -> Result<Vec<&str>, SpecError> {
    let (mut entries, mut start, mut depth, mut quote) = (Vec::new(), 0, 0usize, None);
    for (at, c) in text.char_indices() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(c),
            (None, '[') => depth += 1,
            (None, ']') => depth = depth.saturating_sub(1),
            (None, ',') if depth == 0 => {
                entries.push(text.get(start..at).unwrap_or_default());
                start = at + 1;
            }
            _ => {}
        }
    }
    let last = text.get(start..).unwrap_or_default();
    if quote.is_some() || depth > 0 {
        return Err(SpecError::Unclosed(last.to_owned()));
    }
    entries.push(last);
    entries.retain(|entry| !entry.trim().is_empty());
    Ok(entries)
}

/// Splits a command into words; single or double quotes group. `None` when a quote stays open.
fn split_words(command: &str) -> Option<Vec<String>> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    for c in command.chars() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (None, '"' | '\'') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, c) if c.is_whitespace() => words.extend(word.take()),
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    quote.is_none().then_some(words)
}

fn unquoted(text: &str) -> &str {
    let strip = |quote| text.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote));
    strip('"').or_else(|| strip('\'')).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_the_seed_example() {
        let spec = parse(r#"uptime=[1m:"uptime -p"],kernel=[1h:"uname -r"],env=prod"#).unwrap();
        assert_eq!(spec.fixed.to_string(), "env=prod");
        let uptime = spec.dynamic.first().unwrap();
        assert_eq!((uptime.name.as_str(), uptime.period), ("uptime", Duration::from_secs(60)));
        assert_eq!(uptime.command, ["uptime", "-p"]);
        assert_eq!(spec.dynamic.get(1).unwrap().command, ["uname", "-r"]);
    }

    #[test]
    fn commas_inside_brackets_and_quotes_do_not_split() {
        let spec = parse(r#"a=[1s:"sh -c 'echo x,y'"],b="1,2""#).unwrap();
        assert_eq!(spec.dynamic.first().unwrap().command, ["sh", "-c", "echo x,y"]);
        assert_eq!(spec.fixed.value("b"), Some("1,2"));
    }

    #[test]
    fn short_periods_are_raised_to_one_second_and_told() {
        let spec = parse("a=[10ms:true],b=[1s:true],c=[999ms:true]").unwrap();
        assert!(spec.dynamic.iter().all(|label| label.period == MIN_PERIOD));
        assert_eq!(spec.raised, ["a", "c"]);
    }

    #[test]
    fn every_slip_has_its_own_error() {
        assert!(matches!(parse("novalue"), Err(SpecError::NoValue(_))));
        assert!(matches!(parse("a b=1"), Err(SpecError::Key(_))));
        assert!(matches!(parse("a=1,a=2"), Err(SpecError::Duplicate(_))));
        assert!(matches!(parse("a=[1m:x"), Err(SpecError::Unclosed(_))));
        assert!(matches!(parse("a=[uptime]"), Err(SpecError::NoPeriod(_))));
        assert!(matches!(parse("a=[1:x]"), Err(SpecError::Period { .. })));
        assert!(matches!(parse("a=[1m:]"), Err(SpecError::NoCommand(_))));
        assert!(matches!(parse("a=\"x"), Err(SpecError::Unclosed(_))));
        assert!(matches!(parse("a=x\u{1b}y"), Err(SpecError::Value { .. })));
        assert!(matches!(parse(&format!("a={}", "x".repeat(5000))), Err(SpecError::Value { .. })));
        assert!(matches!(parse("a=[1m:\"a \0\"]"), Err(SpecError::Command { .. })));
        assert!(matches!(parse("a=[1m:\"'' a\"]"), Err(SpecError::Command { .. })));
    }

    proptest! {
        #[test]
        fn no_text_panics(text in ".{0,60}") {
            let _ = parse(&text);
        }
    }
}
