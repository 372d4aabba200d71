//! How a host joins: whom it asks, with which secret, and how it knows them.
//!
//! Which keys name the servers depends on the version of the file: `auth_servers` in v1 and v2,
//! `auth_server` or `proxy_server` from v3 on. Whether joining is needed at all is decided in
//! [`crate::role`], once flags and services are known.

use crate::address::HostPort;
use crate::auth;
use crate::field::Field;
use crate::proxy;
use crate::report::Position;
use crate::secret_source::{CaPinSource, SecretSource};
use crate::section::Section;
use crate::settings::Version;
use crate::shown::{not_one_of, shown};

/// How to become part of a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Join {
    /// The secret; needed on the first start only, so it may be gone later.
    pub token: Option<SecretSource>,
    /// Whom to ask, any of them; never empty.
    pub servers: Vec<HostPort>,
    /// What they are.
    pub kind: ServerKind,
    /// How to know the cluster's authority; no pin when empty.
    pub ca_pins: Vec<CaPinSource>,
}

/// What answers at the addresses to join through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServerKind {
    /// Auth servers.
    Auth,
    /// Proxies.
    Proxy,
    /// Either; the first connection tells.
    Unknown,
}

/// What the file says about joining.
#[derive(Debug, Default)]
pub(crate) struct JoinKeys {
    pub(crate) token: Option<SecretSource>,
    pub(crate) servers: Option<Servers>,
    pub(crate) ca_pins: Vec<CaPinSource>,
}

/// Servers the file names.
#[derive(Debug)]
pub(crate) struct Servers {
    pub(crate) key: &'static str,
    pub(crate) at: Option<Position>,
    pub(crate) kind: ServerKind,
    pub(crate) addresses: Vec<HostPort>,
}

/// Methods of other proofs than a token, which this version does not serve.
const METHODS_ELSEWHERE: &[&str] = &[
    "azure",
    "azure_devops",
    "bitbucket",
    "bound_keypair",
    "circleci",
    "ec2",
    "gcp",
    "github",
    "gitlab",
    "iam",
    "kubernetes",
    "oracle",
    "spacelift",
    "terraform_cloud",
    "tpm",
];

/// Reads the keys about joining of the `teleport` section.
pub(crate) fn read(teleport: &mut Section<'_>, version: Version) -> JoinKeys {
    if teleport.field("relay_server").is_some() {
        teleport.problem("relay_server", "relays are not served by this version; remove the key");
    }
    let ca_pins = teleport.field("ca_pin").map(|field| field.list_or_one()).unwrap_or_default();
    JoinKeys {
        token: token(teleport),
        servers: servers(teleport, version),
        ca_pins: ca_pins.iter().filter_map(ca_pin).collect(),
    }
}

fn ca_pin(field: &Field<'_>) -> Option<CaPinSource> {
    field.checked(CaPinSource::new(field.place(), field.text()?))
}

fn token(teleport: &mut Section<'_>) -> Option<SecretSource> {
    let source = |field: Field<'_>| Some(SecretSource::new(field.place(), field.text()?));
    let plain = teleport.field("auth_token").and_then(source);
    if plain.is_some() && teleport.key_at("join_params").is_some() {
        teleport.problem("join_params", "says what auth_token says; keep one of them");
    }
    let params = teleport.within("join_params", |params| {
        if let Some(method) = params.field("method") {
            check_method(&method);
        }
        // Read for the sake of its spelling: a method that uses it is refused above.
        params.within("azure", |azure| azure.text("client_id").map(str::len));
        params.field("token_name").and_then(source)
    });
    plain.or(params)
}

fn check_method(field: &Field<'_>) {
    let Some(text) = field.text() else { return };
    let word = text.to_ascii_lowercase();
    if METHODS_ELSEWHERE.contains(&word.as_str()) {
        field.problem(format!("joining by {word} is not served by this version; use `method: token`"));
    } else if word != "token" {
        field.problem(not_one_of(text, &["token"]));
    }
}

fn servers(teleport: &mut Section<'_>, version: Version) -> Option<Servers> {
    let many = teleport.field("auth_servers");
    let auth = teleport.field("auth_server");
    let proxy = teleport.field("proxy_server");
    if version == Version::V3 {
        if many.is_some() {
            let message = "is gone in version v3; name one auth_server or one proxy_server instead";
            teleport.problem("auth_servers", message);
        }
        if auth.is_some() && proxy.is_some() {
            teleport.problem("proxy_server", "stands beside auth_server; keep one of them");
        }
    } else {
        for key in [("auth_server", &auth), ("proxy_server", &proxy)]
            .into_iter()
            .filter(|(_, field)| field.is_some())
        {
            let message = "needs `version: v3` at the top of the file; in v1 and v2 the key is auth_servers";
            teleport.problem(key.0, message);
        }
    }
    let one = |field: Field<'_>, key, port, kind| {
        let addresses = field.host_port(port).into_iter().collect();
        Servers { key, at: teleport.key_at(key), kind, addresses }
    };
    auth.map(|field| one(field, "auth_server", auth::PORT, ServerKind::Auth))
        .or_else(|| proxy.map(|field| one(field, "proxy_server", proxy::WEB_PORT, ServerKind::Proxy)))
        .or_else(|| many.map(|field| list(&field, teleport.key_at("auth_servers"))))
}

fn list(field: &Field<'_>, at: Option<Position>) -> Servers {
    let items = field.list();
    if items.as_ref().is_some_and(Vec::is_empty) {
        field.problem("is empty; list at least one host:port or remove the key");
    }
    let addresses = items.iter().flatten().filter_map(|item| item.host_port(auth::PORT)).collect();
    Servers { key: "auth_servers", at, kind: ServerKind::Unknown, addresses }
}

/// Where a host says it can be reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advertise {
    /// A name or an IP address.
    pub host: String,
    /// The port, when it differs from the one the service listens on.
    pub port: Option<u16>,
}

impl Advertise {
    /// Reads `host` or `host:port`.
    ///
    /// # Errors
    /// What is wrong with the text.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (host, port) = crate::address::split(text).map_err(|error| error.to_string())?;
        let ip: Option<std::net::IpAddr> = host.parse().ok();
        if ip.is_some_and(|ip| ip.is_unspecified() || ip.is_multicast()) || port == Some(0) {
            return Err(format!("{} is no address that others could connect to", shown(text)));
        }
        Ok(Self { host, port })
    }

    /// Whether only this machine can reach it.
    pub(crate) fn is_local(&self) -> bool {
        self.host == "localhost" || self.host.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback())
    }
}
