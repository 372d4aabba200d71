//! Joining and renewing: who gets a certificate for which host.

use std::time::Duration;

use certs::bundle::HostKeys;
use domain::identity::SystemRole;
use domain::resource::Kind;
use net::tls::ServerTrust;

use crate::bed::{Bed, joining};
use crate::{node, said};

#[tokio::test]
async fn a_host_joins_with_a_token_and_gets_the_published_principals() {
    let bed = Bed::start().await;
    let bundle = client::join::join(&joining(&bed, "web-1", "node-token"), &*bed.random).await.unwrap();
    let names = bundle.ssh_certificate.valid_principals();
    let id = bundle.identity.host_id.to_string();
    assert_eq!(names.get(..4).unwrap(), [format!("{id}.main"), id, "web-1.main".into(), "web-1".into()]);
    assert!(
        bed.audit.codes().contains(&"TJ002I".to_owned()) && bed.audit.codes().contains(&"TC000I".to_owned())
    );
}

#[tokio::test]
async fn tokens_that_do_not_admit_are_told_apart_without_helping_to_guess() {
    let bed = Bed::start().await;
    for (token, says) in [
        ("nothing-like-it", "unknown or has expired"),
        ("proxy-token", "does not allow the role node"),
        ("", "unknown or has expired"),
    ] {
        let error = client::join::join(&joining(&bed, "web-1", token), &*bed.random).await.unwrap_err();
        assert!(!error.is_temporary(), "a refusal is final");
        assert!(said(error).contains(says), "{token}");
    }
    let as_admin = client::join::Joining { role: SystemRole::Admin, ..joining(&bed, "web-1", "node-token") };
    assert!(said(client::join::join(&as_admin, &*bed.random).await.unwrap_err()).contains("not a role"));
    let refused = bed
        .audit
        .lines()
        .into_iter()
        .filter(|line| line.get("code").is_some_and(|code| code == "TJ002E"))
        .count();
    assert_eq!(refused, 3, "every refusal is on record, nonsense is not");
}

#[tokio::test]
async fn a_token_expires_and_may_be_used_often_before() {
    let bed = Bed::start().await;
    bed.token("short-lived", &[SystemRole::Node], 60).await;
    for host in ["a", "b"] {
        client::join::join(&joining(&bed, host, "short-lived"), &*bed.random).await.unwrap();
    }
    bed.clock.advance(Duration::from_secs(60));
    assert!(client::join::join(&joining(&bed, "c", "short-lived"), &*bed.random).await.is_err());
}

#[tokio::test]
async fn the_wrong_pin_keeps_the_token_secret() {
    let bed = Bed::start().await;
    let other = Bed::start().await;
    let joining = client::join::Joining {
        trust: ServerTrust::Pins(other.service.pins().unwrap()),
        ..joining(&bed, "a", "node-token")
    };
    let error = client::join::join(&joining, &*bed.random).await.unwrap_err();
    let text = format!("{error}: {}", std::error::Error::source(&error).unwrap());
    assert!(text.contains("check --ca-pin"), "{text}");
    assert!(!bed.audit.codes().iter().any(|code| code.starts_with("TJ002")), "nothing was sent");
}

#[tokio::test]
async fn a_uuid_in_use_is_not_given_to_a_second_host() {
    let bed = Bed::start().await;
    let first = joining(&bed, "web-1", "node-token");
    let client = bed.member(&client::join::join(&first, &*bed.random).await.unwrap());
    client.heartbeat(&node("web-1"), false).await.unwrap();
    let error = client::join::join(&first, &*bed.random).await.unwrap_err();
    assert!(said(error).contains("delete host_uuid"));
}

/// Joins with these keys; the error is the sentence.
async fn ask(joining: &client::join::Joining, keys: &HostKeys) -> Result<(), String> {
    client::join::ask(joining, keys).await.map(drop).map_err(said)
}

#[tokio::test]
async fn a_silent_host_keeps_its_uuid_for_as_long_as_its_certificates_live() {
    let bed = Bed::start().await;
    let host = joining(&bed, "web-1", "node-token");
    let keys = [(); 3].map(|()| HostKeys::generate(&*bed.random).unwrap());
    let [own, thief, anew] = keys;
    ask(&host, &own).await.unwrap();
    // It never said a word, or said that it leaves: whoever has a token knows no more than before.
    let refused = ask(&host, &thief).await.unwrap_err();
    assert!(refused.contains("delete host_uuid"), "{refused}");
    let remedy = format!("tctl rm node/{}", host.host_id);
    assert!(refused.contains(&remedy), "{refused}");
    // One key of the host's own and another: no certificate for the other either.
    let mixed = |ssh: &HostKeys, tls: &HostKeys| {
        let mut text: serde_json::Value = serde_json::from_slice(ssh.to_secret().unwrap().reveal()).unwrap();
        let tls: serde_json::Value = serde_json::from_slice(tls.to_secret().unwrap().reveal()).unwrap();
        text["tls_key"] = tls["tls_key"].clone();
        HostKeys::from_secret(&domain::secret::Secret::new(text.to_string().into_bytes())).unwrap()
    };
    assert!(ask(&host, &mixed(&own, &thief)).await.is_err());
    assert!(ask(&host, &mixed(&thief, &own)).await.is_err());
    // Its answer was lost, so it asks again.
    ask(&host, &own).await.unwrap();
    bed.admin.delete(Kind::Node, &host.host_id.to_string()).await.unwrap();
    assert!(bed.admin.delete(Kind::Node, &host.host_id.to_string()).await.unwrap_err().is_not_found());
    ask(&host, &anew).await.unwrap();
    assert!(ask(&host, &own).await.is_err());
    bed.clock.advance(domain::certificate::HOST_TTL + Duration::from_secs(60));
    ask(&host, &thief).await.unwrap();
}

