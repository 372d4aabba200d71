//! Proxies and auth servers, as they make themselves known: so that whoever joins or logs in is told where they
//! are, and no node takes the name of a proxy.
//!
//! The records are made by heartbeats and by nobody else, so what a newer program adds to them is no misspelt word: it
//! is passed over.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::certificate::check_principal;
use crate::label::clean_value;
use crate::name::HostId;
use crate::resource::{Kind, Metadata, Resource, ResourceError, Spec};

/// A proxy. Its name is the host's UUID.
pub type Proxy = Resource<ProxySpec>;

/// An auth server. Its name is the host's UUID.
pub type AuthServer = Resource<AuthServerSpec>;

/// The most addresses of one kind.
pub const ADDRESSES_MAX: usize = 32;

/// The most names one proxy has to itself.
const NAMES_MAX: usize = 64;

/// The longest name and version kept, in characters.
const TEXT_MAX: usize = 256;

/// What a proxy says about itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProxySpec {
    /// Its host's name.
    pub hostname: String,
    /// `host:port` of its web port, as agents and browsers reach it.
    #[serde(default)]
    pub public_addrs: Vec<String>,
    /// `host:port` of its SSH port, as users reach it.
    #[serde(default)]
    pub ssh_public_addrs: Vec<String>,
    /// The version of the program it runs.
    #[serde(default)]
    pub version: String,
}

/// What an auth server says about itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuthServerSpec {
    /// Its host's name.
    pub hostname: String,
    /// `host:port` of its API.
    #[serde(default)]
    pub addrs: Vec<String>,
    /// The version of the program it runs.
    #[serde(default)]
    pub version: String,
}

impl ProxySpec {
    /// The spec without what a terminal or a file could not bear in name and version.
    #[must_use]
    pub fn cleaned(self) -> Self {
        Self { hostname: clean(&self.hostname), version: clean(&self.version), ..self }
    }
}

impl Spec for ProxySpec {
    const KIND: Kind = Kind::Proxy;
    const VERSIONS: &'static [&'static str] = &["v2"];

    fn check(&self, metadata: &Metadata) -> Result<(), ResourceError> {
        check_name::<Self>(metadata)?;
        check_addresses::<Self>(metadata, "spec.public_addrs", &self.public_addrs)?;
        check_addresses::<Self>(metadata, "spec.ssh_public_addrs", &self.ssh_public_addrs)
    }
}

impl Spec for AuthServerSpec {
    const KIND: Kind = Kind::AuthServer;
    const VERSIONS: &'static [&'static str] = &["v2"];

    fn check(&self, metadata: &Metadata) -> Result<(), ResourceError> {
        check_name::<Self>(metadata)?;
        check_addresses::<Self>(metadata, "spec.addrs", &self.addrs)
    }
}

/// The host of `host:port`.
pub fn host(address: &str) -> &str {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    host.trim_start_matches('[').trim_end_matches(']')
}

/// Whether this host is whatever machine dials it, in whatever spelling.
pub fn is_loopback(host: &str) -> bool {
    match host.parse::<IpAddr>() {
        Ok(ip) => ip.to_canonical().is_loopback(),
        Err(_) => host.trim_end_matches('.').eq_ignore_ascii_case("localhost"),
    }
}

/// Whether this is a port of a host that is one name.
pub fn is_address(address: &str) -> bool {
    let port = address.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok());
    port.is_some_and(|port| port > 0) && check_principal(host(address)).is_ok()
}

/// The names under which a proxy is reached that has these in its certificate: what it is told, and where that is no
/// name, its host's.
pub fn names_of_proxy<'a>(hostname: &'a str, addresses: &'a [String]) -> Vec<&'a str> {
    let is_nameless = addresses.iter().all(|address| address.parse::<IpAddr>().is_ok());
    let told = addresses.iter().map(String::as_str);
    told.chain(is_nameless.then_some(hostname)).take(NAMES_MAX).collect()
}

/// Whether a name is one of these, which are proxies', in whatever spelling. Every host is `localhost` to itself.
pub fn is_proxys(names: &[String], name: &str) -> bool {
    // The same name in the spelling of the DNS with its root.
    let name = name.trim_end_matches('.');
    if is_loopback(name) {
        return false;
    }
    let ip = name.parse::<IpAddr>().ok();
    let is_same = |other: &String| {
        let other = other.trim_end_matches('.');
        other.eq_ignore_ascii_case(name) || ip.is_some() && other.parse().ok() == ip
    };
    names.iter().any(is_same)
}

