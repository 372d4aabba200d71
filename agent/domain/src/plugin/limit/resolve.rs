//! What the manifest wishes and the operator sets, made into the limits of a plugin.

use super::{Limits, Row, table};
use crate::plugin::manifest::Wishes;
use crate::plugin::{ContractKind, PluginName};

/// Who wrote a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Author {
    /// The plugin, in its manifest.
    Manifest,
    /// The operator, in `teleport.yaml`.
    Operator,
    /// Whoever tries the plugin, on the command line.
    Flag,
}

impl std::fmt::Display for Author {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Manifest => "the plugin's manifest",
            Self::Operator => "teleport.yaml",
            Self::Flag => "--limit",
        })
    }
}

/// Why a limit cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LimitError {
    /// No such limit.
    #[error("{author} sets the limit {key:?}, which does not exist; there are {known}", known = keys())]
    Unknown {
        /// Who wrote it.
        author: Author,
        /// The key as written.
        key: String,
    },
    /// Not a value of its kind, or nothing at all.
    #[error("{author} sets the limit {key} to {text:?}; it wants {form}, more than nothing")]
    Form {
        /// Who wrote it.
        author: Author,
        /// The limit.
        key: &'static str,
        /// The value as written.
        text: String,
        /// What is wanted.
        form: &'static str,
    },
    /// More than the host serves at all.
    #[error("{author} sets the limit {key} to {value}; this host allows at most {ceiling}")]
    Ceiling {
        /// Who wrote it.
        author: Author,
        /// The limit.
        key: &'static str,
        /// The value.
        value: String,
        /// The most there is.
        ceiling: String,
    },
    /// One that is the same for all plugins.
    #[error("{author} sets the limit {key}, which is {value} for all plugins; leave it out")]
    Fixed {
        /// Who wrote it.
        author: Author,
        /// The limit.
        key: &'static str,
        /// What it is.
        value: String,
    },
    /// A wish beyond the default that nobody has granted.
    #[error("{}; if it may, add under teleport.plugins.load.{plugin}.limits: {key}: {value}", self.reason())]
    NotGranted {
        /// The plugin.
        plugin: PluginName,
        /// The limit.
        key: &'static str,
        /// What it wants.
        value: String,
        /// What it would have.
        default: String,
    },
}

impl LimitError {
    /// Who wrote what is at fault.
    pub fn author(&self) -> Author {
        match self {
            Self::Unknown { author, .. }
            | Self::Form { author, .. }
            | Self::Ceiling { author, .. }
            | Self::Fixed { author, .. } => *author,
            Self::NotGranted { .. } => Author::Manifest,
        }
    }

    /// What is wrong, without where the operator mends it: an author who tries a plugin has flags in its place.
    pub fn reason(&self) -> String {
        match self {
            Self::NotGranted { plugin, key, value, default } => {
                format!("plugin {plugin} wants the limit {key} at {value}, above the default of {default}")
            }
            other => other.to_string(),
        }
    }

    /// The same where a flag stands for what the operator writes.
    #[must_use]
    pub fn of_a_flag(mut self) -> Self {
        if let Self::Unknown { author, .. }
        | Self::Form { author, .. }
        | Self::Ceiling { author, .. }
        | Self::Fixed { author, .. } = &mut self
            && *author == Author::Operator
        {
            *author = Author::Flag;
        }
        self
    }
}

fn keys() -> String {
    table().iter().map(|row| row.key).collect::<Vec<_>>().join(", ")
}

/// The limits a plugin runs under: the contract's defaults, narrowed by the manifest's wishes, set
/// by the operator.
///
/// # Errors
/// [`LimitError`] names the first limit at fault and who wrote it.
pub fn resolve(
    kind: ContractKind,
    plugin: &PluginName,
    manifest: &Wishes,
    operator: &Wishes,
) -> Result<Limits, LimitError> {
    let mut limits = Limits::of(kind);
    for (key, text) in manifest {
        let (row, value) = read(Author::Manifest, key, text)?;
        let default = row.value(&limits);
        if value > default && !operator.contains_key(key) {
            let (value, default) = (row.text(value), row.text(default));
            return Err(LimitError::NotGranted { plugin: plugin.clone(), key: row.key, value, default });
        }
        *(row.field)(&mut limits) = value;
    }
    for (key, text) in operator {
        let (row, value) = read(Author::Operator, key, text)?;
        *(row.field)(&mut limits) = value;
    }
    Ok(limits)
}

fn read(author: Author, key: &str, text: &str) -> Result<(&'static Row, u64), LimitError> {
    let row = table()
        .iter()
        .find(|row| row.key == key)
        .ok_or_else(|| LimitError::Unknown { author, key: key.to_owned() })?;
    if row.fixed {
        return Err(LimitError::Fixed { author, key: row.key, value: row.text(row.ceiling) });
    }
    let wrong = || LimitError::Form { author, key: row.key, text: text.to_owned(), form: row.form() };
    let value = row.parse(text).filter(|value| *value > 0).ok_or_else(wrong)?;
    if value > row.ceiling {
        let (value, ceiling) = (row.text(value), row.text(row.ceiling));
        return Err(LimitError::Ceiling { author, key: row.key, value, ceiling });
    }
    Ok((row, value))
}
