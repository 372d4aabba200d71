//! The keys of the backends that live on other machines.

use std::path::PathBuf;
use std::time::Duration;

use domain::secret::Secret;

use crate::address::HostPort;
use crate::field::Field;
use crate::section::Section;

/// How to reach an etcd cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Etcd {
    /// `https://host:port` of its members.
    pub peers: Vec<String>,
    /// The client certificate.
    pub cert_file: PathBuf,
    /// The client key.
    pub key_file: PathBuf,
    /// The authority of the members; the system's authorities when absent.
    pub ca_file: Option<PathBuf>,
    /// What every key starts with.
    pub prefix: String,
}

/// How to reach a DynamoDB table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DynamoDb {
    /// The cloud region.
    pub region: String,
    /// The table; made when absent.
    pub table_name: String,
    /// Where it answers, when that is not the region's own endpoint: `https://host[:port]`.
    pub endpoint: Option<String>,
    /// Access and secret key; the machine's own role when absent.
    pub keys: Option<(String, Secret)>,
    /// Whether requests are paid one by one.
    pub pay_per_request: bool,
    /// Whether the table is backed up continuously.
    pub continuous_backups: bool,
    /// Bounds of automatic scaling of reads and writes, when it is on.
    pub auto_scaling: Option<(Capacity, Capacity)>,
    /// Fixed capacity for reads and writes, when it is provisioned.
    pub fixed_capacity: Option<(u64, u64)>,
    /// How long events are kept.
    pub retention: Duration,
}

/// Bounds of automatic scaling.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capacity {
    /// The least units.
    pub min: u64,
    /// The most units.
    pub max: u64,
    /// The share in use to aim at, in percent.
    pub target: u64,
}

const ETCD_PREFIX: &str = "teleport";

/// Events are kept for a year unless the operator says otherwise.
const RETENTION: Duration = Duration::from_secs(365 * 24 * 3600);

/// Reads the keys of `type: etcd`.
pub(super) fn read_etcd(storage: &mut Section<'_>) -> Etcd {
    let peers = storage.field("peers").and_then(|field| peers(&field));
    for required in ["peers", "tls_cert_file", "tls_key_file"] {
        require(storage, required, "etcd");
    }
    if storage.flag("insecure") == Some(true) {
        let what = "taking any member's certificate is not served: whoever answers would get every record; name the members' authority in tls_ca_file";
        storage.problem("insecure", what);
    }
    Etcd {
        peers: peers.unwrap_or_default(),
        cert_file: storage.path("tls_cert_file").unwrap_or_default(),
        key_file: storage.path("tls_key_file").unwrap_or_default(),
        ca_file: storage.path("tls_ca_file"),
        prefix: storage.text("prefix").unwrap_or(ETCD_PREFIX).to_owned(),
    }
}

fn peers(field: &Field<'_>) -> Option<Vec<String>> {
    let items = field.list()?;
    if items.is_empty() {
        field.problem("is empty; list at least one https://host:port");
    }
    Some(items.iter().filter_map(peer).collect())
}

fn peer(item: &Field<'_>) -> Option<String> {
    let text = item.text()?;
    let Some(address) = text.strip_prefix("https://") else {
        item.problem("must start with https://, such as https://10.0.0.1:2379");
        return None;
    };
    item.checked(HostPort::parse(address.trim_end_matches('/'), 2379))?;
    Some(text.to_owned())
}

/// Reads the keys of `type: dynamodb`.
pub(super) fn read_dynamodb(storage: &mut Section<'_>) -> DynamoDb {
    for required in ["region", "table_name"] {
        require(storage, required, "dynamodb");
    }
    if storage.flag("auto_scaling") == Some(true) {
        let what = "has no effect in this version: a table that is made is paid by request, or has read_capacity_units and write_capacity_units; scale it with the cloud's own tools";
        if let Some(field) = storage.field("auto_scaling") {
            field.warning(what);
        }
    }
    let mode = storage.field("billing_mode");
    let mode = mode.and_then(|field| field.choice(&[("pay_per_request", true), ("provisioned", false)]));
    let units =
        [storage.whole("read_capacity_units", 1, 1 << 32), storage.whole("write_capacity_units", 1, 1 << 32)];
    DynamoDb {
        region: storage.text("region").unwrap_or_default().to_owned(),
        table_name: storage.text("table_name").unwrap_or_default().to_owned(),
        endpoint: storage.field("endpoint").and_then(|field| endpoint(&field)),
        keys: access_keys(storage),
        pay_per_request: mode.unwrap_or(true),
        continuous_backups: storage.flag("continuous_backups").unwrap_or(false),
        auto_scaling: auto_scaling(storage),
        fixed_capacity: match units {
            [Some(read), Some(write)] => Some((read, write)),
            _ => None,
        },
        retention: storage.duration("retention_period").unwrap_or(RETENTION),
    }
}

fn endpoint(field: &Field<'_>) -> Option<String> {
    let text = field.text()?.trim_end_matches('/');
    let address = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let Some(address) = address else {
        field.problem("must start with https://, such as https://dynamodb.eu-north-1.amazonaws.com");
        return None;
    };
    field.checked(HostPort::parse(address, 443))?;
    Some(text.to_owned())
}

fn access_keys(storage: &mut Section<'_>) -> Option<(String, Secret)> {
    let (access, secret) = (storage.text("access_key"), storage.text("secret_key"));
    match (storage.key_at("access_key"), storage.key_at("secret_key")) {
        (Some(_), None) => storage.problem("access_key", "needs secret_key beside it"),
        (None, Some(_)) => storage.problem("secret_key", "needs access_key beside it"),
        _ => {}
    }
    Some((access?.to_owned(), Secret::from(secret?)))
}

fn auto_scaling(storage: &mut Section<'_>) -> Option<(Capacity, Capacity)> {
    let on = storage.flag("auto_scaling").unwrap_or(false);
    let mut bounds = |min_key, max_key, target_key| {
        let min = storage.whole(min_key, 1, 1 << 32);
        let max = storage.whole(max_key, 1, 1 << 32);
        let target = storage.whole(target_key, 20, 90);
        if min.is_some_and(|min| max.is_some_and(|max| max < min)) {
            storage.problem(max_key, format!("must not be less than {min_key}"));
        }
        // What the cloud's own console proposes.
        Capacity { min: min.unwrap_or(5), max: max.unwrap_or(100), target: target.unwrap_or(70) }
    };
    let read = bounds("read_min_capacity", "read_max_capacity", "read_target_value");
    let write = bounds("write_min_capacity", "write_max_capacity", "write_target_value");
    on.then_some((read, write))
}

fn require(storage: &Section<'_>, key: &str, backend: &str) {
    if storage.key_at(key).is_none() {
        storage.problem("type", format!("{backend} needs the key `{key}`; add it beside `type`"));
    }
}
