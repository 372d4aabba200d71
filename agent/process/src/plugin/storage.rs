//! What `teleport.storage` implies for the plugin that keeps the records: its grants, its configuration, and
//! the certificates that are shown in its name.
//!
//! A plugin of ours gets exactly what the storage section says and nothing beside it. A plugin from
//! elsewhere is told everything under `teleport.plugins.load`.

use config::{Etcd, Storage};
use domain::plugin::configuration::Written;
use domain::plugin::{Destination, Grant, PluginName};
use plugin_host::{CertificatePair, PlaceSettings, PluginSettings, Settings};

/// The plugin of ours for etcd.
const ETCD: &str = "storage-etcd";

/// The plugin that keeps the records, where one does.
pub(crate) fn plugin(storage: &Storage) -> Option<PluginName> {
    match storage {
        Storage::Etcd(_) => PluginName::new(ETCD).ok(),
        Storage::Plugin { name } => Some(name.clone()),
        Storage::Sqlite { .. } | Storage::Memory | Storage::DynamoDb(_) => None,
    }
}

/// Provides for the plugin that keeps the records.
pub(super) fn provide(storage: &Storage, settings: &mut Settings) {
    let Some(name) = plugin(storage) else { return };
    settings.storage = true;
    let plugin = settings.plugins.entry(name).or_default();
    if let Storage::Etcd(etcd) = storage {
        provide_etcd(etcd, plugin);
    }
}

fn provide_etcd(etcd: &Etcd, plugin: &mut PluginSettings) {
    plugin.config.insert("peers".to_owned(), Written::Many(etcd.peers.clone()));
    plugin.config.insert("prefix".to_owned(), Written::One(etcd.prefix.clone()));
    let members = etcd.peers.iter().filter_map(|peer| Destination::parse(peer).ok());
    for destination in members {
        // The operator named the member, so it may be on a network of their own.
        plugin.grants.push(Grant::http(destination.clone(), true));
        plugin.http.push(PlaceSettings {
            destination,
            ca_file: etcd.ca_file.clone(),
            certificate: Some(CertificatePair {
                cert_file: etcd.cert_file.clone(),
                key_file: etcd.key_file.clone(),
            }),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn etcd_gets_its_members_and_nothing_else() {
        let etcd = Etcd {
            peers: vec!["https://10.0.0.1:2379".into(), "https://etcd.internal:2379".into()],
            cert_file: "/c".into(),
            key_file: "/k".into(),
            ca_file: Some("/ca".into()),
            prefix: "teleport".into(),
        };
        let mut settings = Settings::new("/nowhere");
        provide(&Storage::Etcd(etcd), &mut settings);
        let plugin = &settings.plugins[&PluginName::new(ETCD).unwrap()];
        let granted = |peer: &str| Grant::http(Destination::parse(peer).unwrap(), true);
        assert_eq!(plugin.grants, [granted("https://10.0.0.1:2379"), granted("https://etcd.internal:2379")]);
        assert!(settings.storage && plugin.http.iter().all(|place| place.ca_file.is_some()));
    }

    #[test]
    fn other_storage_needs_no_plugin() {
        let mut settings = Settings::new("/nowhere");
        provide(&Storage::Memory, &mut settings);
        assert!(!settings.storage && settings.plugins.is_empty());
    }
}
