//! A plugin's own configuration: which keys it reads, as its manifest lists them, and what the operator
//! wrote under `config`, checked against that list before the plugin runs.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{PluginName, size};
use crate::duration;
use crate::printable::is_printable;

/// The most keys a plugin may read.
pub const KEYS_MAX: usize = 64;

/// The longest value, in bytes.
pub const VALUE_MAX: usize = 16 * 1024;

/// What kind of value a key takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Any text.
    Text,
    /// A whole number.
    Number,
    /// Yes or no; the plugin reads `true` or `false`.
    Flag,
    /// Like `5s`.
    Duration,
    /// Like `32MiB`.
    Size,
    /// Texts; the plugin reads them joined by line feeds.
    List,
}

impl Kind {
    /// What it takes, in words.
    pub fn form(self) -> &'static str {
        match self {
            Self::Text => "a text",
            Self::Number => "a whole number",
            Self::Flag => "yes or no",
            Self::Duration => "a duration like 5s",
            Self::Size => "a size like 32MiB",
            Self::List => "a list of texts",
        }
    }

    /// A value of this kind as YAML, for somebody to replace.
    fn placeholder(self) -> &'static str {
        match self {
            Self::Text => "TEXT",
            Self::Number => "0",
            Self::Flag => "no",
            Self::Duration => "0s",
            Self::Size => "0",
            Self::List => "[TEXT]",
        }
    }
}

/// One key a plugin reads.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Key {
    /// What it takes.
    #[serde(rename = "type")]
    pub kind: Kind,
    /// Whether the operator must write it.
    #[serde(default)]
    pub required: bool,
    /// What holds when it is left out, as the plugin reads it.
    #[serde(default)]
    pub default: Option<String>,
    /// One line for the operator.
    pub description: String,
}

/// Every key a plugin reads.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Schema(pub BTreeMap<String, Key>);

/// Why a list of keys cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SchemaError {
    /// More than anyone writes.
    #[error("config has more than {KEYS_MAX} keys")]
    Keys,
    /// A key nobody can write.
    #[error("config key {0:?} must be 1 to 64 lower-case letters, digits and underscores")]
    Name(String),
    /// A text nobody should print.
    #[error("the description of config key {0} must be one line of 1 to 512 bytes")]
    Description(String),
    /// A default of another kind, or for a key that must be written.
    #[error("the default of config key {key} must be {form}, and a required key has none")]
    Default {
        /// The key.
        key: String,
        /// What it takes.
        form: &'static str,
    },
}

/// A value as the operator wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Written {
    /// One text, number or flag.
    One(String),
    /// A list.
    Many(Vec<String>),
}

/// Why what the operator wrote is not what the plugin reads.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// A key the plugin does not read.
    #[error("{}; change teleport.plugins.load.{plugin}.config", self.reason())]
    Unknown {
        /// The plugin.
        plugin: PluginName,
        /// The key as written.
        key: String,
        /// The keys there are.
        known: String,
    },
    /// A value of another kind.
    #[error("{}; change teleport.plugins.load.{plugin}.config.{key}", self.reason())]
    Form {
        /// The plugin.
        plugin: PluginName,
        /// The key.
        key: String,
        /// What it takes.
        form: &'static str,
        /// What it is for.
        description: String,
    },
    /// A key that must be written and is not.
    #[error("{}; add it under teleport.plugins.load.{plugin}.config", self.reason())]
    Missing {
        /// The plugin.
        plugin: PluginName,
        /// The key.
        key: String,
        /// What it is for.
        description: String,
    },
}

impl ConfigError {
    /// What is wrong, without where the operator mends it: an author who tries a plugin writes it elsewhere.
    pub fn reason(&self) -> String {
        match self {
            Self::Unknown { plugin, key, known } => {
                format!("plugin {plugin} reads no config key {key:?}; it reads {known}")
            }
            Self::Form { plugin, key, form, description } => {
                format!("config key {key} of plugin {plugin} takes {form} ({description})")
            }
            Self::Missing { plugin, key, description } => {
                format!("plugin {plugin} needs config key {key} ({description})")
            }
        }
    }
}

