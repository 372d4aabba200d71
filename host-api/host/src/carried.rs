//! The plugins this program carries, built from `plugins/` by the build script. They are trusted as the
//! program is, and have the grants their configuration implies.

use domain::plugin::{Grant, PluginName};

/// A plugin in the program itself.
pub(crate) struct Carried {
    /// Its name.
    pub(crate) name: &'static str,
    /// The component, with its manifest.
    pub(crate) wasm: &'static [u8],
    grants: fn() -> Vec<Grant>,
}

impl Carried {
    /// What its configuration implies.
    pub(crate) fn grants(&self) -> Vec<Grant> {
        (self.grants)()
    }
}

const ALL: &[Carried] = &[
    Carried {
        name: "label-command",
        wasm: include_bytes!(concat!(env!("OUT_DIR"), "/label-command.wasm")),
        // Each label's command is the operator's own word on what may run.
        grants: || vec![Grant::process_configured()],
    },
    Carried {
        name: "storage-dynamodb",
        wasm: include_bytes!(concat!(env!("OUT_DIR"), "/storage-dynamodb.wasm")),
        // The endpoint of the region that `teleport.storage` names, which `process` reads.
        grants: Vec::new,
    },
    Carried {
        name: "storage-etcd",
        wasm: include_bytes!(concat!(env!("OUT_DIR"), "/storage-etcd.wasm")),
        // The members that `teleport.storage` names, which `process` reads.
        grants: Vec::new,
    },
];

/// The names of [`ALL`], for a program that only wants to know and is not to carry them for it.
const NAMES: [&str; 3] = ["label-command", "storage-dynamodb", "storage-etcd"];

/// Whether `teleport` carries a plugin of this name.
pub fn is_carried(name: &PluginName) -> bool {
    NAMES.contains(&name.as_str())
}

/// Every plugin carried.
pub(crate) fn all() -> &'static [Carried] {
    ALL
}

/// The one of that name.
pub(crate) fn find(name: &str) -> Option<&'static Carried> {
    ALL.iter().find(|carried| carried.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compile::Task;

    #[test]
    fn their_names_are_known_without_them() {
        assert!(all().iter().map(|carried| carried.name).eq(NAMES));
    }

    #[test]
    fn each_carries_a_manifest_of_its_own_name_that_its_grants_fit() {
        for carried in all() {
            let json = Task::Inspect.run(carried.wasm).unwrap();
            let inspection: serde_json::Value = serde_json::from_slice(&json).unwrap();
            let manifest: domain::plugin::Manifest =
                toml::from_str(inspection["manifest"].as_str().unwrap()).unwrap();
            assert_eq!(manifest.name.as_str(), carried.name);
            // What the configuration implies may be granted by `process`, but is never more than is asked for.
            let effective = domain::plugin::effective(&manifest, &carried.grants());
            assert!(!matches!(effective, Err(domain::plugin::grant::GrantError::NotAsked { .. })));
        }
    }
}
