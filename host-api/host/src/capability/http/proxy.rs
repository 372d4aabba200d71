//! The operator's proxies: what `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY` say to most programs.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::plugin::destination::{Scheme, Target};
use domain::secret::Secret;
use http::HeaderValue;
use hyper_util::client::proxy::matcher::Matcher;
use zeroize::Zeroizing;

/// Proxies for plugins' requests, as `process` found them in the daemon's environment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProxySettings {
    /// For `http` targets.
    pub http: Option<ProxyAddress>,
    /// For `https` targets, which are tunnelled through it with `CONNECT`.
    pub https: Option<ProxyAddress>,
    /// What is reached without a proxy: names with all below them, addresses, networks, `host:port`, and
    /// `*` for everything.
    pub direct: Vec<String>,
}

/// An HTTP proxy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProxyAddress {
    /// `host:port`.
    pub address: String,
    /// User name and password, when it asks for them.
    pub credentials: Option<(String, Secret)>,
}

/// A proxy nobody can use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProxyError {
    /// Not an address, or credentials no header may have.
    #[error(
        "{variable} in the daemon's environment is no proxy for plugins; write it like http://proxy.example.com:3128"
    )]
    Form {
        /// The variable that is usual for it.
        variable: &'static str,
    },
}

/// Which targets are reached through which proxy.
pub(super) struct Proxies {
    http: Option<Through>,
    https: Option<Through>,
    /// Everything that is not reached directly.
    matcher: Matcher,
    direct: Vec<String>,
}

struct Through {
    url: String,
    credentials: Option<HeaderValue>,
}

impl Proxies {
    /// Reads the settings.
    ///
    /// # Errors
    /// [`ProxyError`] for one that would be passed over in silence otherwise.
    pub(super) fn new(settings: &ProxySettings) -> Result<Self, ProxyError> {
        let through = |proxy: &Option<ProxyAddress>, variable| {
            let made = proxy.as_ref().map(|proxy| through(proxy).ok_or(ProxyError::Form { variable }));
            made.transpose()
        };
        let (http, https) =
            (through(&settings.http, "HTTP_PROXY")?, through(&settings.https, "HTTPS_PROXY")?);
        // It is asked only whether a target is excepted, so any proxy will do.
        let matcher = Matcher::builder().all("http://proxy.invalid").no(settings.direct.join(",")).build();
        let direct = settings.direct.iter().map(|entry| entry.to_ascii_lowercase()).collect();
        Ok(Self { http, https, matcher, direct })
    }

    /// The proxy a target is reached through; nothing when it is reached directly.
    ///
    /// # Errors
    /// The client's, when it does not take the proxy.
    pub(super) fn of(&self, target: &Target) -> reqwest::Result<Option<reqwest::Proxy>> {
        let through = match target.scheme {
            Scheme::Http => &self.http,
            Scheme::Https => &self.https,
        };
        let Some(through) = through else { return Ok(None) };
        let with_port = format!("{}:{}", target.host, target.port);
        let excepted = target.to_string().parse().is_ok_and(|uri| self.matcher.intercept(&uri).is_none());
        if excepted || self.direct.contains(&with_port) {
            return Ok(None);
        }
        let proxy = reqwest::Proxy::all(&through.url)?;
        Ok(Some(match &through.credentials {
            Some(credentials) => proxy.custom_http_auth(credentials.clone()),
            None => proxy,
        }))
    }
}

fn through(proxy: &ProxyAddress) -> Option<Through> {
    let url = format!("http://{}", proxy.address);
    reqwest::Proxy::all(&url).ok()?;
    let credentials = match &proxy.credentials {
        None => None,
        Some((user, password)) => {
            let pair = Zeroizing::new([user.as_bytes(), b":", password.reveal()].concat());
            let word = Zeroizing::new(format!("Basic {}", STANDARD.encode(&*pair)));
            let mut value = HeaderValue::from_str(&word).ok()?;
            value.set_sensitive(true);
            Some(value)
        }
    };
    Some(Through { url, credentials })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(text: &str) -> Target {
        let (scheme, authority) = text.split_once("://").unwrap();
        Target::parse(scheme, authority).unwrap()
    }

    fn https(address: &str, direct: &[&str]) -> Result<Proxies, ProxyError> {
        let proxy = ProxyAddress { address: address.to_owned(), credentials: None };
        let direct = direct.iter().map(|entry| (*entry).to_owned()).collect();
        Proxies::new(&ProxySettings { http: None, https: Some(proxy), direct })
    }

    #[test]
    fn targets_go_through_the_proxy_of_their_scheme_unless_excepted() {
        let proxies =
            https("proxy:3128", &["corp.example.com", "10.0.0.0/8", "One.example.net:8443"]).unwrap();
        let through = |text: &str| proxies.of(&target(text)).unwrap().is_some();
        for text in [
            "https://example.com",
            "https://notcorp.example.com:8443",
            "https://11.0.0.1",
            "https://one.example.net",
        ] {
            assert!(through(text), "{text}");
        }
        for text in [
            "http://example.com",
            "https://corp.example.com",
            "https://a.corp.example.com",
            "https://10.1.2.3",
            "https://one.example.net:8443",
        ] {
            assert!(!through(text), "{text}");
        }
        assert!(https("proxy:1", &["*"]).unwrap().of(&target("https://example.com")).unwrap().is_none());
    }

    #[test]
    fn a_proxy_nobody_can_use_is_said_and_not_passed_over() {
        let error = https("not an address", &[]).err().unwrap();
        assert!(error.to_string().starts_with("HTTPS_PROXY in the daemon's environment"), "{error}");
    }
}
