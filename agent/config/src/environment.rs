//! What the daemon takes from its environment: the way out through an HTTP proxy, and a whole
//! configuration for hosts without a file.
//!
//! The variables are handed in as a map. [`Environment::from_process`] is the one place of the product
//! that reads the real ones.

use std::collections::BTreeMap;
use std::fmt;

use domain::secret::Secret;

use crate::address::HostPort;
use crate::report::Report;

/// The variable with a whole configuration in base64.
pub(crate) const CONFIG: &str = "TELEPORT_CONFIG";

const HTTPS_PROXY: &str = "HTTPS_PROXY";
const HTTP_PROXY: &str = "HTTP_PROXY";
const NO_PROXY: &str = "NO_PROXY";

/// Variables by name. No `Debug`: a proxy's password may be among them.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Environment(BTreeMap<String, String>);

impl Environment {
    /// These variables and no others.
    pub fn new<K: Into<String>, V: Into<String>>(variables: impl IntoIterator<Item = (K, V)>) -> Self {
        Self(variables.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }

    /// The variables of this process that matter. A value that is not text is read as far as it is.
    pub fn from_process() -> Self {
        let names = [CONFIG, HTTPS_PROXY, HTTP_PROXY, NO_PROXY].into_iter();
        let names = names.flat_map(|name| [name.to_owned(), name.to_ascii_lowercase()]);
        Self::new(names.filter_map(|name| {
            let value = std::env::var_os(&name)?.to_string_lossy().into_owned();
            Some((name, value))
        }))
    }

    /// A variable by its name, or by its name in lower case; empty is the same as absent.
    pub(crate) fn value(&self, name: &str) -> Option<&str> {
        let value = |name: &str| self.0.get(name).map(|value| value.trim()).filter(|value| !value.is_empty());
        value(name).or_else(|| value(&name.to_ascii_lowercase()))
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// The way out of the site.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HttpProxy {
    /// For connections with TLS.
    pub https: Option<ProxyAddress>,
    /// For connections without.
    pub http: Option<ProxyAddress>,
    /// Hosts, `.suffixes`, `*`, CIDR ranges and `host:port` that are reached directly.
    pub direct: Vec<String>,
}

/// An HTTP proxy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProxyAddress {
    /// Where it is.
    pub address: HostPort,
    /// User name and password, when it asks for them.
    pub credentials: Option<(String, Secret)>,
}

/// Why a text is no proxy. It never holds the text, which may hold a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProxyAddressError {
    /// A scheme other than `http`.
    #[error("only http:// proxies are spoken to; write http://host:port")]
    Scheme,
    /// The rest.
    #[error("is not a proxy address; write http://host:port or http://user:password@host:port")]
    Form,
}

impl ProxyAddress {
    /// Reads `[http://][user:password@]host[:port]`. The port is 80 when absent, and user and password
    /// may hold percent escapes (RFC 3986, section 2.1).
    ///
    /// # Errors
    /// [`ProxyAddressError`] says how to write it.
    pub fn parse(text: &str) -> Result<Self, ProxyAddressError> {
        let rest = match text.trim().split_once("://") {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => rest,
            Some(_) => return Err(ProxyAddressError::Scheme),
            None => text.trim(),
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (user, host) = rest.rsplit_once('@').map_or((None, rest), |(user, host)| (Some(user), host));
        let address = HostPort::parse(host, 80).map_err(|_| ProxyAddressError::Form)?;
        let credentials = user.map(credentials).transpose()?;
        Ok(Self { address, credentials })
    }
}

fn credentials(text: &str) -> Result<(String, Secret), ProxyAddressError> {
    let (user, password) = text.split_once(':').unwrap_or((text, ""));
    let decoded = |part| percent_decoded(part).ok_or(ProxyAddressError::Form);
    let user = String::from_utf8(decoded(user)?).map_err(|_| ProxyAddressError::Form)?;
    // Both go into a header line of their own making (RFC 7617, section 2): no colon, no control byte.
    let password = Secret::new(decoded(password)?);
    let fits = |bytes: &[u8]| bytes.iter().all(|byte| !byte.is_ascii_control());
    if user.is_empty() || user.contains(':') || !fits(user.as_bytes()) || !fits(password.reveal()) {
        return Err(ProxyAddressError::Form);
    }
    Ok((user, password))
}

fn percent_decoded(text: &str) -> Option<Vec<u8>> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            decoded.push(byte);
            continue;
        }
        let mut digit = || char::from(bytes.next()?).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        let (high, low) = (digit()?, digit()?);
        decoded.push(high << 4 | low);
    }
    Some(decoded)
}

/// Reads the proxy variables.
pub(crate) fn http_proxy(environment: &Environment, report: &Report) -> HttpProxy {
    let proxy = |name| {
        let parsed = ProxyAddress::parse(environment.value(name)?);
        report.warning(
            None,
            name,
            "is used for requests of plugins; this program's own connections are made directly",
        );
        parsed.map_err(|error| report.problem(None, name, error)).ok()
    };
    let direct = environment.value(NO_PROXY).unwrap_or_default();
    let direct = direct.split([',', ' ']).map(str::trim).filter(|entry| !entry.is_empty());
    HttpProxy {
        https: proxy(HTTPS_PROXY),
        http: proxy(HTTP_PROXY),
        direct: direct.map(str::to_owned).collect(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn proxies_read_with_and_without_their_parts() {
        for (text, address) in [
            ("proxy:8080", "proxy:8080"),
            ("http://proxy:8080/", "proxy:8080"),
            ("HTTP://proxy", "proxy:80"),
            ("http://[::1]:3128", "[::1]:3128"),
        ] {
            let proxy = ProxyAddress::parse(text).unwrap();
            assert_eq!((proxy.address.to_string().as_str(), proxy.credentials), (address, None), "{text}");
        }
        let proxy = ProxyAddress::parse("http://joe:p%40ss:word@proxy:1").unwrap();
        assert_eq!(proxy.credentials, Some(("joe".to_owned(), Secret::from("p@ss:word"))));
    }

    #[test]
    fn errors_never_show_the_password() {
        for text in [
            "https://joe:hunter2@proxy:1",
            "http://joe:hunter2@pro xy:1",
            "joe:hunter2%@proxy",
            "joe:hunter2%0a@proxy",
        ] {
            let environment = Environment::new([("https_proxy", text)]);
            let report = Report::new("t.yaml");
            http_proxy(&environment, &report);
            let error = report.close().unwrap_err().to_string();
            assert!(error.starts_with("HTTPS_PROXY: ") && !error.contains("hunter2"), "{error}");
            assert!(!format!("{environment:?}").contains("hunter2"));
        }
    }

    #[test]
    fn upper_case_wins_and_empty_is_absent() {
        let environment =
            Environment::new([("HTTP_PROXY", "a:1"), ("http_proxy", "b:1"), ("HTTPS_PROXY", " ")]);
        let proxy = http_proxy(&environment, &Report::new(""));
        assert_eq!(proxy.http.unwrap().address.host, "a");
        assert_eq!(proxy.https, None);
    }

    #[test]
    fn exceptions_are_a_list() {
        let environment = Environment::new([("NO_PROXY", "localhost, .example.com,,10.0.0.0/8")]);
        let proxy = http_proxy(&environment, &Report::new(""));
        assert_eq!(proxy.direct, ["localhost", ".example.com", "10.0.0.0/8"]);
    }

    proptest! {
        #[test]
        fn no_text_panics(text in ".{0,40}") {
            let _ = ProxyAddress::parse(&text);
        }
    }
}
