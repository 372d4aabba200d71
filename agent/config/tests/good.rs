//! Every file in `tests/good` is accepted, with exactly the warnings in the file beside it, and says
//! what it is meant to say.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use domain::identity::SystemRole;
use domain::plugin::configuration::Written;
use domain::plugin::{Destination, Grant, SecretLabel};
use domain::secret::Secret;
use teleport_config::*;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/good")
}

fn good(name: &str) -> Settings {
    let file = format!("{name}.yaml");
    let text = fs::read_to_string(folder().join(&file)).unwrap();
    check(&text, &file).unwrap_or_else(|error| panic!("{error}"))
}

fn no_file(path: &Path) -> std::io::Result<String> {
    panic!("{} was read", path.display())
}

#[test]
fn every_good_file_is_accepted_with_exactly_its_warnings() {
    let (mut files, mut changed) = (0, String::new());
    for entry in fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|end| end != "yaml") {
            continue;
        }
        files += 1;
        let expected = fs::read_to_string(path.with_extension("warnings")).unwrap_or_default();
        let found = good(path.file_stem().unwrap().to_str().unwrap()).warnings.join("\n");
        if found.trim_end() != expected.trim_end() {
            changed += &format!("--- {} expected\n{expected}--- found\n{found}\n", path.display());
        }
    }
    assert!(changed.is_empty(), "{changed}");
    assert!(files >= 15, "only {files} files");
}

#[test]
fn an_empty_file_is_a_cluster_of_one_host() {
    for name in ["empty", "sections_without_content"] {
        let settings = good(name);
        assert_eq!(settings.roles(), [SystemRole::Auth, SystemRole::Proxy, SystemRole::Node], "{name}");
        assert_eq!((settings.version, settings.join), (Version::V1, None));
        assert_eq!(settings.data_dir, Path::new("/var/lib/teleport"));
        assert_eq!(settings.storage, Storage::Sqlite { path: "/var/lib/teleport/backend".into() });
        assert_eq!(settings.limits.max_connections, 15_000);
        assert_eq!(settings.auth.unwrap().listen.to_string(), "0.0.0.0:3025");
        assert_eq!(settings.node.unwrap().listen.to_string(), "0.0.0.0:3022");
        let proxy = settings.proxy.unwrap();
        assert_eq!(proxy.ssh_listen.unwrap().to_string(), "0.0.0.0:3023");
        assert_eq!(proxy.tunnel_listen.unwrap().to_string(), "0.0.0.0:3024");
        assert_eq!(proxy.web_listen.to_string(), "0.0.0.0:3080");
    }
}

#[test]
fn the_sample_of_the_first_manual_means_what_it_meant() {
    let settings = good("seed_sample");
    assert_eq!((settings.nodename.as_str(), settings.limits.max_connections), ("graviton", 1000));
    assert_eq!(settings.log.severity, Severity::Error);
    assert_eq!(
        settings.algorithms.ciphers,
        ["aes128-ctr", "aes192-ctr", "aes256-ctr", "aes128-gcm@openssh.com"]
    );
    assert_eq!(settings.advertise.unwrap().host, "10.1.0.5");
    let auth = settings.auth.unwrap();
    assert_eq!(auth.cluster_name.unwrap().as_str(), "main");
    let token = auth.tokens.first().unwrap().read(&no_file).unwrap();
    assert_eq!(token.roles, [SystemRole::Proxy, SystemRole::Node]);
    assert_eq!(token.value, Secret::from("xxxxx"));
    assert_eq!(auth.authentication.second_factors, [SecondFactor::Otp]);
    assert_eq!(auth.authentication.u2f.unwrap().facets, ["https://localhost:3080"]);
    let node = settings.node.unwrap();
    assert_eq!(node.labels.to_string(), "role=master,type=postgres");
    let arch = node.dynamic_labels.first().unwrap();
    assert_eq!((arch.name.as_str(), arch.period), ("arch", Duration::from_secs(3600)));
    assert_eq!((arch.command.join(" "), arch.plugin.as_str()), ("uname -p".to_owned(), "label-command"));
    let keypair = settings.proxy.unwrap().keypairs.first().unwrap().clone();
    assert_eq!(keypair.key_file, Path::new("/var/lib/teleport/webproxy_key.pem"));
}

#[test]
fn agents_of_v1_join_through_a_list() {
    let settings = good("v1_agent");
    assert_eq!(settings.roles(), [SystemRole::Proxy, SystemRole::Node]);
    let join = settings.join.unwrap();
    let servers: Vec<_> = join.servers.iter().map(ToString::to_string).collect();
    assert_eq!(servers, ["auth-1.example.com:3025", "10.0.0.2:4025", "auth-3.example.com:3025"]);
    assert_eq!(join.kind, ServerKind::Unknown);
    assert_eq!(join.token.unwrap().path(), Some(Path::new("/etc/teleport/token")));
}