fn clean(text: &str) -> String {
    clean_value(text).chars().take(TEXT_MAX).collect()
}

fn check_name<S: Spec>(metadata: &Metadata) -> Result<(), ResourceError> {
    match HostId::parse(&metadata.name) {
        Some(_) => Ok(()),
        None => {
            Err(Resource::<S>::invalid(metadata, "metadata.name", "a server is named by its host's UUID"))
        }
    }
}

/// Few of them, each of a port and of a host that is one name: they are written into files of clients.
fn check_addresses<S: Spec>(
    metadata: &Metadata,
    field: &'static str,
    addresses: &[String],
) -> Result<(), ResourceError> {
    if addresses.len() > ADDRESSES_MAX {
        let reason = format!("more than {ADDRESSES_MAX} addresses");
        return Err(Resource::<S>::invalid(metadata, field, reason));
    }
    match addresses.iter().find(|address| !is_address(address)) {
        None => Ok(()),
        Some(address) => {
            Err(Resource::<S>::invalid(metadata, field, format!("{address:?} is not of the form host:port")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "d52527f9-b260-41d0-bb5a-e23b0cfe0f8f";

    fn check(address: &str) -> Result<(), ResourceError> {
        let addresses = vec![address.to_owned()];
        let proxy = Proxy::new(ID, ProxySpec { ssh_public_addrs: addresses.clone(), ..ProxySpec::default() });
        let auth = AuthServer::new(ID, AuthServerSpec { addrs: addresses, ..AuthServerSpec::default() });
        let (proxy, auth) = (proxy.check(), auth.check());
        assert_eq!(proxy.is_ok(), auth.is_ok(), "{address}");
        proxy
    }

    #[test]
    fn an_address_is_a_port_of_one_host() {
        for good in ["p.example.com:3080", "[::1]:443", "10.0.0.1:1", "bücher.example:3080"] {
            check(good).unwrap();
        }
        let bad =
            ["", ":1", "p", "p:", "p:0", "p:65536", "a,b:1", "*.example.com:1", "a b:1", "p\n:1", "[]:1"];
        for bad in bad {
            let error = check(bad).unwrap_err().to_string();
            assert!(error.contains("spec.ssh_public_addrs") && error.contains("host:port"), "{error}");
        }
        let many =
            ProxySpec { public_addrs: vec!["p:1".to_owned(); ADDRESSES_MAX + 1], ..ProxySpec::default() };
        assert!(Proxy::new(ID, many).check().is_err());
        assert!(Proxy::new("p", ProxySpec::default()).check().is_err(), "the name is a UUID");
    }

    #[test]
    fn a_proxy_without_a_name_of_its_own_has_that_of_its_host() {
        let addresses = ["10.0.0.1", "p.example.com"].map(str::to_owned);
        assert_eq!(names_of_proxy("host-1", &addresses), ["10.0.0.1", "p.example.com"]);
        assert_eq!(names_of_proxy("host-1", &addresses[..1]), ["10.0.0.1", "host-1"]);
        assert_eq!(names_of_proxy("host-1", &[]), ["host-1"]);
    }

    #[test]
    fn a_name_is_the_same_in_every_spelling() {
        let names = ["p.example.com", "2001:db8::1", "127.0.0.1", "localhost"].map(str::to_owned);
        for same in ["p.example.com", "P.Example.COM.", "2001:0DB8::0001"] {
            assert!(is_proxys(&names, same), "{same}");
        }
        for other in ["q.example.com", "example.com", "2001:db8::2", "127.0.0.1", "localhost", ""] {
            assert!(!is_proxys(&names, other), "{other}");
        }
    }

    #[test]
    fn what_a_proxy_says_is_taken_apart_and_cleaned() {
        let spec = ProxySpec {
            hostname: "p\u{1b}[2J".to_owned(),
            public_addrs: vec!["p.example.com:3080".to_owned(), "[2001:db8::1]:443".to_owned()],
            ssh_public_addrs: vec!["ssh.example.com:22".to_owned()],
            version: "1\n".repeat(1000),
        };
        let hosts: Vec<_> = spec.public_addrs.iter().map(|address| host(address)).collect();
        assert_eq!(hosts, ["p.example.com", "2001:db8::1"]);
        let spec = spec.cleaned();
        assert_eq!(spec.hostname, "p[2J");
        assert!(spec.version.len() <= TEXT_MAX && !spec.version.contains('\n'));
    }
}
