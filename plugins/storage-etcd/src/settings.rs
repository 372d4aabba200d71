//! What the operator wrote, checked. TLS is not here: certificates and authorities are the host's.

use std::time::Duration;

use teleport_plugin_sdk::config;
use teleport_plugin_sdk::storage_backend::{Failure, call_time};

/// The most members.
const PEERS_MAX: usize = 32;

/// The longest prefix, in bytes.
const PREFIX_MAX: usize = 256;

/// How etcd is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Its members, each `https://host:port` without a slash at its end; at least one.
    pub peers: Vec<String>,
    /// What every key starts with: nothing, or a slash and more without one at its end.
    pub prefix: String,
    /// How long connecting to one member may take.
    pub dial_timeout: Duration,
    /// How long one call may take, all members together.
    pub request_timeout: Duration,
}

impl Settings {
    /// Reads the settings by their keys.
    ///
    /// # Errors
    /// [`Failure::Invalid`] names the key and what it takes.
    pub fn read(get: impl Fn(&str) -> Option<String>) -> Result<Self, Failure> {
        let peers = get("peers").unwrap_or_default();
        let peers = config::items(&peers).into_iter().map(peer).collect::<Result<Vec<_>, _>>()?;
        if peers.is_empty() || peers.len() > PEERS_MAX {
            return Err(invalid("peers", "lists 1 to 32 members, such as https://10.0.0.1:2379"));
        }
        let prefix = get("prefix").unwrap_or_else(|| "teleport".to_owned());
        let prefix = prefix.trim_matches('/');
        if prefix.len() > PREFIX_MAX || prefix.contains('\0') {
            return Err(invalid("prefix", "takes a text of at most 256 bytes, such as teleport"));
        }
        let prefix = if prefix.is_empty() { String::new() } else { format!("/{prefix}") };
        let time = |key: &str, default| {
            call_time(get(key).as_deref(), default)
                .ok_or_else(|| invalid(key, "takes a duration of at most 25s, such as 5s"))
        };
        Ok(Self {
            peers,
            prefix,
            dial_timeout: time("dial_timeout", Duration::from_secs(5))?,
            request_timeout: time("request_timeout", Duration::from_secs(10))?,
        })
    }
}

fn peer(text: &str) -> Result<String, Failure> {
    let wrong = || invalid("peers", &format!("has {text:?}, which is not like https://10.0.0.1:2379"));
    config::origin(text).map(str::to_owned).ok_or_else(wrong)
}

fn invalid(key: &str, what: &str) -> Failure {
    Failure::setting("etcd", key, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<Settings, String> {
        let get =
            |key: &str| pairs.iter().find(|(name, _)| *name == key).map(|(_, value)| (*value).to_owned());
        Settings::read(get).map_err(|failure| failure.to_string())
    }

    #[test]
    fn settings_have_one_form_however_they_are_written() {
        let settings = read(&[("peers", "https://a:2379/\nhttps://[::1]:1"), ("prefix", "/x/y/")]).unwrap();
        assert_eq!(settings.peers, ["https://a:2379", "https://[::1]:1"]);
        assert_eq!(settings.prefix, "/x/y");
        assert_eq!(settings.dial_timeout, Duration::from_secs(5));
        let settings = read(&[("peers", "http://a:1"), ("request_timeout", "500ms")]).unwrap();
        assert_eq!((settings.prefix.as_str(), settings.request_timeout.as_millis()), ("/teleport", 500));
        assert_eq!(read(&[("peers", "http://a:1"), ("prefix", "/")]).unwrap().prefix, "");
    }

    #[test]
    fn each_slip_names_its_key() {
        for (pairs, expected) in [
            (vec![], "peers"),
            (vec![("peers", "a:2379")], "\"a:2379\""),
            (vec![("peers", "https://u@a:1")], "peers"),
            (vec![("peers", "https://a:1/v3")], "peers"),
            (vec![("peers", "https://a:1"), ("dial_timeout", "0")], "dial_timeout"),
            (vec![("peers", "https://a:1"), ("request_timeout", "1h")], "request_timeout"),
        ] {
            let error = read(&pairs).unwrap_err();
            assert!(error.contains(expected), "{error} should say {expected}");
        }
    }
}
