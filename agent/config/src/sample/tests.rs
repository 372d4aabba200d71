use std::path::Path;

use domain::identity::SystemRole;
use domain::secret::Secret;
use proptest::prelude::*;

use super::*;
use crate::{CaPinSource, ServerKind, Settings, Version};

fn written(options: &SampleOptions) -> Settings {
    let text = sample(options).unwrap();
    let mut settings = check(&text, "sample").unwrap();
    assert_eq!(settings.version, Version::V3);
    if options.acme {
        let warning = settings.warnings.pop().unwrap();
        assert!(warning.contains("proxy_service.acme: has no effect in this version"), "{warning}");
    }
    assert_eq!(settings.warnings, Vec::<String>::new(), "{text}");
    settings
}

#[test]
fn by_default_it_is_a_cluster_of_one_host() {
    let settings = written(&SampleOptions::default());
    assert_eq!(settings.roles(), [SystemRole::Auth, SystemRole::Proxy, SystemRole::Node]);
    assert_eq!(settings.data_dir, Path::new(DATA_DIR));
    let proxy = settings.proxy.unwrap();
    assert_eq!(proxy.ssh_listen.unwrap().port(), 3023);
    assert_eq!(proxy.acme, None);
}

#[test]
fn acme_moves_the_web_port() {
    let settings = written(&SampleOptions {
        acme: true,
        acme_email: Some("ops@example.com".into()),
        cluster_name: Some("example.com".into()),
        ..SampleOptions::default()
    });
    let proxy = settings.proxy.unwrap();
    assert_eq!(proxy.web_listen.port(), 443);
    assert_eq!(proxy.public_addrs.first().unwrap().to_string(), "example.com:443");
    assert_eq!(proxy.acme.unwrap().email.as_deref(), Some("ops@example.com"));
    assert_eq!(settings.auth.unwrap().cluster_name.unwrap().as_str(), "example.com");
}

#[test]
fn an_agent_joins_through_the_proxy() {
    let pin = format!("sha256:{}", "ab".repeat(32));
    let settings = written(&SampleOptions {
        proxy: Some("teleport.example.com:443".into()),
        token: Some("a \"strange\" token: #1".into()),
        ca_pin: vec![pin.clone()],
        nodename: Some("web-1".into()),
        data_dir: Some("/srv/teleport".into()),
        ..SampleOptions::default()
    });
    assert_eq!(settings.roles(), [SystemRole::Node]);
    assert!(
        !sample(&SampleOptions { proxy: Some("p.example.com:443".into()), ..SampleOptions::default() })
            .unwrap()
            .contains("listen_addr")
    );
    assert_eq!((settings.nodename.as_str(), settings.data_dir.to_str()), ("web-1", Some("/srv/teleport")));
    let join = settings.join.unwrap();
    assert_eq!((join.kind, join.servers.first().unwrap().port), (ServerKind::Proxy, 443));
    let nothing = |_: &Path| panic!("no file is named");
    assert_eq!(join.token.unwrap().read(&nothing).unwrap(), Secret::from("a \"strange\" token: #1"));
    assert!(matches!(join.ca_pins.as_slice(), [CaPinSource::Pin(found)] if found.to_string() == pin));
}

#[test]
fn a_proxy_joins_through_an_auth_server() {
    let settings = written(&SampleOptions {
        roles: Some("proxy".into()),
        auth_server: Some("auth.example.com".into()),
        ..SampleOptions::default()
    });
    assert_eq!(settings.roles(), [SystemRole::Proxy]);
    assert_eq!(settings.join.unwrap().servers.first().unwrap().to_string(), "auth.example.com:3025");
}

#[test]
fn options_that_do_not_fit_are_errors() {
    let fails = |options: SampleOptions| sample(&options).unwrap_err().to_string();
    let options = SampleOptions { roles: Some("noed".into()), ..SampleOptions::default() };
    assert!(fails(options).contains("did you mean `node`?"));
    let options = SampleOptions { cluster_name: Some("a b".into()), ..SampleOptions::default() };
    assert!(fails(options).contains("auth_service.cluster_name"));
    let (roles, proxy) = (Some("proxy".into()), Some("p:443".into()));
    let options = SampleOptions { roles, proxy, ..SampleOptions::default() };
    assert!(fails(options).contains("teleport.proxy_server"));
    let options = SampleOptions { roles: Some("node".into()), ..SampleOptions::default() };
    assert!(fails(options).contains("no cluster to join"));
}

#[test]
fn options_that_would_change_nothing_are_errors() {
    let refused = |options: SampleOptions, flag: &str| {
        let error = sample(&options).unwrap_err().to_string();
        assert!(error.starts_with(flag) && error.contains("is of no use"), "{error}");
    };
    let none = SampleOptions::default;
    refused(SampleOptions { token: Some("t".into()), ..none() }, "--token: ");
    refused(SampleOptions { ca_pin: vec!["sha256:".into()], ..none() }, "--ca-pin: ");
    refused(SampleOptions { acme_email: Some("a@b".into()), ..none() }, "--acme-email: ");
    let (roles, proxy) = (Some("auth".to_owned()), Some("p:443".to_owned()));
    refused(SampleOptions { roles: roles.clone(), proxy, ..none() }, "--proxy: ");
    refused(
        SampleOptions { roles: roles.clone(), auth_server: Some("a".into()), ..none() },
        "--auth-server: ",
    );
    refused(SampleOptions { roles, acme: true, ..none() }, "--acme: ");
    let (proxy, cluster_name) = (Some("p:443".to_owned()), Some("example.com".to_owned()));
    refused(SampleOptions { proxy, cluster_name, ..none() }, "--cluster-name: ");
}

#[test]
fn the_lines_of_the_application_guide_are_there_to_be_found() {
    let text = sample(&SampleOptions {
        acme: true,
        acme_email: Some("ops@example.com".into()),
        cluster_name: Some("example.com".into()),
        ..SampleOptions::default()
    });
    let text = text.unwrap();
    for line in [
        "  cluster_name: example.com",
        "  enabled: \"yes\"",
        "  web_listen_addr: :443",
        "    email: ops@example.com",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} in\n{text}");
    }
}

proptest! {
    #[test]
    fn any_printable_text_reads_back_the_same(name in "\\PC{1,40}") {
        let options = SampleOptions {
            nodename: Some(name.clone()), proxy: Some("p:443".into()), ..SampleOptions::default()
        };
        if let Ok(text) = sample(&options) {
            prop_assert_eq!(check(&text, "sample").unwrap().nodename, name);
        } else {
            prop_assert!(name.trim().is_empty());
        }
    }
}
