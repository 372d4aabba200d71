//! The files that a configuration names and this host does not have, for `teleport configure --test`: without most of
//! them the daemon does not start.
//!
//! A warning and no error: the file may be meant for another host, or not have been brought here yet. What is in them is
//! looked at when they are used.

use std::path::{Path, PathBuf};

use config::{LogOutput, SecretOrigin, Settings, Storage};

/// One line for each.
pub(super) fn absent(settings: &Settings) -> Vec<String> {
    let mut lines = Vec::from_iter(secrets(settings));
    let named = [storage(settings), web(settings), plugins(settings)].concat();
    let away = named.iter().filter(|(path, _)| is_away(path));
    lines.extend(away.map(|(path, key)| format!("this host has no {}, which {key} names", path.display())));
    lines.extend(log(settings));
    lines
}

/// A file, and the key that names it.
type Named = (PathBuf, String);

/// Join tokens and pins. The first that is missing, with its place.
fn secrets(settings: &Settings) -> Option<String> {
    let error = settings.resolve_secrets(false, &config::read_file).err()?;
    let joined = settings.join.as_ref().map_or("", |_| "; a host that has joined does not need it");
    Some(format!("{error}{joined}"))
}

fn storage(settings: &Settings) -> Vec<Named> {
    let (Some(_), Storage::Etcd(etcd)) = (&settings.auth, &settings.storage) else { return Vec::new() };
    let named = |path: &PathBuf, key: &str| (path.clone(), format!("teleport.storage.{key}"));
    let pair = [named(&etcd.cert_file, "tls_cert_file"), named(&etcd.key_file, "tls_key_file")];
    pair.into_iter().chain(etcd.ca_file.as_ref().map(|path| named(path, "tls_ca_file"))).collect()
}

fn web(settings: &Settings) -> Vec<Named> {
    let keypairs = settings.proxy.iter().flat_map(|proxy| &proxy.keypairs);
    let files = keypairs.flat_map(|pair| [&pair.cert_file, &pair.key_file]);
    files.map(|path| (path.clone(), "proxy_service.https_keypairs".to_owned())).collect()
}

fn plugins(settings: &Settings) -> Vec<Named> {
    if !process::plugins_are_wanted(settings) {
        return Vec::new();
    }
    let mut named = Vec::new();
    for (name, plugin) in settings.plugins.load.iter().filter(|(_, plugin)| plugin.enabled) {
        let below = |key: &str| format!("teleport.plugins.load.{name}.{key}");
        for (label, secret) in &plugin.secrets {
            if let SecretOrigin::File(path) = &secret.from {
                named.push((path.clone(), below(&format!("secrets.{label}"))));
            }
        }
        for place in &plugin.http {
            let pair = place.certificate.iter().flat_map(|pair| [&pair.cert_file, &pair.key_file]);
            named.extend(pair.chain(&place.ca_file).map(|path| (path.clone(), below("grants.http"))));
        }
    }
    named
}

/// The log's file is made; its folder is not.
fn log(settings: &Settings) -> Option<String> {
    let LogOutput::File(path) = &settings.log.output else { return None };
    let folder = path.parent().filter(|folder| is_away(folder))?;
    let folder = folder.display();
    Some(format!("this host has no folder {folder} for teleport.log.output; make it: mkdir -p {folder}"))
}

/// Whether nothing is there; what may not be looked at may be there.
fn is_away(path: &Path) -> bool {
    matches!(path.try_exists(), Ok(false))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(yaml: &str) -> Vec<String> {
        absent(&config::check(yaml, "teleport.yaml").unwrap())
    }

    #[test]
    fn each_file_is_named_with_its_key() {
        let yaml = "
teleport:
  log: {output: /nope/log/teleport.log}
  storage: {type: etcd, peers: [\"https://10.0.0.1\"], prefix: x, tls_cert_file: /nope/c, tls_key_file: /nope/k, tls_ca_file: /nope/a}
  plugins:
    load:
      label-x:
        secrets: {token: {file: /nope/s, hosts: https://10.0.0.1}}
        grants: {http: [{url: https://10.0.0.1, private: yes, cert_file: /nope/hc, key_file: /nope/hk}]}
auth_service: {enabled: yes, tokens: [\"node:/nope/token\"]}
proxy_service: {enabled: yes, https_keypairs: [{key_file: /nope/wk, cert_file: /nope/wc}]}
";
        let said = said(yaml);
        for part in [
            "/nope/token",
            "this host has no /nope/c, which teleport.storage.tls_cert_file names",
            "this host has no /nope/k, which teleport.storage.tls_key_file names",
            "this host has no /nope/a, which teleport.storage.tls_ca_file names",
            "this host has no /nope/wc, which proxy_service.https_keypairs names",
            "this host has no /nope/s, which teleport.plugins.load.label-x.secrets.token names",
            "this host has no /nope/hk, which teleport.plugins.load.label-x.grants.http names",
            "this host has no folder /nope/log for teleport.log.output; make it: mkdir -p /nope/log",
        ] {
            assert!(said.iter().any(|line| line.contains(part)), "{part}: {said:#?}");
        }
    }

    #[test]
    fn a_host_that_joins_may_have_done_so() {
        let node = "
teleport: {auth_token: /nope/token, ca_pin: \"sha256:0000000000000000000000000000000000000000000000000000000000000000\", auth_servers: [\"10.0.0.1:3025\"]}
auth_service: {enabled: no}
proxy_service: {enabled: no}
";
        let found = said(node);
        let [line] = found.as_slice() else { panic!("{found:?}") };
        assert!(
            line.contains("/nope/token") && line.ends_with("; a host that has joined does not need it"),
            "{line}"
        );
        assert!(said("auth_service: {enabled: yes}").is_empty());
    }
}
