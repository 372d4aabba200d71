//! The name of a plugin, which is also the name of its folder.

use std::fmt;

use serde::{Deserialize, Serialize, de::Error};

/// The longest name, in bytes.
pub const NAME_MAX: usize = 64;

/// A name that is safe as a folder, a configuration key and a metric label: lower-case letters,
/// digits and single hyphens, beginning with a letter.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct PluginName(String);

/// Why a text cannot name a plugin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} cannot name a plugin: use lower-case letters, digits and single hyphens, \
     beginning with a letter, at most {NAME_MAX} of them"
)]
pub struct NameError(pub String);

impl PluginName {
    /// Checks a name.
    ///
    /// # Errors
    /// [`NameError`] with the rule.
    pub fn new(name: impl Into<String>) -> Result<Self, NameError> {
        let name = name.into();
        if is_fit(&name) { Ok(Self(name)) } else { Err(NameError(name)) }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The label by which a plugin opens a secret: lower-case letters, digits, hyphens and underscores,
/// beginning with a letter.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct SecretLabel(String);

/// Why a text cannot label a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} cannot label a secret: use lower-case letters, digits, hyphens and underscores, \
     beginning with a letter, at most {NAME_MAX} of them"
)]
pub struct LabelError(pub String);

impl SecretLabel {
    /// Checks a label.
    ///
    /// # Errors
    /// [`LabelError`] with the rule.
    pub fn new(label: impl Into<String>) -> Result<Self, LabelError> {
        let label = label.into();
        let byte = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_".contains(&byte);
        let fits = label.len() <= NAME_MAX
            && label.as_bytes().first().is_some_and(u8::is_ascii_lowercase)
            && label.bytes().all(byte);
        if fits { Ok(Self(label)) } else { Err(LabelError(label)) }
    }

    /// The label as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SecretLabel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for SecretLabel {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

pub(super) fn is_fit(name: &str) -> bool {
    let word = |word: &str| {
        !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
    };
    name.len() <= NAME_MAX
        && name.as_bytes().first().is_some_and(u8::is_ascii_lowercase)
        && name.split('-').all(word)
}

impl fmt::Display for PluginName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for PluginName {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_are_plain_words() {
        for good in ["a", "label-command", "storage-s3", "a1-2", &"a".repeat(NAME_MAX)] {
            assert!(PluginName::new(good).is_ok(), "{good}");
        }
        for bad in ["", "-a", "a-", "a--b", "1a", "A", "a_b", "a.b", "a/b", "ä", &"a".repeat(NAME_MAX + 1)] {
            assert_eq!(PluginName::new(bad), Err(NameError(bad.to_owned())));
        }
    }

    #[test]
    fn no_name_leaves_its_folder() {
        for bad in ["..", ".", "../x", "a/../b", "/etc", "a\0", "a\n", "~"] {
            assert!(PluginName::new(bad).is_err(), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn an_accepted_name_is_one_path_component(text in "[a-z0-9./~-]{0,8}") {
            if let Ok(name) = PluginName::new(text) {
                let path = std::path::Path::new(name.as_str());
                prop_assert_eq!(path.components().count(), 1);
                prop_assert!(matches!(path.components().next(), Some(std::path::Component::Normal(_))));
            }
        }
    }
}
