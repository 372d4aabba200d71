//! `teleport.storage`: where the auth server keeps the cluster's records and events.
//!
//! Every backend's keys are checked here, whoever serves it; whether a backend can be started is said
//! by the room that starts it.

use std::path::{Path, PathBuf};

use domain::plugin::PluginName;

use crate::field::Field;
use crate::section::Section;
use crate::suggest;

mod audit;
mod remote;

pub use audit::AuditSettings;
pub use remote::{Capacity, DynamoDb, Etcd};

/// Where records are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Storage {
    /// A database file of this host.
    Sqlite {
        /// The directory of the file.
        path: PathBuf,
    },
    /// Nowhere: all is lost when the process ends.
    Memory,
    /// An etcd cluster.
    Etcd(Etcd),
    /// A DynamoDB table.
    DynamoDb(DynamoDb),
    /// A storage plugin, by its name.
    Plugin {
        /// The plugin's name.
        name: PluginName,
    },
}

/// A backend by the name the file uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Backend {
    Sqlite,
    Memory,
    Etcd,
    DynamoDb,
    Plugin,
}

/// What `type` says.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Stated {
    /// One of [`BACKENDS`].
    Backend(Backend),
    /// A plugin by its own name.
    Named(PluginName),
}

const BACKENDS: &[(&str, Backend)] = &[
    ("sqlite", Backend::Sqlite),
    ("memory", Backend::Memory),
    ("etcd", Backend::Etcd),
    ("dynamodb", Backend::DynamoDb),
    ("plugin", Backend::Plugin),
];

/// Which backend a key belongs to; keys of the audit log belong to all.
const KEYS: &[(&str, Backend)] = &[
    ("path", Backend::Sqlite),
    ("plugin", Backend::Plugin),
    ("peers", Backend::Etcd),
    ("tls_cert_file", Backend::Etcd),
    ("tls_key_file", Backend::Etcd),
    ("tls_ca_file", Backend::Etcd),
    ("prefix", Backend::Etcd),
    ("insecure", Backend::Etcd),
    ("region", Backend::DynamoDb),
    ("table_name", Backend::DynamoDb),
    ("endpoint", Backend::DynamoDb),
    ("access_key", Backend::DynamoDb),
    ("secret_key", Backend::DynamoDb),
    ("billing_mode", Backend::DynamoDb),
    ("continuous_backups", Backend::DynamoDb),
    ("auto_scaling", Backend::DynamoDb),
    ("read_capacity_units", Backend::DynamoDb),
    ("write_capacity_units", Backend::DynamoDb),
    ("read_min_capacity", Backend::DynamoDb),
    ("read_max_capacity", Backend::DynamoDb),
    ("read_target_value", Backend::DynamoDb),
    ("write_min_capacity", Backend::DynamoDb),
    ("write_max_capacity", Backend::DynamoDb),
    ("write_target_value", Backend::DynamoDb),
    ("retention_period", Backend::DynamoDb),
];

/// Backends that were served once, or elsewhere.
const GONE: &[&str] = &["bolt", "dir"];
const ELSEWHERE: &[&str] = &["firestore", "postgresql", "cockroachdb", "azure", "s3"];

/// Reads `teleport.storage`.
pub(crate) fn read(storage: &mut Section<'_>, data_dir: &Path) -> (Storage, AuditSettings) {
    let field = storage.field("type");
    let stated = field.as_ref().map(backend);
    let audit = audit::read(storage, data_dir);
    let stated = match stated {
        // Without a usable type nothing can be said about the keys that depend on it.
        Some(None) => {
            KEYS.iter().for_each(|(key, _)| drop(storage.field(key)));
            return (sqlite(None, data_dir), audit);
        }
        Some(Some(stated)) => stated,
        None => Stated::Backend(Backend::Sqlite),
    };
    let backend = match stated {
        Stated::Backend(backend) => backend,
        Stated::Named(name) => {
            refuse_foreign_keys(storage, None, name.as_str());
            return (Storage::Plugin { name }, audit);
        }
    };
    refuse_foreign_keys(storage, Some(backend), name_of(backend));
    let kept = match backend {
        Backend::Sqlite => sqlite(storage.path("path"), data_dir),
        Backend::Memory => Storage::Memory,
        Backend::Etcd => Storage::Etcd(remote::read_etcd(storage)),
        Backend::DynamoDb => {
            remote::read_dynamodb(storage).map_or_else(|| sqlite(None, data_dir), Storage::DynamoDb)
        }
        Backend::Plugin => plugin(storage).unwrap_or_else(|| sqlite(None, data_dir)),
    };
    (kept, audit)
}

fn sqlite(path: Option<PathBuf>, data_dir: &Path) -> Storage {
    Storage::Sqlite { path: path.unwrap_or_else(|| data_dir.join("backend")) }
}

fn plugin(storage: &mut Section<'_>) -> Option<Storage> {
    let name = storage.field("plugin").and_then(|field| crate::plugin::name(&field));
    if storage.key_at("plugin").is_none() {
        storage.problem("type", "needs the plugin's name: add `plugin: <name>`");
    }
    Some(Storage::Plugin { name: name? })
}

fn backend(field: &Field<'_>) -> Option<Stated> {
    let text = field.text()?;
    let word = text.to_ascii_lowercase();
    if GONE.contains(&word.as_str()) {
        field.problem(format!(
            "the {word} backend is gone; remove `type` to use sqlite, which keeps its file in <data_dir>/backend"
        ));
        return None;
    }
    if ELSEWHERE.contains(&word.as_str()) {
        field.problem(format!(
            "the {word} backend is not served by this version; use sqlite, etcd, dynamodb or a storage plugin"
        ));
        return None;
    }
    let is_known = BACKENDS.iter().any(|(name, _)| *name == word);
    let names = BACKENDS.iter().map(|(name, _)| *name).chain(GONE.iter().chain(ELSEWHERE).copied());
    // A slip is more likely than a plugin whose name is nearly that of a backend.
    match PluginName::new(text) {
        Ok(name) if !is_known && suggest::closest(&word, names).is_none() => Some(Stated::Named(name)),
        _ => field.choice(BACKENDS).map(Stated::Backend),
    }
}

fn name_of(backend: Backend) -> &'static str {
    BACKENDS.iter().find(|(_, other)| *other == backend).map_or("", |(name, _)| *name)
}

/// A key of another backend would be ignored in silence: most likely the type is wrong.
fn refuse_foreign_keys(storage: &mut Section<'_>, backend: Option<Backend>, used: &str) {
    for (key, owner) in KEYS {
        if Some(*owner) != backend && storage.field(key).is_some() {
            let owner = name_of(*owner);
            storage.problem(key, format!("belongs to `type: {owner}`, but the type is {used}"));
        }
    }
}
