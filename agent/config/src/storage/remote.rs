//! The keys of the backends that live on other machines.

use std::path::PathBuf;

use domain::plugin::Destination;
use domain::secret::Secret;

use crate::field::Field;
use crate::section::Section;

/// How to reach an etcd cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Etcd {
    /// Its members, each one place that is reached with TLS.
    pub peers: Vec<Destination>,
    /// The client certificate.
    pub cert_file: PathBuf,
    /// The client key.
    pub key_file: PathBuf,
    /// The authority of the members; the system's authorities when absent.
    pub ca_file: Option<PathBuf>,
    /// Whether any certificate of a member is taken, and no authority asked.
    pub insecure: bool,
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
    /// Where it answers, one place: the region's own, unless another is written.
    pub endpoint: Destination,
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

/// Reads the keys of `type: etcd`.
pub(super) fn read_etcd(storage: &mut Section<'_>) -> Etcd {
    let peers = storage.field("peers").and_then(|field| peers(&field));
    for required in ["peers", "tls_cert_file", "tls_key_file"] {
        require(storage, required, "etcd");
    }
    let insecure = storage.flag("insecure") == Some(true);
    if insecure && let Some(field) = storage.field("insecure") {
        field.warning("takes any member's certificate: whoever answers at its address gets every record; name the members' authority in tls_ca_file instead");
    }
    Etcd {
        peers: peers.unwrap_or_default(),
        cert_file: storage.path("tls_cert_file").unwrap_or_default(),
        key_file: storage.path("tls_key_file").unwrap_or_default(),
        ca_file: storage.path("tls_ca_file"),
        insecure,
        prefix: storage.text("prefix").unwrap_or(ETCD_PREFIX).to_owned(),
    }
}

fn peers(field: &Field<'_>) -> Option<Vec<Destination>> {
    let items = field.list()?;
    if items.is_empty() {
        field.problem("is empty; list at least one https://host:port");
    }
    Some(items.iter().filter_map(peer).collect())
}

fn peer(item: &Field<'_>) -> Option<Destination> {
    let text = item.text()?;
    let Some(address) = text.strip_prefix("https://") else {
        item.problem("must start with https://, such as https://10.0.0.1:2379");
        return None;
    };
    let place = one_place(item)?;
    if !address.rsplit(']').next().unwrap_or_default().contains(':') {
        item.warning(
            "has no port, so 443 is dialled; a member of etcd listens on 2379 unless it is told otherwise",
        );
    }
    Some(place)
}

/// A place as requests are held against it: what is granted to the plugin is this very value.
fn one_place(field: &Field<'_>) -> Option<Destination> {
    let text = field.text()?;
    if text.contains('@') {
        // Not shown: what stands before it may be a password.
        field.problem("has user information before the host; leave it out");
        return None;
    }
    let place = field.checked(Destination::parse(text))?;
    if place.target().is_none() {
        field.problem("must name one host, without `*`");
        return None;
    }
    Some(place)
}

/// Reads the keys of `type: dynamodb`.
pub(super) fn read_dynamodb(storage: &mut Section<'_>) -> Option<DynamoDb> {
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
    let endpoint = storage.field("endpoint").map(|field| endpoint(&field));
    let region = storage.field("region");
    let of_region = region.as_ref().and_then(of_region);
    let names = [region.as_ref().and_then(Field::any_text), storage.text("table_name")];
    let [region, table_name] = names.map(|name| name.unwrap_or_default().to_owned());
    let (keys, auto_scaling) = (access_keys(storage), auto_scaling(storage));
    let continuous_backups = storage.flag("continuous_backups").unwrap_or(false);
    if storage.duration("retention_period").is_some()
        && let Some(field) = storage.field("retention_period")
    {
        field.warning("has no effect in this version: audit events are in files on each auth server's own disk, and stay there until you delete them");
    }
    // Not before every key has been looked at.
    let endpoint = endpoint.unwrap_or_else(|| of_region.clone()).filter(|_| of_region.is_some())?;
    Some(DynamoDb {
        region,
        table_name,
        endpoint,
        keys,
        pay_per_request: mode.unwrap_or(true),
        continuous_backups,
        auto_scaling,
        fixed_capacity: match units {
            [Some(read), Some(write)] => Some((read, write)),
            _ => None,
        },
    })
}

/// The region's own endpoint.
fn of_region(field: &Field<'_>) -> Option<Destination> {
    let region = field.text()?;
    // China's regions have a domain of their own.
    let domain = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
    let plain = region.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    let place = Destination::parse(&format!("https://dynamodb.{region}.{domain}")).ok().filter(|_| plain);
    if place.is_none() {
        field.problem("is no name of a region, such as eu-north-1");
    }
    place
}

fn endpoint(field: &Field<'_>) -> Option<Destination> {
    let text = field.text()?;
    if !["https://", "http://"].iter().any(|scheme| text.starts_with(scheme)) {
        field.problem("must start with https://, such as https://dynamodb.eu-north-1.amazonaws.com");
        return None;
    }
    one_place(field)
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
