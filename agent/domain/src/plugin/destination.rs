//! Where a plugin may send HTTP requests: `https://api.example.com`, `https://*.example.com:8443`,
//! `http://10.0.0.5:2379`.
//!
//! Scheme, host and port must all fit. Names are compared as names, addresses as addresses; what a
//! name resolves to is judged afterwards, by [`crate::address`]. Ways of writing a host that different
//! programs read differently (user information, a dot at the end, numbers that are addresses in
//! disguise, letters beyond ASCII) are refused rather than interpreted.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use serde::{Deserialize, de::Error as _};

/// The longest name of a host (RFC 1035 section 2.3.4).
const HOST_MAX: usize = 253;

/// HTTP with or without TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scheme {
    /// Without.
    Http,
    /// With.
    Https,
}

impl Scheme {
    /// The scheme of that name, in lower case as URLs have it.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "http" => Some(Self::Http),
            "https" => Some(Self::Https),
            _ => None,
        }
    }

    /// Its name.
    pub fn key(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    fn port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

/// A host, read in the one way there is.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Host {
    /// A name, in lower case.
    Name(String),
    /// An address.
    Address(IpAddr),
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Address(IpAddr::V6(v6)) => write!(f, "[{v6}]"),
            Self::Address(v4) => v4.fmt(f),
        }
    }
}

/// One place a request goes to.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Target {
    /// With or without TLS.
    pub scheme: Scheme,
    /// The host.
    pub host: Host,
    /// The port.
    pub port: u16,
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme.key(), self.host)?;
        if self.port == self.scheme.port() { Ok(()) } else { write!(f, ":{}", self.port) }
    }
}

/// Why a text is no destination.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DestinationError {
    /// Not `scheme://host`.
    #[error("{0:?} is no place for requests; write it like https://api.example.com or https://10.0.0.5:8443")]
    Form(String),
    /// More than scheme, host and port.
    #[error("{0:?} says more than scheme, host and port; leave the rest out")]
    More(String),
    /// A host that different programs read differently.
    #[error("host {0:?} can be read in more than one way: {1}")]
    Host(String, &'static str),
}

impl Target {
    /// Reads a request's scheme and authority.
    ///
    /// # Errors
    /// [`DestinationError`] says what is wrong with it.
    pub fn parse(scheme: &str, authority: &str) -> Result<Self, DestinationError> {
        let whole = || format!("{scheme}://{authority}");
        let scheme = Scheme::parse(scheme).ok_or_else(|| DestinationError::Form(whole()))?;
        let (host, port) = authority_parts(authority).ok_or_else(|| DestinationError::Form(whole()))?;
        Ok(Self { scheme, host: host_of(host)?, port: port.unwrap_or_else(|| scheme.port()) })
    }
}

/// A place, or all places below a name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Destination {
    target: Target,
    /// Whether names with at least one label more are meant, and not the name itself.
    below: bool,
}

impl Destination {
    /// Reads `https://api.example.com:8443` or `https://*.example.com`.
    ///
    /// # Errors
    /// [`DestinationError`] says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, DestinationError> {
        let form = || DestinationError::Form(text.to_owned());
        let (scheme, rest) = text.split_once("://").ok_or_else(form)?;
        let authority = rest.strip_suffix('/').unwrap_or(rest);
        if authority.contains(['/', '?', '#']) {
            return Err(DestinationError::More(text.to_owned()));
        }
        let (below, authority) = match authority.strip_prefix("*.") {
            Some(rest) => (true, rest),
            None => (false, authority),
        };
        let target = Target::parse(scheme, authority)?;
        // "Everything below com" would be most of the Internet.
        let narrow = matches!(&target.host, Host::Name(name) if name.contains('.'));
        if below && !narrow {
            return Err(DestinationError::Host(
                authority.to_owned(),
                "after `*.` a name of at least two labels is needed",
            ));
        }
        Ok(Self { target, below })
    }

    /// The one place it is; nothing where all places below a name are meant.
    pub fn target(&self) -> Option<&Target> {
        (!self.below).then_some(&self.target)
    }

    /// Whether a request goes there.
    pub fn covers(&self, target: &Target) -> bool {
        self.target.scheme == target.scheme
            && self.target.port == target.port
            && match (&self.target.host, &target.host) {
                (Host::Name(granted), Host::Name(asked)) if self.below => asked
                    .strip_suffix(granted.as_str())
                    .is_some_and(|rest| rest.len() > 1 && rest.ends_with('.')),
                (granted, asked) => !self.below && granted == asked,
            }
    }

    /// Whether everything the other covers is covered.
    pub fn contains(&self, other: &Self) -> bool {
        match (self.below, other.below) {
            (_, false) => self.covers(&other.target),
            (true, true) => self == other || self.covers(&other.target),
            (false, true) => false,
        }
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.target.to_string();
        match text.split_once("://") {
            Some((scheme, rest)) if self.below => write!(f, "{scheme}://*.{rest}"),
            _ => f.write_str(&text),
        }
    }
}