impl Schema {
    /// Checks what a manifest says.
    ///
    /// # Errors
    /// [`SchemaError`] names the first key at fault.
    pub fn check(&self) -> Result<(), SchemaError> {
        if self.0.len() > KEYS_MAX {
            return Err(SchemaError::Keys);
        }
        for (name, key) in &self.0 {
            let byte = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
            if name.is_empty() || name.len() > 64 || !name.bytes().all(byte) {
                return Err(SchemaError::Name(name.clone()));
            }
            let text = &key.description;
            if text.trim().is_empty() || text.len() > 512 || !text.chars().all(is_printable) {
                return Err(SchemaError::Description(name.clone()));
            }
            let fits = key.default.as_ref().is_none_or(|text| {
                !key.required
                    && (key.kind == Kind::List || read(key.kind, text).is_some_and(|same| same == *text))
            });
            if !fits {
                return Err(SchemaError::Default { key: name.clone(), form: key.kind.form() });
            }
        }
        Ok(())
    }

    /// What the plugin reads, with its defaults.
    ///
    /// # Errors
    /// [`ConfigError`] names the first key at fault.
    pub fn resolve(
        &self,
        plugin: &PluginName,
        written: &BTreeMap<String, Written>,
    ) -> Result<BTreeMap<String, String>, ConfigError> {
        let mut values = BTreeMap::new();
        for (name, value) in self.read(plugin, written) {
            values.extend(value?.map(|value| (name, value)));
        }
        Ok(values)
    }

    /// Every key at fault, for the operator who is to write them all at once: [`resolve`](Self::resolve) stops at
    /// the first.
    pub fn faults(&self, plugin: &PluginName, written: &BTreeMap<String, Written>) -> Vec<ConfigError> {
        self.read(plugin, written).filter_map(|(_, value)| value.err()).collect()
    }

    /// What is written and nobody reads, then each key that is read.
    fn read(
        &self,
        plugin: &PluginName,
        written: &BTreeMap<String, Written>,
    ) -> impl Iterator<Item = (String, Result<Option<String>, ConfigError>)> {
        let stray = written.keys().filter(|key| !self.0.contains_key(*key));
        let stray = stray.map(|key| (key.clone(), Err(self.unknown(plugin, key))));
        let keys = self.0.iter();
        stray.chain(keys.map(|(name, key)| (name.clone(), key.value(plugin, name, written.get(name)))))
    }

    fn unknown(&self, plugin: &PluginName, key: &str) -> ConfigError {
        let known: Vec<_> = self.0.keys().map(String::as_str).collect();
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        ConfigError::Unknown { plugin: plugin.clone(), key: key.to_owned(), known }
    }
}

impl Key {
    /// What the plugin reads; nothing where nothing is written and nothing holds instead.
    fn value(
        &self,
        plugin: &PluginName,
        name: &str,
        written: Option<&Written>,
    ) -> Result<Option<String>, ConfigError> {
        let (plugin, key, description) = (plugin.clone(), name.to_owned(), self.description.clone());
        match written {
            Some(written) => match value_of(self.kind, written) {
                Some(value) => Ok(Some(value)),
                None => Err(ConfigError::Form { plugin, key, form: self.kind.form(), description }),
            },
            None if self.required => Err(ConfigError::Missing { plugin, key, description }),
            None => Ok(self.default.clone()),
        }
    }

    /// A line of YAML with a value of the right kind to be replaced, and what it is for.
    pub fn line(&self, name: &str) -> String {
        let (value, description) = (self.kind.placeholder(), &self.description);
        format!("{name}: {value}  # {description}")
    }
}

fn value_of(kind: Kind, written: &Written) -> Option<String> {
    let value = match (kind, written) {
        (Kind::List, Written::Many(items)) if !items.iter().any(|item| item.contains('\n')) => {
            items.join("\n")
        }
        (Kind::List, Written::One(item)) if !item.contains('\n') => item.clone(),
        (Kind::List, _) | (_, Written::Many(_)) => return None,
        (kind, Written::One(text)) => read(kind, text)?,
    };
    (value.len() <= VALUE_MAX).then_some(value)
}

