//! What the operator wrote, checked. Keys of the cloud are not here: the host signs.

use std::time::Duration;

use teleport_plugin_sdk::config;
use teleport_plugin_sdk::storage_backend::{Failure, call_time};

/// How the table is reached, and made when it is not there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// `https://host[:port]` without a slash at its end.
    pub endpoint: String,
    /// The table's name.
    pub table: String,
    /// Reads and writes a second, where they are bought in advance; none where each is paid.
    pub capacity: Option<(u64, u64)>,
    /// Whether the table is backed up continuously.
    pub backups: bool,
    /// How long one call may take, with everything that is tried again.
    pub request_timeout: Duration,
}

impl Settings {
    /// Reads the settings by their keys.
    ///
    /// # Errors
    /// [`Failure::Invalid`] names the key and what it takes.
    pub fn read(get: impl Fn(&str) -> Option<String>) -> Result<Self, Failure> {
        let endpoint = get("endpoint").unwrap_or_default();
        let endpoint = config::origin(&endpoint).ok_or_else(|| {
            invalid("endpoint", "takes https://host, such as https://dynamodb.eu-north-1.amazonaws.com")
        })?;
        let table = get("table_name").unwrap_or_default();
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
        if !(3..=255).contains(&table.len()) || !table.bytes().all(is_name) {
            return Err(invalid("table_name", "takes 3 to 255 letters, digits, `_`, `-` and `.`"));
        }
        let units = |key: &str| match get(key).map_or(Ok(10), |text| text.parse()) {
            Ok(units) if units > 0 => Ok(units),
            _ => Err(invalid(key, "takes a whole number from 1")),
        };
        let capacity = match get("billing_mode").as_deref() {
            None | Some("pay_per_request") => None,
            Some("provisioned") => Some((units("read_capacity_units")?, units("write_capacity_units")?)),
            Some(_) => return Err(invalid("billing_mode", "is pay_per_request or provisioned")),
        };
        let request_timeout = call_time(get("request_timeout").as_deref(), Duration::from_secs(10))
            .ok_or_else(|| invalid("request_timeout", "takes a duration of at most 25s, such as 10s"))?;
        Ok(Self {
            endpoint: endpoint.to_owned(),
            table,
            capacity,
            backups: get("continuous_backups").as_deref() == Some("true"),
            request_timeout,
        })
    }
}

fn invalid(key: &str, what: &str) -> Failure {
    Failure::setting("DynamoDB", key, what)
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
    fn settings_have_defaults() {
        let settings = read(&[("endpoint", "https://a.example/"), ("table_name", "teleport")]).unwrap();
        assert_eq!((settings.endpoint.as_str(), settings.capacity), ("https://a.example", None));
        let bought = [("billing_mode", "provisioned"), ("read_capacity_units", "7")];
        let settings =
            read(&[&bought[..], &[("endpoint", "http://a:1"), ("table_name", "t.1")]].concat()).unwrap();
        assert_eq!(settings.capacity, Some((7, 10)));
    }

    #[test]
    fn each_slip_names_its_key() {
        let fine = [("endpoint", "https://a"), ("table_name", "teleport")];
        for (key, value) in [
            ("endpoint", "a:8000"),
            ("endpoint", "https://u@a"),
            ("endpoint", "https://a/path"),
            ("table_name", "ab"),
            ("table_name", "with space"),
            ("billing_mode", "free"),
            ("request_timeout", "1h"),
        ] {
            let error = read(&[&[(key, value)], &fine[..]].concat()).unwrap_err();
            assert!(error.contains(key), "{error} should say {key}");
        }
    }
}
