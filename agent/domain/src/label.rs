//! Labels of a node: static ones from the operator, dynamic ones from a plugin run now and then.
//!
//! This module holds the value and its rules; [`selector`] decides which labels a role accepts,
//! [`spec`] reads labels from the command line. Running the dynamic ones is the node service's work.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::printable::is_printable;

pub mod selector;
pub mod spec;

/// Where an unfit host name is kept after the host's UUID took its place.
pub const INVALID_HOSTNAME: &str = "teleport.internal/invalid-hostname";

/// The shortest period of a dynamic label; a shorter one is raised to it.
pub const MIN_PERIOD: Duration = Duration::from_secs(1);

/// The longest value kept, in bytes. Longer output is cut at a character boundary.
pub const VALUE_MAX: usize = 4096;

/// The most labels one node may carry.
pub const LABELS_MAX: usize = 256;

/// Key and value pairs, in key order.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Labels(pub BTreeMap<String, String>);

impl Labels {
    /// The value of a label.
    pub fn value(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The pairs in key order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// Without the labels the product keeps for itself.
    pub fn without_internal(&self) -> Self {
        Self(
            self.0.iter().filter(|(key, _)| !is_internal(key)).map(|(k, v)| (k.clone(), v.clone())).collect(),
        )
    }
}

impl fmt::Display for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (key, value)) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(f, "{comma}{key}={value}")?;
        }
        Ok(())
    }
}

impl<K: Into<String>, V: Into<String>> FromIterator<(K, V)> for Labels {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(pairs: I) -> Self {
        Self(pairs.into_iter().map(|(key, value)| (key.into(), value.into())).collect())
    }
}

/// A label that is computed now and then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DynamicLabel {
    /// The key.
    pub name: String,
    /// What the provider is asked to run or to look at: for `label-command`, the argv.
    pub command: Vec<String>,
    /// How often; at least [`MIN_PERIOD`].
    pub period: Duration,
    /// Which label plugin provides it; `label-command` unless the operator says otherwise.
    pub plugin: String,
}

/// The plugin that provides a dynamic label when none is named.
pub const DEFAULT_PROVIDER: &str = "label-command";

/// Why a label cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LabelError {
    /// The key breaks the rule.
    #[error("label key {0:?} is not allowed: use letters, digits and the characters / . _ - * :")]
    Key(String),
    /// The product keeps this prefix for itself.
    #[error("label key {0:?} is reserved: keys starting with teleport.internal/ are set by the cluster")]
    Reserved(String),
    /// The value is too long, or would not show as one line.
    #[error("must be one line of at most {VALUE_MAX} printable bytes")]
    Value,
}

/// Checks a key an operator wrote.
///
/// # Errors
/// [`LabelError`] with the rule.
pub fn check_key(key: &str) -> Result<(), LabelError> {
    let fits = |b: u8| b.is_ascii_alphanumeric() || b"/._-*:".contains(&b);
    if key.is_empty() || key.len() > 256 || !key.bytes().all(fits) {
        return Err(LabelError::Key(key.to_owned()));
    }
    if is_internal(key) { Err(LabelError::Reserved(key.to_owned())) } else { Ok(()) }
}

/// Checks a value an operator wrote. What a provider computes is cut to fit instead: [`clean_value`].
///
/// # Errors
/// [`LabelError::Value`], which does not name the key.
pub fn check_value(value: &str) -> Result<(), LabelError> {
    let fits = value.len() <= VALUE_MAX && value.chars().all(is_printable);
    if fits { Ok(()) } else { Err(LabelError::Value) }
}

/// Whether the product keeps this label for itself.
pub fn is_internal(key: &str) -> bool {
    key.starts_with("teleport.internal/")
}

/// Makes a label value of a provider's output: trimmed, one line, bounded, no control characters.
///
/// A label is shown on terminals and matched in roles, so an escape sequence must not get through.
pub fn clean_value(output: &str) -> String {
    let mut value = String::new();
    for c in output.trim().chars() {
        let c = if c == '\n' || c == '\t' { ' ' } else { c };
        if c.is_control() {
            continue;
        }
        if value.len() + c.len_utf8() > VALUE_MAX {
            break;
        }
        value.push(c);
    }
    value
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn prints_as_the_seeds_show() {
        let labels: Labels = [("kernel", "3.19"), ("uptime", "up 1 hour, 15 minutes")].into_iter().collect();
        assert_eq!(labels.to_string(), "kernel=3.19,uptime=up 1 hour, 15 minutes");
    }

    #[test]
    fn keys_follow_the_charset() {
        assert!(check_key("aws/Name-1_x.y:z*").is_ok());
        assert_eq!(check_key("a b"), Err(LabelError::Key("a b".into())));
        assert_eq!(check_key(""), Err(LabelError::Key("".into())));
        assert!(matches!(check_key(INVALID_HOSTNAME), Err(LabelError::Reserved(_))));
    }

    #[test]
    fn values_are_one_printable_line() {
        assert!(check_value("").is_ok() && check_value(&"x".repeat(VALUE_MAX)).is_ok());
        for wrong in ["a\nb", "\u{1b}[2J", "\u{202e}", &"é".repeat(VALUE_MAX / 2 + 1)] {
            assert_eq!(check_value(wrong), Err(LabelError::Value), "{wrong:?}");
        }
    }

    #[test]
    fn values_lose_control_characters_and_line_breaks() {
        assert_eq!(clean_value("  a\nb\u{1b}[31mc\r\n"), "a b[31mc");
        assert_eq!(clean_value(&"é".repeat(4000)).len(), VALUE_MAX);
    }

    proptest! {
        #[test]
        fn clean_values_are_printable_and_bounded(output in ".{0,200}") {
            let value = clean_value(&output);
            prop_assert!(value.len() <= VALUE_MAX && !value.chars().any(char::is_control));
        }
    }
}