/// A single value as the plugin reads it.
fn read(kind: Kind, text: &str) -> Option<String> {
    let fits = match kind {
        Kind::Text | Kind::List => true,
        Kind::Number => text.trim().parse::<i64>().is_ok(),
        Kind::Flag => {
            return match text.trim().to_ascii_lowercase().as_str() {
                "yes" | "true" | "on" => Some("true".to_owned()),
                "no" | "false" | "off" => Some("false".to_owned()),
                _ => None,
            };
        }
        Kind::Duration => duration::parse(text).is_ok(),
        Kind::Size => size::parse(text).is_ok(),
    };
    fits.then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema() -> Schema {
        let schema: Schema = serde_json::from_value(serde_json::json!({
            "peers": { "type": "list", "required": true, "description": "where etcd is" },
            "prefix": { "type": "text", "default": "/teleport", "description": "before every key" },
            "quick": { "type": "flag", "default": "false", "description": "asks no quorum" },
            "wait": { "type": "duration", "description": "how long to wait" },
            "tries": { "type": "number", "description": "how often" },
        }))
        .unwrap();
        schema.check().unwrap();
        schema
    }

    fn resolve(written: &[(&str, Written)]) -> Result<BTreeMap<String, String>, String> {
        let name = PluginName::new("storage-x").unwrap();
        let written = written.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
        schema().resolve(&name, &written).map_err(|error| error.to_string())
    }

    fn one(text: &str) -> Written {
        Written::One(text.to_owned())
    }

    #[test]
    fn defaults_fill_what_was_left_out() {
        let peers = Written::Many(vec!["a".into(), "b".into()]);
        let values = resolve(&[("peers", peers), ("quick", one("yes"))]).unwrap();
        let expected = [("peers", "a\nb"), ("prefix", "/teleport"), ("quick", "true")];
        assert_eq!(values, expected.map(|(key, value)| (key.to_owned(), value.to_owned())).into());
        assert_eq!(resolve(&[("peers", one("a"))]).unwrap()["peers"], "a");
    }

    #[test]
    fn each_slip_names_key_and_way_out() {
        let peers = || ("peers", one("a"));
        let cases = [
            (vec![], "needs config key peers (where etcd is); add it under"),
            (vec![peers(), ("peer", one("x"))], "reads no config key \"peer\"; it reads peers, prefix"),
            (vec![peers(), ("wait", one("soon"))], "config key wait of plugin storage-x takes a duration"),
            (vec![peers(), ("tries", one("x"))], "takes a whole number (how often)"),
            (vec![peers(), ("quick", one("maybe"))], "takes yes or no"),
            (vec![peers(), ("prefix", Written::Many(vec![]))], "takes a text"),
            (vec![peers(), ("prefix", one(&"x".repeat(VALUE_MAX + 1)))], "takes a text"),
            (vec![("peers", one("a\nb"))], "takes a list"),
        ];
        for (written, expected) in cases {
            let error = resolve(&written).unwrap_err();
            assert!(error.contains(expected), "{error} should say {expected}");
        }
    }

    #[test]
    fn every_key_at_fault_is_told_and_what_is_to_be_written_is_of_its_kind() {
        let name = PluginName::new("storage-x").unwrap();
        let written = [("peer", one("a")), ("tries", one("x"))].map(|(key, value)| (key.to_owned(), value));
        let faults = schema().faults(&name, &written.into());
        let faults: Vec<_> = faults.iter().map(ToString::to_string).collect();
        let expected = ["reads no config key \"peer\"", "needs config key peers", "config key tries"];
        assert!(faults.iter().zip(expected).all(|(fault, part)| fault.contains(part)), "{faults:?}");
        assert_eq!(faults.len(), expected.len());
        assert_eq!(schema().0["peers"].line("peers"), "peers: [TEXT]  # where etcd is");
        for kind in [Kind::Text, Kind::Number, Kind::Flag, Kind::Duration, Kind::Size] {
            assert!(read(kind, kind.placeholder()).is_some(), "{kind:?}");
        }
    }

    #[test]
    fn a_manifest_cannot_list_what_nobody_could_write() {
        let check = |value| {
            let schema: Schema = serde_json::from_value(value).unwrap();
            schema.check().unwrap_err().to_string()
        };
        let key = |name: &str, default: &str| serde_json::json!({ name: { "type": "flag", "default": default, "description": "x" } });
        assert!(check(key("a.b", "true")).contains("lower-case letters"));
        assert!(check(key("a", "yes")).contains("default of config key a"), "not as the plugin reads it");
        assert!(
            check(serde_json::json!({ "a": { "type": "text", "description": "\n" } })).contains("one line")
        );
        let both = serde_json::json!({ "a": { "type": "text", "required": true, "default": "x", "description": "x" } });
        assert!(check(both).contains("a required key has none"));
    }
}