#[test]
fn v2_opens_only_the_ports_that_are_set() {
    let settings = good("v2_cluster");
    assert_eq!(settings.auth.unwrap().listener_mode, ListenerMode::Multiplex);
    let proxy = settings.proxy.unwrap();
    assert_eq!(proxy.ssh_listen, None);
    assert_eq!(proxy.tunnel_listen.unwrap().to_string(), "127.0.0.1:3024");
    assert_eq!(proxy.web_listen.to_string(), "0.0.0.0:443");
}

#[test]
fn a_short_v3_file_is_an_agent_and_nothing_else() {
    let settings = good("v3_agent");
    assert_eq!(settings.roles(), [SystemRole::Node]);
    let join = settings.join.unwrap();
    assert_eq!((join.kind, join.servers.first().unwrap().port), (ServerKind::Proxy, 443));
    assert_eq!(join.ca_pins.len(), 2);

    let settings = good("v3_proxy");
    assert_eq!(settings.roles(), [SystemRole::Proxy]);
    let join = settings.join.unwrap();
    assert_eq!((join.kind, join.servers.first().unwrap().port), (ServerKind::Auth, 3025));
    assert_eq!(join.token.unwrap().read(&no_file).unwrap(), Secret::from("hunter2-token"));
    assert_eq!(settings.proxy.unwrap().acme.unwrap().email.as_deref(), Some("ops@example.com"));
}

#[test]
fn yes_and_no_are_read_in_all_their_forms() {
    let settings = good("booleans");
    let node = settings.node.unwrap();
    assert!(node.permit_user_env && node.force_listen && !node.port_forwarding && !node.file_copy);
    let auth = settings.auth.unwrap();
    assert_eq!(auth.session_recording, SessionRecording::Off);
    assert!(!auth.proxy_checks_host_keys);
    assert_eq!(auth.authentication.second_factors, []);
}

#[test]
fn label_values_stay_as_they_are_written() {
    let node = good("labels").node.unwrap();
    let labels: Vec<_> = node.labels.iter().collect();
    assert_eq!(
        labels,
        [
            ("aws/Name", "web-1"),
            ("code", "007"),
            ("debug", "yes"),
            ("empty", ""),
            ("quoted", "a: b"),
            ("version", "1.10")
        ]
    );
    let [load, disk] = node.dynamic_labels.as_slice() else { panic!("two commands") };
    assert_eq!(load.command, ["cut", "-d ", "-f1", "/proc/loadavg"]);
    assert_eq!(load.period, Duration::from_secs(1));
    assert_eq!((disk.plugin.as_str(), disk.command.len()), ("label-disk", 0));
}

#[test]
fn aliases_stand_for_their_anchors() {
    let settings = good("aliases");
    assert_eq!(settings.audit.events, Path::new("/srv/events"));
    assert_eq!(settings.node.unwrap().dynamic_labels.first().unwrap().command, ["echo", "prod"]);
}

#[test]
fn remote_storage_is_read_in_full() {
    let Storage::Etcd(etcd) = good("etcd").storage else { panic!("etcd") };
    assert_eq!((etcd.peers.len(), etcd.prefix.as_str()), (2, "teleport"));
    let Storage::DynamoDb(table) = good("dynamodb").storage else { panic!("dynamodb") };
    let endpoint = "https://vpce-1.dynamodb.eu-west-1.vpce.amazonaws.com";
    assert_eq!(table.endpoint, Destination::parse(endpoint).unwrap());
    assert_eq!(table.keys.unwrap(), ("AKIAEXAMPLE".to_owned(), Secret::from("hunter2-secret")));
    assert_eq!(table.auto_scaling.unwrap().0, Capacity { min: 10, max: 50, target: 50 });
    assert_eq!((table.fixed_capacity, table.pay_per_request), (Some((20, 10)), false));
}

#[test]
fn plugins_carry_digest_grants_and_limits() {
    let settings = good("storage_plugin");
    assert!(matches!(settings.storage, Storage::Plugin { name } if name.as_str() == "storage-etcd"));
    let mut plugins = settings.plugins.load.into_iter();
    let (name, disk) = plugins.next().unwrap();
    assert_eq!((name.as_str(), disk.enabled, disk.grants.len()), ("label-disk", true, 2));
    assert_eq!(disk.digests.len(), 2, "the version in use, and the next");
    let signers: Vec<_> = disk.publishers.iter().map(ToString::to_string).collect();
    assert_eq!(signers, ["acme (E7620F1842B4E81F)"]);
    let known: Vec<_> = settings.plugins.publishers.keys().map(|name| name.as_str()).collect();
    assert_eq!(known, ["acme", "globex"]);
    let limits: Vec<_> = disk.limits.iter().map(|(key, text)| format!("{key}={text}")).collect();
    assert_eq!(limits, ["memory=16MiB", "wall=3s"]);
    assert!(!plugins.next().unwrap().1.enabled);
}

#[test]
fn a_storage_plugin_is_named_as_the_type_too() {
    let Storage::Plugin { name } = good("storage_named").storage else { panic!("a plugin keeps it") };
    assert_eq!(name.as_str(), "storage-acme");
}

