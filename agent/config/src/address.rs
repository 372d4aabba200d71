//! Addresses as operators write them: to dial and announce (`host:port`), and to listen on.
//!
//! Reading an address never resolves a name. A name is fit for dialling, where it is looked up when
//! it is needed; a service listens on an IP address, because what a name stands for may change.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::str::FromStr;

use crate::section::Section;
use crate::shown::shown;

/// A host, by name or IP address, and a port.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HostPort {
    /// A name or an IP address, without brackets.
    pub host: String,
    /// The port, never 0.
    pub port: u16,
}

/// Why a text is no address. The texts in it are cut short.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Nothing was written.
    #[error("an address is missing; write it as host:port")]
    Empty,
    /// A URL.
    #[error("{0} is a URL; write only host:port")]
    Url(String),
    /// The port is no port.
    #[error("{0} has no usable port; a port is a number from 1 to 65535")]
    Port(String),
    /// Neither a name nor an IP address.
    #[error("{0} is neither a host name nor an IP address")]
    Host(String),
    /// An IPv6 address and a port that run into each other.
    #[error("{0} needs brackets around the IPv6 address: [::1]:3025")]
    Brackets(String),
    /// A name where only an IP address can be.
    #[error("{0} is a name; a service listens on an IP address, such as 0.0.0.0 or 127.0.0.1")]
    ListenName(String),
}

impl HostPort {
    /// Reads `host:port`, or `host` alone with the default port.
    ///
    /// # Errors
    /// [`AddressError`] says what is wrong and how to write it.
    pub fn parse(text: &str, default_port: u16) -> Result<Self, AddressError> {
        let (host, port) = split(text)?;
        match port {
            Some(0) => Err(AddressError::Port(shown(text))),
            port => Ok(Self { host, port: port.unwrap_or(default_port) }),
        }
    }

    /// The host's IP address, when it is written as one.
    pub fn ip(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl FromStr for HostPort {
    type Err = AddressError;

    /// Reads `host:port`; without a default, the port must be there.
    fn from_str(text: &str) -> Result<Self, AddressError> {
        match split(text)? {
            (host, Some(port)) if port != 0 => Ok(Self { host, port }),
            _ => Err(AddressError::Port(shown(text))),
        }
    }
}

/// Reads a host, with or without a port.
pub(crate) fn split(text: &str) -> Result<(String, Option<u16>), AddressError> {
    let text = text.trim();
    let bare = text.strip_prefix("tcp://").unwrap_or(text);
    if bare.is_empty() {
        return Err(AddressError::Empty);
    }
    if bare.contains("://") || bare.contains('/') {
        return Err(AddressError::Url(shown(text)));
    }
    if let Ok(IpAddr::V6(ip)) = bare.parse() {
        return Ok((ip.to_string(), None));
    }
    let (host, port) = match bare.strip_prefix('[') {
        Some(rest) => {
            let (host, after) = rest.split_once(']').ok_or_else(|| AddressError::Brackets(shown(text)))?;
            if !matches!(host.parse(), Ok(IpAddr::V6(_))) {
                return Err(AddressError::Host(shown(host)));
            }
            let port = after.strip_prefix(':');
            if port.is_none() && !after.is_empty() {
                return Err(AddressError::Port(shown(text)));
            }
            (host, port)
        }
        None => match bare.rsplit_once(':') {
            Some((host, _)) if host.contains(':') => return Err(AddressError::Brackets(shown(text))),
            Some((host, port)) => (host, Some(port)),
            None => (bare, None),
        },
    };
    if !is_host(host) {
        return Err(AddressError::Host(shown(host)));
    }
    let port = port.map(|port| read_port(port, text)).transpose()?;
    Ok((host.to_owned(), port))
}

/// Reads an address to listen on: `ip:port`, `ip`, `:port`; what is left out comes from `default`.
/// Port 0 lets the system choose one.
pub(crate) fn listen(text: &str, default: SocketAddr) -> Result<SocketAddr, AddressError> {
    let trimmed = text.trim();
    let bare = trimmed.strip_prefix("tcp://").unwrap_or(trimmed);
    if let Some(port) = bare.strip_prefix(':').filter(|port| !port.starts_with(':')) {
        return Ok(SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), read_port(port, text)?));
    }
    let (host, port) = split(bare)?;
    let port = port.unwrap_or_else(|| default.port());
    if host.eq_ignore_ascii_case("localhost") {
        return Ok(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port));
    }
    match host.parse() {
        Ok(ip) => Ok(SocketAddr::new(ip, port)),
        Err(_) => Err(AddressError::ListenName(shown(&host))),
    }
}

/// Reads an address to listen on that has no default: the port must be there.
pub(crate) fn listen_with_port(text: &str) -> Result<SocketAddr, AddressError> {
    let address = listen(text, everywhere(0))?;
    let stated = address.port() != 0 || text.trim_end().ends_with(":0");
    stated.then_some(address).ok_or_else(|| AddressError::Port(shown(text)))
}

/// Reads the addresses a service announces: one, or a list.
pub(crate) fn public(section: &mut Section<'_>, key: &'static str, default_port: u16) -> Vec<HostPort> {
    let items = section.field(key).map(|field| field.list_or_one()).unwrap_or_default();
    items.iter().filter_map(|item| item.host_port(default_port)).collect()
}

/// Every address of this machine, at `port`.
pub(crate) const fn everywhere(port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), port)
}

fn read_port(port: &str, whole: &str) -> Result<u16, AddressError> {
    let digits = !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit());
    port.parse().ok().filter(|_| digits).ok_or_else(|| AddressError::Port(shown(whole)))
}

/// A DNS name (an underscore is let through, resolvers know it) or an IPv4 address. A name whose last
/// part is a number is no name but a mistyped IPv4 address: resolvers disagree about it.
fn is_host(host: &str) -> bool {
    if host.parse::<IpAddr>().is_ok() {
        return true;
    }
    let label = |label: &str| {
        let bytes = label.as_bytes();
        (1..=63).contains(&bytes.len())
            && bytes.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
            && bytes.first() != Some(&b'-')
            && bytes.last() != Some(&b'-')
    };
    let name = host.strip_suffix('.').unwrap_or(host);
    let numeric = |label: &str| label.bytes().all(|b| b.is_ascii_digit());
    name.len() <= 253 && name.split('.').all(label) && !name.rsplit('.').next().is_some_and(numeric)
}

#[cfg(test)]
mod tests;
