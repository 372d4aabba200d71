//! What a plugin says of itself, in `plugin.toml`.
//!
//! The manifest travels in the component, as the custom section [`SECTION`], so the pinned digest
//! covers it; while a plugin is being written it may lie beside the component instead. It is
//! written by whoever wrote the plugin: it grants nothing, and its texts are checked before they
//! are shown.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, de};

use super::configuration::{Schema, SchemaError};
use super::destination::Destination;
use super::{Argv, Capability, Contract, PluginName, SecretLabel};
use crate::printable::is_printable;

/// The custom section of the component that holds the manifest.
pub const SECTION: &str = "teleport:manifest";

/// The name of the file beside the component.
pub const FILE: &str = "plugin.toml";

/// The largest manifest, in bytes.
pub const BYTES_MAX: usize = 64 * 1024;

/// The most needs a manifest may list.
pub const NEEDS_MAX: usize = 64;

/// The longest text in a manifest, in bytes.
pub const TEXT_MAX: usize = 512;

/// A checked manifest.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Written")]
pub struct Manifest {
    /// The plugin's name, the same as its folder's.
    pub name: PluginName,
    /// The plugin's own version, for people.
    pub version: String,
    /// Which kind of plugin it is.
    pub contract: Contract,
    /// One line for lists.
    pub description: String,
    /// Where to read more; `https:` only.
    pub homepage: Option<String>,
    /// What it cannot work without.
    pub needs: Vec<Need>,
    /// Limits it would like other than the default, as written.
    pub limits: Wishes,
    /// What it reads of its own configuration, by key.
    pub config: Schema,
}

/// Limits by key, as written: read by [`super::limit::resolve`].
pub type Wishes = BTreeMap<String, String>;

/// Something a plugin cannot work without.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Need {
    /// The capability as written; checked against the grants.
    pub capability: String,
    /// For `process`: the one command it runs. Left out, the operator names the commands.
    #[serde(default)]
    pub argv: Option<Argv>,
    /// For `http`: where it sends requests. Left out, the operator names the places.
    #[serde(default)]
    pub hosts: Vec<Destination>,
    /// For `secret` and `secret_reveal`: the label it opens the secret by.
    #[serde(default)]
    pub label: Option<SecretLabel>,
    /// Why, for the operator who decides.
    pub reason: String,
}

impl Need {
    /// Whether it asks for this and leaves to the operator which commands, or which places, that means.
    pub fn leaves_open(&self, capability: Capability) -> bool {
        self.capability == capability.key()
            && match capability {
                Capability::Process => self.argv.is_none(),
                Capability::Http => self.hosts.is_empty(),
                Capability::Secret | Capability::SecretReveal | Capability::Kv => false,
            }
    }
}

/// Why a manifest cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// A text nobody should print.
    #[error("{field} must be one line of 1 to {TEXT_MAX} bytes without control characters")]
    Text {
        /// The field.
        field: &'static str,
    },
    /// A version that does not fit in a column.
    #[error("version {0:?} must be 1 to 64 letters, digits and the characters . - +, like 1.2.3")]
    Version(String),
    /// A link of another kind.
    #[error("homepage {0:?} must begin with https://")]
    Homepage(String),
    /// Longer than anyone reads.
    #[error("needs has more than {NEEDS_MAX} entries")]
    Needs,
    /// A detail of another capability, or one too few.
    #[error("a need of {capability} takes {wanted}")]
    Need {
        /// The capability.
        capability: Capability,
        /// What it takes.
        wanted: &'static str,
    },
    /// A secret cannot be seen that cannot be opened.
    #[error(
        "a need of {reveal} for {label} has none of {secret} beside it, and a secret is opened before it is seen; add [[needs]] with capability = \"{secret}\", label = \"{label}\" and a reason",
        reveal = Capability::SecretReveal,
        secret = Capability::Secret
    )]
    Reveal {
        /// The secret.
        label: SecretLabel,
    },
    /// What it reads of its configuration cannot be so.
    #[error(transparent)]
    Schema(#[from] SchemaError),
}

/// The manifest as it is written, before its texts are checked.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    name: PluginName,
    version: String,
    contract: Contract,
    description: String,
    #[serde(default)]
    homepage: Option<String>,
    #[serde(default)]
    needs: Vec<Need>,
    #[serde(default)]
    limits: BTreeMap<String, Wish>,
    #[serde(default)]
    config: Schema,
}

impl TryFrom<Written> for Manifest {
    type Error = ManifestError;

    fn try_from(written: Written) -> Result<Self, ManifestError> {
        let Written { name, version, contract, description, homepage, needs, limits, config } = written;
        if version.is_empty() || version.len() > 64 || !version.bytes().all(is_version_byte) {
            return Err(ManifestError::Version(version));
        }
        check_text("description", &description)?;
        if let Some(link) = &homepage {
            check_text("homepage", link)?;
            if !link.starts_with("https://") {
                return Err(ManifestError::Homepage(link.clone()));
            }
        }
        if needs.len() > NEEDS_MAX {
            return Err(ManifestError::Needs);
        }
        for need in &needs {
            check_text("capability", &need.capability)?;
            check_text("reason", &need.reason)?;
            check_need(need)?;
        }
        check_reveals(&needs)?;
        config.check()?;
        let limits = limits.into_iter().map(|(key, Wish(text))| (key, text)).collect();
        Ok(Self { name, version, contract, description, homepage, needs, limits, config })
    }
}

