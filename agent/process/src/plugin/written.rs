//! What the operator wrote of plugins, in the plugin host's words. Here the variables that secrets are read
//! from are read: the configuration is checked without them, the plugin host never sees the environment.

use config::{HttpPlace, HttpProxy, PluginSecret, SecretOrigin};
use domain::secret::Secret;
use plugin_host::{
    CertificatePair, PlaceSettings, PluginSettings, ProxyAddress, ProxySettings, SecretFrom, SecretSettings,
    ServerAuthority,
};

/// What the operator says of one plugin.
pub(super) fn plugin(written: &config::PluginSettings) -> PluginSettings {
    let secrets = written.secrets.iter();
    PluginSettings {
        enabled: written.enabled,
        digests: written.digests.clone(),
        publishers: written.publishers.clone(),
        grants: written.grants.clone(),
        limits: written.limits.clone(),
        config: written.config.clone(),
        http: written.http.iter().map(place).collect(),
        secrets: secrets.map(|(label, given)| (label.clone(), secret(given))).collect(),
    }
}

/// The way out of the site, for requests of plugins.
pub(super) fn proxies(written: &HttpProxy) -> ProxySettings {
    let proxy = |proxy: &Option<config::ProxyAddress>| {
        proxy.as_ref().map(|proxy| ProxyAddress {
            address: proxy.address.to_string(),
            credentials: proxy.credentials.clone(),
        })
    };
    ProxySettings { http: proxy(&written.http), https: proxy(&written.https), direct: written.direct.clone() }
}

fn place(written: &HttpPlace) -> PlaceSettings {
    let certificate = written.certificate.as_ref().map(|files| CertificatePair {
        cert_file: files.cert_file.clone(),
        key_file: files.key_file.clone(),
    });
    let authority = written.ca_file.clone().map_or(ServerAuthority::Machine, ServerAuthority::File);
    PlaceSettings { destination: written.destination.clone(), authority, certificate, sign: None }
}

fn secret(written: &PluginSecret) -> SecretSettings {
    let from = match &written.from {
        SecretOrigin::File(path) => SecretFrom::File(path.clone()),
        SecretOrigin::Environment(name) => {
            let value = std::env::var_os(name).map(|value| Secret::new(value.into_encoded_bytes()));
            SecretFrom::Environment { name: name.clone(), value }
        }
    };
    SecretSettings { from, hosts: written.hosts.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_written_of_a_plugin_is_handed_on() {
        let text = "
teleport:
  plugins:
    load:
      label-x:
        grants:
          http: [{ url: https://10.0.0.1, private: yes, cert_file: /c, key_file: /k }]
        config: { city: Oslo }
        secrets:
          file: { file: /s, hosts: https://10.0.0.1 }
          there: { env: PATH }
          gone: { env: NO_SUCH_VARIABLE_AT_ALL }
";
        let settings = config::check(text, "x.yaml").unwrap();
        let plugin = settings.plugins.load.values().map(plugin).next().unwrap();
        assert_eq!((plugin.grants.len(), plugin.http.len(), plugin.config.len()), (1, 1, 1));
        let from: Vec<_> = plugin.secrets.values().map(|secret| secret.from.clone()).collect();
        let [SecretFrom::File(_), SecretFrom::Environment { value: None, .. }, there] = from.as_slice()
        else {
            panic!("{from:?}")
        };
        let path = std::env::var_os("PATH").unwrap().into_encoded_bytes();
        let expected = SecretFrom::Environment { name: "PATH".to_owned(), value: Some(Secret::new(path)) };
        assert_eq!(there, &expected);
    }

    #[test]
    fn proxies_are_those_of_the_environment() {
        let environment = [("HTTPS_PROXY", "http://joe:s3cret@proxy:3128"), ("NO_PROXY", "a.example.com,b")];
        let environment = config::Environment::new(environment);
        let nothing = |_: &std::path::Path| Err(std::io::ErrorKind::NotFound.into());
        let settings = config::load(&config::Flags::default(), &environment, "host", &nothing).unwrap();
        let proxies = proxies(&settings.http_proxy);
        let https = proxies.https.unwrap();
        assert_eq!((https.address.as_str(), proxies.http), ("proxy:3128", None));
        assert_eq!(https.credentials, Some(("joe".to_owned(), Secret::from("s3cret"))));
        assert_eq!(proxies.direct, ["a.example.com", "b"]);
    }
}