#[tokio::test]
async fn a_renewal_changes_the_keys_a_uuid_belongs_to_and_lengthens_the_time() {
    let bed = Bed::start().await;
    let host = joining(&bed, "web-1", "node-token");
    let first = client::join::join(&host, &*bed.random).await.unwrap();
    let client = bed.member(&first);
    bed.clock.advance(domain::certificate::HOST_TTL / 2);
    let second =
        client::join::renew(&client, first.identity.clone(), "web-1", &[], &*bed.random).await.unwrap();
    bed.clock.advance(domain::certificate::HOST_TTL / 2 + Duration::from_secs(120));
    assert!(ask(&host, &first.keys).await.unwrap_err().contains("other keys"));
    ask(&host, &second.keys).await.unwrap();
    // Another role is another identity with keys of its own.
    let proxy = client::join::Joining { role: SystemRole::Proxy, token: "proxy-token".into(), ..host };
    ask(&proxy, &first.keys).await.unwrap();
    assert!(ask(&proxy, &second.keys).await.unwrap_err().contains("other keys"));
}

#[tokio::test]
async fn of_many_that_want_one_uuid_at_once_one_gets_it() {
    let bed = Bed::start().await;
    let host = joining(&bed, "web-1", "node-token");
    let keys = [(); 4].map(|()| HostKeys::generate(&*bed.random).unwrap());
    let [a, b, c, d] = &keys;
    let outcomes = tokio::join!(ask(&host, a), ask(&host, b), ask(&host, c), ask(&host, d));
    let outcomes = [outcomes.0, outcomes.1, outcomes.2, outcomes.3];
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1, "{outcomes:?}");
}

#[tokio::test]
async fn none_but_a_proxy_is_called_by_the_proxys_name() {
    let bed = Bed::start().await;
    for name in ["proxy.example.com", "Proxy.Example.COM", "proxy.example.com."] {
        let asked = client::join::Joining {
            host_addresses: vec![name.to_owned(), "web.example.com".to_owned()],
            ..joining(&bed, name, "node-token")
        };
        let bundle = client::join::join(&asked, &*bed.random).await.unwrap();
        let names = bundle.ssh_certificate.valid_principals();
        let is_proxys =
            |given: &String| given.trim_end_matches('.').eq_ignore_ascii_case("proxy.example.com");
        assert!(!names.iter().any(is_proxys), "{names:?}");
        for own in [bundle.identity.host_id.to_string(), "localhost".into(), "web.example.com".into()] {
            assert!(names.contains(&own), "{own} of {names:?}");
        }
        let proxy = client::join::Joining {
            role: SystemRole::Proxy,
            token: "proxy-token".into(),
            host_id: domain::name::HostId(port::random::Random::uuid(&*bed.random)),
            host_addresses: vec![name.to_owned()],
            ..asked
        };
        let bundle = client::join::join(&proxy, &*bed.random).await.unwrap();
        assert!(bundle.ssh_certificate.valid_principals().iter().any(is_proxys));
    }
}

#[tokio::test]
async fn the_node_beside_the_auth_server_has_the_hosts_name_and_nobody_else_is_that_host() {
    let bed = Bed::start().await;
    let host_id = bed.service.own_identity(SystemRole::Admin).await.unwrap().identity.host_id;
    let stranger = client::join::Joining { host_id, ..joining(&bed, "proxy.example.com", "node-token") };
    assert!(client::join::join(&stranger, &*bed.random).await.is_err());
    let token = bed.service.local_token(vec![SystemRole::Node]);
    let own = client::join::Joining { token, ..stranger };
    let bundle = client::join::join(&own, &*bed.random).await.unwrap();
    assert!(bundle.ssh_certificate.valid_principals().contains(&"proxy.example.com".to_owned()));
}

#[tokio::test]
async fn a_renewed_identity_keeps_its_role_and_works() {
    let bed = Bed::start().await;
    let bundle = client::join::join(&joining(&bed, "web-1", "node-token"), &*bed.random).await.unwrap();
    let client = bed.member(&bundle);
    let renewed =
        client::join::renew(&client, bundle.identity.clone(), "web-2", &[], &*bed.random).await.unwrap();
    assert_ne!(renewed.ssh_certificate.serial(), bundle.ssh_certificate.serial());
    assert!(renewed.ssh_certificate.valid_principals().contains(&"web-2".to_owned()));
    bed.member(&renewed).heartbeat(&node("web-2"), false).await.unwrap();
}
