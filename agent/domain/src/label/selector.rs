//! Which labels a role accepts: `node_labels` of a role, compiled.
//!
//! Keys are all required; the values of one key are alternatives. `'*': '*'` accepts every node.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Labels;
use crate::pattern::{Pattern, PatternError};

/// One value or a list of values, as files write it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OneOrMany(pub Vec<String>);

impl Serialize for OneOrMany {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0.as_slice() {
            [one] => serializer.serialize_str(one),
            many => many.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for OneOrMany {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(OneOrManyVisitor)
    }
}

/// Written out rather than derived as an untagged enum, which would hide where an error is.
struct OneOrManyVisitor;

impl<'de> serde::de::Visitor<'de> for OneOrManyVisitor {
    type Value = OneOrMany;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a text or a list of texts")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<OneOrMany, E> {
        Ok(OneOrMany(vec![text.to_owned()]))
    }

    fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut list: A) -> Result<OneOrMany, A::Error> {
        let mut texts = Vec::new();
        while let Some(text) = list.next_element::<String>()? {
            texts.push(text);
        }
        Ok(OneOrMany(texts))
    }
}

/// `node_labels` as written.
pub type SelectorText = BTreeMap<String, OneOrMany>;

/// `node_labels`, ready to match.
#[derive(Debug, Clone, Default)]
pub struct Selector(Vec<(String, Vec<Pattern>)>);

impl Selector {
    /// Compiles the patterns.
    ///
    /// # Errors
    /// The first [`PatternError`].
    pub fn new(text: &SelectorText) -> Result<Self, PatternError> {
        let compile = |values: &OneOrMany| values.0.iter().map(|v| Pattern::new(v)).collect::<Result<_, _>>();
        text.iter()
            .map(|(key, values)| Ok((key.clone(), compile(values)?)))
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// Whether every key is satisfied. An empty selector matches nothing, so that a role without
    /// `node_labels` gives no node away.
    pub fn matches(&self, labels: &Labels) -> bool {
        !self.0.is_empty() && self.0.iter().all(|(key, patterns)| key_matches(key, patterns, labels))
    }
}

fn key_matches(key: &str, patterns: &[Pattern], labels: &Labels) -> bool {
    let any_value = patterns.iter().any(|pattern| matches!(pattern, Pattern::Any));
    if key == "*" {
        return any_value;
    }
    labels.value(key).is_some_and(|value| patterns.iter().any(|pattern| pattern.matches(value)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selector(pairs: &[(&str, &[&str])]) -> Selector {
        let text = pairs
            .iter()
            .map(|(k, vs)| ((*k).to_owned(), OneOrMany(vs.iter().map(|v| (*v).to_owned()).collect())))
            .collect();
        Selector::new(&text).unwrap()
    }

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        pairs.iter().copied().collect()
    }

    #[test]
    fn star_star_matches_every_node_even_without_labels() {
        assert!(selector(&[("*", &["*"])]).matches(&labels(&[])));
    }

    #[test]
    fn an_empty_selector_matches_nothing() {
        assert!(!selector(&[]).matches(&labels(&[("env", "dev")])));
    }

    #[test]
    fn keys_are_all_needed_and_values_are_alternatives() {
        let selector = selector(&[("env", &["dev", "st*"]), ("team", &["db"])]);
        assert!(selector.matches(&labels(&[("env", "stage"), ("team", "db")])));
        assert!(!selector.matches(&labels(&[("env", "prod"), ("team", "db")])));
        assert!(!selector.matches(&labels(&[("env", "dev")])));
    }

    #[test]
    fn a_key_with_any_value_still_needs_the_key() {
        assert!(!selector(&[("env", &["*"])]).matches(&labels(&[("team", "db")])));
        assert!(
            !selector(&[("*", &["prod"])]).matches(&labels(&[("env", "prod")])),
            "a star key needs a star value"
        );
    }
}