impl<'de> Deserialize<'de> for Destination {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

/// Host and port, `[v6]:port` among them.
fn authority_parts(authority: &str) -> Option<(&str, Option<u16>)> {
    let end = match authority.strip_prefix('[') {
        Some(rest) => rest.find(']')? + 2,
        None => authority.find(':').unwrap_or(authority.len()),
    };
    let (host, rest) = authority.split_at_checked(end)?;
    if rest.is_empty() {
        return Some((host, None));
    }
    let digits = rest.strip_prefix(':')?;
    let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let port: u16 = if plain { digits.parse().ok()? } else { return None };
    (port != 0).then_some((host, Some(port)))
}

fn host_of(text: &str) -> Result<Host, DestinationError> {
    let refuse = |why| Err(DestinationError::Host(text.to_owned(), why));
    if let Some(inner) = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return match inner.parse::<Ipv6Addr>() {
            Ok(v6) => Ok(Host::Address(IpAddr::V6(v6).to_canonical())),
            Err(_) => refuse("between brackets an IPv6 address without a zone is needed"),
        };
    }
    if let Ok(v4) = text.parse::<std::net::Ipv4Addr>() {
        return Ok(Host::Address(v4.into()));
    }
    if !text.is_ascii() {
        return refuse("write it in ASCII, as in xn--…");
    }
    if text.contains('@') {
        return refuse("user information before the host is not taken");
    }
    if text.ends_with('.') {
        return refuse("leave out the dot at its end");
    }
    let name = text.to_ascii_lowercase();
    let label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    if name.len() > HOST_MAX || !name.split('.').all(label) {
        return refuse("a name is labels of letters, digits and hyphens with dots between them");
    }
    // Resolvers take 2130706433, 0x7f.1 and 127.1 for addresses.
    let last = name.rsplit('.').next().unwrap_or_default();
    let number = last.bytes().all(|byte| byte.is_ascii_digit())
        || last.strip_prefix("0x").is_some_and(|hex| hex.bytes().all(|byte| byte.is_ascii_hexdigit()));
    if number {
        refuse("a name does not end in a number; write an address in full")
    } else {
        Ok(Host::Name(name))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn target(text: &str) -> Result<Target, DestinationError> {
        let (scheme, authority) = text.split_once("://").unwrap();
        Target::parse(scheme, authority)
    }

    fn covers(destination: &str, asked: &str) -> bool {
        Destination::parse(destination).unwrap().covers(&target(asked).unwrap())
    }

    #[test]
    fn scheme_host_and_port_must_all_fit() {
        for (granted, asked) in [
            ("https://api.example.com", "https://api.example.com"),
            ("https://api.example.com/", "https://API.Example.com:443"),
            ("https://API.example.com", "https://api.example.com"),
            ("http://example.com", "http://example.com:80"),
            ("https://*.example.com", "https://a.example.com"),
            ("https://*.example.com", "https://a.b.example.com"),
            ("http://127.0.0.1:2379", "http://127.0.0.1:2379"),
            ("https://[::1]:2379", "https://[0:0:0:0:0:0:0:1]:2379"),
            ("https://10.0.0.1", "https://[::ffff:10.0.0.1]"),
        ] {
            assert!(covers(granted, asked), "{granted} {asked}");
        }
        for (granted, asked) in [
            ("https://api.example.com", "http://api.example.com"),
            ("https://api.example.com", "http://api.example.com:443"),
            ("https://api.example.com", "https://api.example.com:8443"),
            ("https://api.example.com", "https://evil.com"),
            ("https://example.com", "https://api.example.com"),
            ("https://*.example.com", "https://example.com"),
            ("https://*.example.com", "https://badexample.com"),
            ("https://*.example.com", "https://example.com.evil.com"),
        ] {
            assert!(!covers(granted, asked), "{granted} {asked}");
        }
    }

    #[test]
    fn hosts_that_can_be_read_in_two_ways_are_refused() {
        for bad in [
            "https://user@example.com",
            "https://example.com@evil.com",
            "https://example.com.",
            "https://2130706433",
            "https://0x7f000001",
            "https://0x7f.1",
            "https://127.1",
            "https://0177.0.0.1",
            "https://１２７.0.0.1",
            "https://exämple.com",
            "https://example..com",
            "https://-a.com",
            "https://a b.com",
            "https://[::1",
            "https://[fe80::1%25eth0]",
            "https://::1",
            "https://example.com:",
            "https://example.com:0",
            "https://example.com:+80",
            "https://example.com:65536",
            "https://",
            "ftp://example.com",
            "HTTPS://example.com",
        ] {
            assert!(target(bad).is_err(), "{bad}");
        }
        for bad in
            ["example.com", "https://example.com/path", "https://example.com?x", "https://*.com", "https://*"]
        {
            assert!(Destination::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_destination_may_lie_within_another() {
        let contains =
            |a: &str, b: &str| Destination::parse(a).unwrap().contains(&Destination::parse(b).unwrap());
        assert!(contains("https://*.example.com", "https://a.example.com"));
        assert!(contains("https://*.example.com", "https://*.example.com"));
        assert!(contains("https://*.example.com", "https://*.a.example.com"));
        assert!(!contains("https://*.a.example.com", "https://*.example.com"));
        assert!(!contains("https://a.example.com", "https://*.a.example.com"));
        assert!(!contains("https://*.example.com", "https://example.com"));
    }

    #[test]
    fn only_what_is_one_place_has_a_target() {
        let place = |text| Destination::parse(text).unwrap().target().map(ToString::to_string);
        assert_eq!(place("https://a.example.com:443/").as_deref(), Some("https://a.example.com"));
        assert_eq!(place("https://*.example.com"), None);
    }

    proptest! {
        #[test]
        fn destinations_survive_writing_and_reading(text in "https?://(\\*\\.)?[a-z]{1,5}(\\.[a-z0-9-]{1,5}){0,3}(:[0-9]{1,5})?") {
            if let Ok(destination) = Destination::parse(&text) {
                prop_assert_eq!(Destination::parse(&destination.to_string()), Ok(destination));
            }
        }

        #[test]
        fn no_text_panics(text in ".{0,60}") {
            let _ = Destination::parse(&text);
            let _ = Target::parse("https", &text);
        }
    }
}
