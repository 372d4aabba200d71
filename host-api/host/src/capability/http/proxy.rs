//! The operator's proxies: what `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY` say to most programs.

use domain::plugin::destination::{Scheme, Target};
use domain::secret::Secret;
use http::Uri;
use hyper_util::client::proxy::matcher::Matcher;

/// Proxies for plugins' requests, as `process` found them in the daemon's environment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProxySettings {
    /// For `http` targets: `http://[user:password@]host:port`.
    pub http: Option<Secret>,
    /// For `https` targets, which are tunnelled through it with `CONNECT`.
    pub https: Option<Secret>,
    /// Names, addresses and networks that are reached without a proxy, with commas between them.
    pub except: Option<String>,
}

/// A proxy nobody can use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProxyError {
    /// Not the URL of an HTTP proxy.
    #[error(
        "{variable} in the daemon's environment is no proxy for plugins; write it like http://proxy.example.com:3128"
    )]
    Form {
        /// The variable that is usual for it.
        variable: &'static str,
    },
}

/// Which targets are reached through which proxy.
pub(super) struct Proxies(Matcher);

impl Proxies {
    /// Reads the settings.
    ///
    /// # Errors
    /// [`ProxyError`] for one that would be passed over in silence otherwise.
    pub(super) fn new(settings: &ProxySettings) -> Result<Self, ProxyError> {
        let text = |proxy: &Option<Secret>| {
            proxy.as_ref().and_then(Secret::reveal_str).unwrap_or_default().trim().to_owned()
        };
        let (http, https) = (text(&settings.http), text(&settings.https));
        let every = Matcher::builder().http(http.clone()).https(https.clone()).build();
        let probe = Uri::from_static;
        for (variable, given, to) in
            [("HTTP_PROXY", &http, probe("http://example.com")), ("HTTPS_PROXY", &https, probe("https://example.com"))]
        {
            let usable = every.intercept(&to).is_some_and(|found| {
                matches!(found.uri().scheme_str(), Some("http" | "https"))
                    && reqwest::Proxy::all(found.uri().to_string()).is_ok()
            });
            if !given.is_empty() && !usable {
                return Err(ProxyError::Form { variable });
            }
        }
        let except = settings.except.clone().unwrap_or_default();
        Ok(Self(Matcher::builder().http(http).https(https).no(except).build()))
    }

    /// The proxy a target is reached through; nothing when it is reached directly.
    pub(super) fn of(&self, target: &Target) -> Option<reqwest::Proxy> {
        let proxy = self.0.intercept(&target.to_string().parse().ok()?)?;
        let url = proxy.uri().to_string();
        let made = match target.scheme {
            Scheme::Http => reqwest::Proxy::http(url),
            Scheme::Https => reqwest::Proxy::https(url),
        };
        let made = made.ok()?;
        Some(match proxy.basic_auth() {
            Some(word) => made.custom_http_auth(word.clone()),
            None => made,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(http: &str, https: &str, except: &str) -> ProxySettings {
        let proxy = |text: &str| Some(Secret::from(text));
        ProxySettings { http: proxy(http), https: proxy(https), except: Some(except.to_owned()) }
    }

    fn target(text: &str) -> Target {
        let (scheme, authority) = text.split_once("://").unwrap();
        Target::parse(scheme, authority).unwrap()
    }

    #[test]
    fn targets_go_through_the_proxy_of_their_scheme_unless_excepted() {
        let proxies =
            Proxies::new(&settings("", "http://u:p@proxy:3128", "corp.example.com, 10.0.0.0/8")).unwrap();
        for through in ["https://example.com", "https://notcorp.example.com:8443", "https://11.0.0.1"] {
            assert!(proxies.of(&target(through)).is_some(), "{through}");
        }
        for directly in
            ["http://example.com", "https://corp.example.com", "https://a.corp.example.com", "https://10.1.2.3"]
        {
            assert!(proxies.of(&target(directly)).is_none(), "{directly}");
        }
        assert!(Proxies::new(&ProxySettings::default()).unwrap().of(&target("https://example.com")).is_none());
    }

    #[test]
    fn a_proxy_nobody_can_use_is_said_and_not_passed_over() {
        for bad in ["socks5://proxy:1080", "ftp://proxy", "http://"] {
            let error = Proxies::new(&settings("", bad, "")).err().unwrap_or_else(|| panic!("{bad}"));
            assert!(error.to_string().starts_with("HTTPS_PROXY in the daemon's environment"), "{error}");
        }
    }
}
