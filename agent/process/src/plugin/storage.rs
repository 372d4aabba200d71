//! What `teleport.storage` implies for the plugin that keeps the records: its grants, its configuration, and
//! the certificates that are shown in its name.
//!
//! A plugin of ours gets exactly what the storage section says and nothing beside it. A plugin from
//! elsewhere is told everything under `teleport.plugins.load`.

use config::{DynamoDb, Etcd, Storage};
use domain::plugin::configuration::Written;
use domain::plugin::{Grant, PluginName};
use plugin_host::{CertificatePair, PlaceSettings, PluginSettings, ServerAuthority, Settings, SignSettings};

use super::cloud;

/// The plugin of ours for etcd.
const ETCD: &str = "storage-etcd";

/// The plugin of ours for DynamoDB.
const DYNAMODB: &str = "storage-dynamodb";

/// The plugin that keeps the records, where one does.
pub fn plugin(storage: &Storage) -> Option<PluginName> {
    match storage {
        Storage::Etcd(_) => PluginName::new(ETCD).ok(),
        Storage::DynamoDb(_) => PluginName::new(DYNAMODB).ok(),
        Storage::Plugin { name } => Some(name.clone()),
        Storage::Sqlite { .. } | Storage::Memory => None,
    }
}

/// Provides for the plugin that keeps the records.
pub(super) fn provide(storage: &Storage, settings: &mut Settings) {
    let Some(name) = plugin(storage) else { return };
    settings.storage = Some(name.clone());
    let plugin = settings.plugins.entry(name).or_default();
    match storage {
        Storage::Etcd(etcd) => provide_etcd(etcd, plugin),
        Storage::DynamoDb(table) => provide_dynamodb(table, plugin),
        Storage::Plugin { .. } | Storage::Sqlite { .. } | Storage::Memory => {}
    }
}

fn provide_dynamodb(table: &DynamoDb, plugin: &mut PluginSettings) {
    let (region, destination) = (&table.region, table.endpoint.clone());
    let mut set = |key: &str, value: String| plugin.config.insert(key.to_owned(), Written::One(value));
    set("endpoint", destination.to_string());
    set("table_name", table.table_name.clone());
    set("billing_mode", if table.pay_per_request { "pay_per_request" } else { "provisioned" }.to_owned());
    set("continuous_backups", table.continuous_backups.to_string());
    if let Some((read, write)) = table.fixed_capacity {
        set("read_capacity_units", read.to_string());
        set("write_capacity_units", write.to_string());
    }
    // A region's own endpoint is public, except through an endpoint of the operator's network, whose name
    // is the same.
    plugin.grants.push(Grant::http(destination.clone(), true));
    let keys = cloud::keys(table.keys.as_ref());
    let sign = SignSettings { service: "dynamodb".to_owned(), region: region.clone(), keys };
    plugin.http.push(PlaceSettings {
        destination,
        authority: ServerAuthority::Machine,
        certificate: None,
        sign: Some(sign),
    });
}

fn provide_etcd(etcd: &Etcd, plugin: &mut PluginSettings) {
    let peers = etcd.peers.iter().map(ToString::to_string).collect();
    plugin.config.insert("peers".to_owned(), Written::Many(peers));
    plugin.config.insert("prefix".to_owned(), Written::One(etcd.prefix.clone()));
    for destination in etcd.peers.iter().cloned() {
        // The operator named the member, so it may be on a network of their own.
        plugin.grants.push(Grant::http(destination.clone(), true));
        plugin.http.push(PlaceSettings {
            destination,
            authority: authority(etcd),
            certificate: Some(CertificatePair {
                cert_file: etcd.cert_file.clone(),
                key_file: etcd.key_file.clone(),
            }),
            sign: None,
        });
    }
}

/// Who vouches for the members.
fn authority(etcd: &Etcd) -> ServerAuthority {
    match &etcd.ca_file {
        _ if etcd.insecure => ServerAuthority::Anyone,
        Some(path) => ServerAuthority::File(path.clone()),
        None => ServerAuthority::Machine,
    }
}

#[cfg(test)]
mod tests {
    use domain::plugin::Destination;

    use super::*;

    #[test]
    fn etcd_gets_its_members_as_they_are_written_and_nothing_else() {
        let text = "
teleport:
  storage:
    type: etcd
    peers: [\"https://10.0.0.1:2379\", \"https://ETCD.internal:2379/\", \"https://etcd.example.com\"]
    tls_cert_file: /c
    tls_key_file: /k
    tls_ca_file: /ca
";
        let storage = config::check(text, "x.yaml").unwrap().storage;
        let mut settings = Settings::new("/nowhere");
        provide(&storage, &mut settings);
        let plugin = &settings.plugins[&PluginName::new(ETCD).unwrap()];
        let granted = |peer: &str| Grant::http(Destination::parse(peer).unwrap(), true);
        let peers = ["https://10.0.0.1:2379", "https://etcd.internal:2379", "https://etcd.example.com"];
        assert_eq!(plugin.grants, peers.map(granted));
        assert_eq!(plugin.config["peers"], Written::Many(peers.map(str::to_owned).into()));
        assert!(
            settings.storage.is_some()
                && plugin.http.iter().all(|place| place.authority == ServerAuthority::File("/ca".into()))
        );
    }

    #[test]
    fn members_nobody_vouches_for_are_taken_where_it_is_asked_for() {
        let mut etcd = Etcd {
            peers: Vec::new(),
            cert_file: "/c".into(),
            key_file: "/k".into(),
            ca_file: None,
            insecure: false,
            prefix: String::new(),
        };
        assert_eq!(authority(&etcd), ServerAuthority::Machine);
        etcd.ca_file = Some("/ca".into());
        assert_eq!(authority(&etcd), ServerAuthority::File("/ca".into()));
        etcd.insecure = true;
        assert_eq!(authority(&etcd), ServerAuthority::Anyone);
    }

    #[test]
    fn dynamodb_gets_its_endpoint_signed_and_no_key() {
        let text = "
teleport:
  storage: { type: dynamodb, region: eu-north-1, table_name: teleport, access_key: AK, secret_key: s3cret }
";
        let storage = config::check(text, "x.yaml").unwrap().storage;
        let mut settings = Settings::new("/nowhere");
        provide(&storage, &mut settings);
        let plugin = &settings.plugins[&PluginName::new(DYNAMODB).unwrap()];
        let endpoint = "https://dynamodb.eu-north-1.amazonaws.com";
        assert_eq!(plugin.grants, [Grant::http(Destination::parse(endpoint).unwrap(), true)]);
        let sign = plugin.http[0].sign.as_ref().unwrap();
        assert_eq!((sign.service.as_str(), sign.region.as_str()), ("dynamodb", "eu-north-1"));
        assert!(matches!(&sign.keys, plugin_host::AwsKeys::Given { access_key, .. } if access_key == "AK"));
        assert!(!format!("{:?}", plugin.config).contains("s3cret"));
    }

    #[test]
    fn other_storage_needs_no_plugin() {
        let mut settings = Settings::new("/nowhere");
        provide(&Storage::Memory, &mut settings);
        assert!(settings.storage.is_none() && settings.plugins.is_empty());
    }
}
