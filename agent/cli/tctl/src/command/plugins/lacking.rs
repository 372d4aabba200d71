//! What `teleport.yaml` lacks before the daemon loads a plugin: somebody's word for it, grants, limits above the
//! default, and keys of its configuration. The rules are the domain's, so that what is said here is what the daemon
//! says later.

use std::collections::BTreeMap;
use std::fmt;

use config::{PluginSettings, Settings};
use domain::plugin::configuration::ConfigError;
use domain::plugin::grant::{Item, account};
use domain::plugin::limit::{self, LimitError};
use domain::plugin::manifest::Wishes;
use domain::plugin::{ContractKind, Grant, Manifest};
use domain::printable::escape;
use plugin_host::publish::Delivery;
use terminal::{Explain as _, Failure};

use super::install::Trust;
use super::yaml;

/// A limit that the plugin wants above the default of its contract.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Beyond {
    /// The limit.
    key: &'static str,
    /// What it wants.
    value: String,
    /// What it would have.
    default: String,
}

impl Beyond {
    /// As it is written under `limits`.
    pub(super) fn line(&self) -> String {
        format!("{}: {}", self.key, self.value)
    }
}

impl fmt::Display for Beyond {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, value, default } = self;
        write!(f, "it wants the limit {key} at {value}, above the default of {default}")
    }
}

/// The limits that a plugin needs the operator's word for.
///
/// # Errors
/// For a limit that nobody can grant, for the daemon would refuse the plugin whatever is written.
pub(super) fn limits_beyond(manifest: &Manifest) -> Result<Vec<Beyond>, Failure> {
    beyond(manifest, &Wishes::new()).while_doing("the host would refuse this plugin")
}

/// The limits nobody has granted yet. Each wish is looked at alone: the rule stops at the first that is not met.
fn beyond(manifest: &Manifest, operator: &Wishes) -> Result<Vec<Beyond>, Failure> {
    let kind = ContractKind::serving(&manifest.contract)?;
    let mut beyond = Vec::new();
    for (key, text) in &manifest.limits {
        let wish = BTreeMap::from([(key.clone(), text.clone())]);
        match limit::resolve(kind, &manifest.name, &wish, operator) {
            Ok(_) => {}
            Err(LimitError::NotGranted { key, value, default, .. }) => {
                beyond.push(Beyond { key, value, default });
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(beyond)
}

/// What is left to write before the daemon loads it, if anything is.
pub(super) fn changes(delivery: &Delivery, trust: &Trust, settings: &Settings) -> Option<String> {
    let (manifest, digest) = (delivery.manifest(), delivery.digest().to_string());
    let Some(plugin) = settings.plugins.load.get(&manifest.name) else {
        let limits = limits_beyond(manifest).unwrap_or_default();
        let block = yaml::section(manifest, trust, &digest, &limits);
        return Some(format!("add to teleport.yaml, as far as you agree, and restart teleport:\n{block}"));
    };
    let at = format!("teleport.plugins.load.{}", manifest.name);
    let mut changes: Vec<String> = match trust {
        Trust::Publisher(_) | Trust::Pinned => Vec::new(),
        Trust::KnownPublisher(name) => vec![format!("add under {at}: publishers: [{name}]")],
        Trust::Nobody => vec![format!("add under {at}: digest: {digest}")],
    };
    changes.extend(of_one(manifest, plugin, &at));
    if changes.is_empty() {
        return None;
    }
    let lines: Vec<_> = changes.iter().map(|line| format!("  {}", escape(line))).collect();
    Some(format!("in teleport.yaml, as far as you agree, and restart teleport:\n{}", lines.join("\n")))
}

/// What is to change in what is written of a plugin.
fn of_one(manifest: &Manifest, written: &PluginSettings, at: &str) -> Vec<String> {
    let mut grants = written.grants.clone();
    grants.extend(written.secrets.keys().cloned().map(Grant::secret));
    let items = account(manifest, &grants, &[]).into_iter();
    let mut changes: Vec<_> = items.filter_map(|item: Item| item.change).collect();
    let limits = beyond(manifest, &written.limits).unwrap_or_default();
    changes.extend(limits.iter().map(|limit| format!("add under {at}.limits: {}", limit.line())));
    let faults = manifest.config.faults(&manifest.name, &written.config);
    changes.extend(faults.into_iter().map(|fault| of_config(manifest, fault, at)));
    changes
}

fn of_config(manifest: &Manifest, fault: ConfigError, at: &str) -> String {
    match fault {
        ConfigError::Unknown { key, known, .. } => {
            format!("remove under {at}.config: {key}, which it does not read; it reads {known}")
        }
        ConfigError::Form { key, form, description, .. } => {
            format!("change under {at}.config: {key} takes {form} ({description})")
        }
        ConfigError::Missing { key, description, .. } => {
            let line = manifest.config.0.get(&key).map(|read| read.line(&key));
            format!("add under {at}.config: {}", line.unwrap_or(description))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(limits: &serde_json::Value) -> Manifest {
        serde_json::from_value(serde_json::json!({
            "name": "storage-x", "version": "1", "contract": "teleport:storage-backend@1.0.0", "description": "x",
            "needs": [{ "capability": "kv", "reason": "keeps the records" }],
            "limits": limits,
            "config": {
                "endpoint": { "type": "text", "required": true, "description": "where it is" },
                "tries": { "type": "number", "default": "3", "description": "how often" },
            },
        }))
        .unwrap()
    }

    fn changes(manifest: &Manifest, load: &str) -> Vec<String> {
        let yaml = format!("teleport: {{plugins: {{load: {{storage-x: {load}}}}}}}\n");
        let settings = config::check(&yaml, "t.yaml").unwrap();
        let written = settings.plugins.load.get(&manifest.name).unwrap();
        of_one(manifest, written, "teleport.plugins.load.storage-x")
    }

    #[test]
    fn each_line_that_is_missing_is_named_until_all_are_there() {
        let manifest = manifest(&serde_json::json!({ "kv_bytes": "16MiB", "wall": "1m", "memory": "1MiB" }));
        let expected = [
            "add under teleport.plugins.load.storage-x.limits: kv_bytes: 16MiB",
            "add under teleport.plugins.load.storage-x.limits: wall: 1m0s",
            "add under teleport.plugins.load.storage-x.config: endpoint: TEXT  # where it is",
        ];
        assert_eq!(changes(&manifest, "{grants: {kv: yes}}"), expected);
        let said = changes(
            &manifest,
            "{grants: {kv: yes}, limits: {kv_bytes: 1MiB, wall: 1m}, config: {endpoint: x, tries: x, try: 1}}",
        );
        let expected = [
            "remove under teleport.plugins.load.storage-x.config: try, which it does not read; it reads endpoint, tries",
            "change under teleport.plugins.load.storage-x.config: tries takes a whole number (how often)",
        ];
        assert_eq!(said, expected);
        let all = "{grants: {kv: yes}, limits: {kv_bytes: 16MiB, wall: 1m}, config: {endpoint: x}}";
        assert_eq!(changes(&manifest, all), [""; 0]);
    }

    #[test]
    fn a_limit_that_nobody_can_grant_is_refused() {
        for (key, value) in [("memroy", "1MiB"), ("memory", "1GiB"), ("wall", "soon")] {
            let error = limits_beyond(&manifest(&serde_json::json!({ key: value }))).unwrap_err().render();
            assert!(error.contains("the host would refuse this plugin") && error.contains(key), "{error}");
        }
    }
}