#[test]
fn plugins_carry_places_secrets_and_their_own_configuration() {
    let mut plugins = good("plugin_grants").plugins.load.into_values();
    let (quiet, weather) = (plugins.next().unwrap(), plugins.next().unwrap());
    assert_eq!((quiet.grants.len(), quiet.http.len()), (1, 0));
    let place = |url: &str, private| Grant::http(Destination::parse(url).unwrap(), private);
    let label = |text: &str| SecretLabel::new(text).unwrap();
    assert_eq!(
        weather.grants,
        [
            place("https://api.example.com", false),
            place("https://*.example.org:8443", false),
            place("https://etcd.internal:2379", true),
            place("http://10.0.0.5:2379", true),
            Grant::kv(),
            Grant::secret_reveal(label("api-key")),
        ]
    );
    let [etcd] = weather.http.as_slice() else { panic!("one place has files") };
    assert_eq!(etcd.destination.to_string(), "https://etcd.internal:2379");
    assert_eq!(etcd.ca_file.as_deref(), Some(Path::new("/etc/etcd/ca.pem")));
    let files = etcd.certificate.as_ref().unwrap();
    assert_eq!(
        (files.cert_file.as_path(), files.key_file.as_path()),
        (Path::new("/etc/etcd/client.pem"), Path::new("/etc/etcd/client.key"))
    );
    let one = |text: &str| Written::One(text.to_owned());
    let many = Written::Many(vec!["north".to_owned(), "south".to_owned()]);
    let own = [("city", one("Oslo")), ("stations", many), ("units", one("2")), ("verbose", one("yes"))];
    assert_eq!(weather.config, own.map(|(key, value)| (key.to_owned(), value)).into());
    let (key, signing) = (&weather.secrets[&label("api-key")], &weather.secrets[&label("signing-key")]);
    assert_eq!(key.from, SecretOrigin::File("/etc/teleport/api-key".into()));
    assert_eq!(key.hosts, [Destination::parse("https://api.example.com").unwrap()]);
    assert_eq!(signing.from, SecretOrigin::Environment("SIGNING_KEY".to_owned()));
    assert!(signing.hosts.is_empty());
}

#[test]
fn every_key_reaches_the_settings() {
    let settings = good("everything");
    assert_eq!(settings.version, Version::V2);
    assert_eq!(settings.advertise, Some(Advertise { host: "web-1.example.com".into(), port: Some(2022) }));
    assert_eq!(settings.log.output, LogOutput::File("/var/log/teleport.log".into()));
    assert_eq!((settings.log.format, settings.log.fields.len()), (LogFormat::Json, 2));
    assert_eq!(settings.storage, Storage::Sqlite { path: "/srv/teleport/db".into() });
    assert_eq!(settings.audit.events, Path::new("/srv/events"));
    assert_eq!(settings.audit.sessions, Path::new("/srv/sessions"));
    assert_eq!(settings.shutdown_delay, Duration::from_secs(10));
    assert_eq!(settings.cache, Cache { enabled: false, max_backoff: Duration::from_secs(600) });
    assert_eq!(settings.reconnect.upper_limit, Duration::from_secs(50));
    assert_eq!(settings.diag_addr.unwrap().to_string(), "127.0.0.1:3000");
    let auth = settings.auth.unwrap();
    assert_eq!(auth.public_addrs.len(), 2);
    assert_eq!(auth.authentication.connector, Connector::Github);
    assert_eq!(auth.authentication.rp_id.as_deref(), Some("example.com"));
    assert_eq!(auth.authentication.default_session_ttl, Duration::from_secs(8 * 3600));
    assert_eq!((auth.routing, auth.listener_mode), (Routing::MostRecent, ListenerMode::Separate));
    assert_eq!(auth.tunnel_strategy, TunnelStrategy::ProxyPeering { agent_connection_count: 2 });
    assert_eq!(auth.message_of_the_day, "Mind the gap: always");
    let node = settings.node.unwrap();
    assert_eq!(node.listen.to_string(), "[::1]:4022");
    assert!(node.force_listen && node.permit_user_env && !node.create_host_users);
    let proxy = settings.proxy.unwrap();
    assert_eq!(proxy.public_addrs.first().unwrap().to_string(), "example.com:443");
    assert_eq!(proxy.ssh_public_addrs.first().unwrap().to_string(), "ssh.example.com:3023");
    assert_eq!(proxy.tunnel_public_addrs.first().unwrap().port, 444);
    assert_eq!((proxy.keypairs.len(), proxy.acme), (2, None));
    assert_eq!(proxy.keypairs_reload, Some(Duration::from_secs(3600)));
}

#[test]
fn settings_can_be_logged_without_their_secrets() {
    for name in ["everything", "v3_agent", "v3_proxy", "dynamodb"] {
        let shown = format!("{:?}", good(name));
        assert!(!shown.contains("hunter2"), "{name}");
    }
}