/// Each capability has details of its own. One that is not known is named later, with the others.
fn check_need(need: &Need) -> Result<(), ManifestError> {
    let Some(capability) = Capability::parse(&need.capability) else { return Ok(()) };
    let has = (need.argv.is_some(), !need.hosts.is_empty(), need.label.is_some());
    let (fits, wanted) = match capability {
        Capability::Process => (!has.1 && !has.2, "at most `argv` beside its reason"),
        Capability::Http => (!has.0 && !has.2, "at most `hosts` beside its reason"),
        Capability::Secret | Capability::SecretReveal => {
            (!has.0 && !has.1 && has.2, "the `label` of the secret beside its reason")
        }
        Capability::Kv => (has == (false, false, false), "nothing beside its reason"),
    };
    if fits { Ok(()) } else { Err(ManifestError::Need { capability, wanted }) }
}

/// What is to be seen is opened first, which is a need of its own: without it the plugin could never work.
fn check_reveals(needs: &[Need]) -> Result<(), ManifestError> {
    let labels = |capability: Capability| {
        needs
            .iter()
            .filter(move |need| need.capability == capability.key())
            .filter_map(|need| need.label.as_ref())
    };
    let bare = labels(Capability::SecretReveal)
        .find(|label| !labels(Capability::Secret).any(|opened| opened == *label));
    match bare {
        Some(label) => Err(ManifestError::Reveal { label: label.clone() }),
        None => Ok(()),
    }
}

fn is_version_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b".-+".contains(&byte)
}

fn check_text(field: &'static str, text: &str) -> Result<(), ManifestError> {
    let fits = !text.trim().is_empty() && text.len() <= TEXT_MAX && text.chars().all(is_printable);
    if fits { Ok(()) } else { Err(ManifestError::Text { field }) }
}

/// A limit as written: a text like `32MiB`, or a plain number.
struct Wish(String);

impl<'de> Deserialize<'de> for Wish {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl de::Visitor<'_> for Either {
            type Value = Wish;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a limit, written like \"32MiB\", \"5s\" or 100")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Wish, E> {
                Ok(Wish(text.to_owned()))
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Wish, E> {
                Ok(Wish(number.to_string()))
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Wish, E> {
                Ok(Wish(number.to_string()))
            }
        }
        deserializer.deserialize_any(Either)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn good() -> Value {
        json!({
            "name": "label-load", "version": "1.2.3-rc.1", "contract": "teleport:label-provider@1.0.0",
            "description": "the load", "homepage": "https://example.com/label-load",
            "needs": [{ "capability": "process", "argv": ["uptime", "-p"], "reason": "reads the load" }],
            "limits": { "memory": "16MiB", "log_lines": 10 }
        })
    }

    fn read(value: Value) -> Result<Manifest, String> {
        serde_json::from_value(value).map_err(|error| error.to_string())
    }

    fn with(key: &str, value: Value) -> Value {
        let mut manifest = good();
        manifest[key] = value;
        manifest
    }

    #[test]
    fn a_good_manifest_is_read_whole() {
        let manifest = read(good()).unwrap();
        assert_eq!(manifest.name.as_str(), "label-load");
        assert_eq!(manifest.needs[0].argv.as_deref(), Some(&["uptime".to_owned(), "-p".to_owned()][..]));
        let limits: Vec<_> = manifest.limits.into_iter().collect();
        assert_eq!(limits, [("log_lines".into(), "10".into()), ("memory".into(), "16MiB".into())]);
    }

    #[test]
    fn each_slip_is_named() {
        let long = "x".repeat(TEXT_MAX + 1);
        let cases = [
            (with("name", json!("../etc")), "cannot name a plugin"),
            (with("contract", json!("label-provider")), "is not a contract"),
            (with("version", json!("1 0")), "version \"1 0\" must be"),
            (with("description", json!("red \u{1b}[31m")), "description must be one line"),
            (with("description", json!(long)), "description must be one line"),
            (with("homepage", json!("http://example.com")), "must begin with https://"),
            (with("needs", json!([{ "capability": "process", "reason": " " }])), "reason must be one line"),
            (with("needs", json!([{ "capability": "process" }])), "missing field `reason`"),
            (
                with("needs", json!([{ "capability": "process", "reason": "x", "args": [] }])),
                "unknown field `args`",
            ),
            (
                with("needs", json!(vec![json!({ "capability": "process", "reason": "x" }); NEEDS_MAX + 1])),
                "needs has more",
            ),
            (with("limits", json!({ "memory": true })), "a limit, written like"),
            (
                with("needs", json!([{ "capability": "kv", "argv": ["x"], "reason": "x" }])),
                "a need of kv takes nothing",
            ),
            (
                with("needs", json!([{ "capability": "secret", "reason": "x" }])),
                "a need of secret takes the `label`",
            ),
            (
                with("needs", json!([{ "capability": "http", "hosts": ["https://*.com"], "reason": "x" }])),
                "two labels is needed",
            ),
            (
                with(
                    "needs",
                    json!([
                        { "capability": "secret", "label": "other", "reason": "x" },
                        { "capability": "secret_reveal", "label": "token", "reason": "x" },
                    ]),
                ),
                "add [[needs]] with capability = \"secret\", label = \"token\" and a reason",
            ),
            (with("world", json!("x")), "unknown field `world`"),
        ];
        for (manifest, expected) in cases {
            let error = read(manifest).unwrap_err();
            assert!(error.contains(expected), "{error} should say {expected}");
        }
    }
}
