//! The auth service over its real wire, with a store in memory and an audit log that remembers.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod bed;
mod presence;

use std::time::Duration;

use api::auth::SignUserRequest;
use bed::{Bed, joining};
use certs::bundle::HostKeys;
use client::ClientError;
use domain::identity::SystemRole;
use domain::label::{INVALID_HOSTNAME, Labels};
use domain::lock::Lock;
use domain::node::{Node, NodeSpec};
use domain::resource::Kind;
use domain::role::Role;
use domain::user::{User, UserSpec};
use net::tls::ServerTrust;

fn user(name: &str, roles: &[&str]) -> User {
    let roles = roles.iter().map(|role| (*role).to_owned()).collect();
    let traits = domain::traits::Traits([("logins".to_owned(), vec!["root".to_owned()])].into());
    User::new(name, UserSpec { roles, traits, ..UserSpec::default() })
}

fn node(hostname: &str) -> NodeSpec {
    NodeSpec {
        hostname: hostname.into(),
        addr: String::new(),
        use_tunnel: true,
        labels: Labels::default(),
        cmd_labels: Labels::default(),
        cmd_label_errors: Labels::default(),
        version: "0.1.0".into(),
    }
}

fn said(error: ClientError) -> String {
    error.to_string()
}

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
async fn an_unfit_host_name_gives_way_to_the_uuid() {
    let bed = Bed::start().await;
    let bundle = client::join::join(&joining(&bed, "bad_name", "node-token"), &*bed.random).await.unwrap();
    let listed = bed.member(&bundle).heartbeat(&node("bad_name"), false).await.unwrap();
    let id = bundle.identity.host_id.to_string();
    assert_eq!(listed, id);
    let record: Node = bed.admin.get(&id).await.unwrap();
    assert_eq!(record.spec.labels.value(INVALID_HOSTNAME), Some("bad_name"));
}

#[tokio::test]
async fn what_a_node_may_not_say_of_itself_is_taken_out_or_refused() {
    let bed = Bed::start().await;
    let bundle = client::join::join(&joining(&bed, "web-1", "node-token"), &*bed.random).await.unwrap();
    let client = bed.member(&bundle);
    let mut spec = node("web-1");
    spec.labels = [("teleport.internal/x", "1"), ("env", "a\u{1b}[2Jb")].into_iter().collect();
    client.heartbeat(&spec, false).await.unwrap();
    let record: Node = bed.admin.get(&bundle.identity.host_id.to_string()).await.unwrap();
    assert_eq!(record.spec.labels.to_string(), "env=a[2Jb");
    for address in ["169.254.169.254:80", "0.0.0.0:22", "example.com:22"] {
        spec.addr = address.into();
        assert!(client.heartbeat(&spec, false).await.is_err(), "{address}");
    }
}

#[tokio::test]
async fn silent_nodes_are_forgotten() {
    let bed = Bed::start().await;
    let bundle = client::join::join(&joining(&bed, "web-1", "node-token"), &*bed.random).await.unwrap();
    bed.member(&bundle).heartbeat(&node("web-1"), false).await.unwrap();
    assert_eq!(bed.admin.list::<NodeSpec>().await.unwrap().len(), 1);
    bed.clock.advance(domain::node::TTL);
    assert!(bed.admin.list::<NodeSpec>().await.unwrap().is_empty());
}

#[tokio::test]
async fn records_are_made_replaced_and_removed_with_the_rules_of_their_kind() {
    let bed = Bed::start().await;
    let error = bed.admin.put(&user("joe", &["nope"]), false).await.unwrap_err();
    assert!(said(error).contains("role \"nope\" does not exist"));
    assert!(!bed.admin.put(&user("joe", &["access"]), false).await.unwrap().replaced);
    assert!(
        said(bed.admin.put(&user("joe", &["access"]), false).await.unwrap_err()).contains("already exists")
    );
    let written = bed.admin.put(&user("joe", &["editor"]), true).await.unwrap();
    assert!(written.replaced);
    let stale =
        bed.admin.put_json(user("joe", &["access"]).to_json(), true, Some("1".into())).await.unwrap_err();
    assert!(said(stale).contains("changed by someone else"));
    let role: Role = bed.admin.get("editor").await.unwrap();
    assert!(said(bed.admin.delete(Kind::Role, role.name()).await.unwrap_err()).contains("held by joe"));
    bed.admin.delete(Kind::User, "joe").await.unwrap();
    assert!(bed.admin.delete(Kind::User, "joe").await.unwrap_err().is_not_found());
    let codes = bed.audit.codes();
    for code in ["T1002I", "T1003I", "T1004I"] {
        assert!(codes.iter().any(|seen| seen == code), "{code} in {codes:?}");
    }
}

#[tokio::test]
async fn misspelt_or_foreign_records_are_refused_with_the_reason() {
    let bed = Bed::start().await;
    for (json, says) in [
        (r#"{"kind":"spoon","version":"v1","metadata":{"name":"x"},"spec":{}}"#, "spoon"),
        (r#"{"kind":"user","version":"v9","metadata":{"name":"x"},"spec":{"roles":["access"]}}"#, "version"),
        (r#"{"kind":"user","version":"v2","metadata":{"name":"a/b"},"spec":{"roles":["access"]}}"#, "slash"),
        (r#"{"kind":"user","version":"v2","metadata":{"name":"x"},"spec":{"rolls":["access"]}}"#, "rolls"),
        ("not json", "expected"),
    ] {
        let error = bed.admin.put_json(json.as_bytes().to_vec(), false, None).await.unwrap_err();
        assert!(said(error).contains(says), "{json}");
    }
}

#[tokio::test]
async fn a_removed_user_leaves_a_lock_that_spares_a_later_namesake() {
    let bed = Bed::start().await;
    bed.admin.put(&user("joe", &["access"]), false).await.unwrap();
    bed.admin.delete(Kind::User, "joe").await.unwrap();
    let lock: Lock = bed.admin.get("user-removed-joe").await.unwrap();
    assert_eq!(lock.spec.target.user.as_deref(), Some("joe"));
    assert!(lock.spec.issued_before.is_some() && lock.metadata.expires.is_some());
}

#[tokio::test]
async fn a_locked_user_gets_no_certificate_and_an_unlocked_one_does() {
    let bed = Bed::start().await;
    let mut joe = user("joe", &["access"]);
    joe.spec.status.is_locked = true;
    bed.admin.put(&joe, false).await.unwrap();
    assert!(said(bed.sign("joe").await.unwrap_err()).contains("locked"));
    assert!(bed.admin.get::<domain::lock::LockSpec>("user-locked-joe").await.is_ok());
    joe.spec.status.is_locked = false;
    bed.admin.put(&joe, true).await.unwrap();
    assert!(bed.admin.get::<domain::lock::LockSpec>("user-locked-joe").await.unwrap_err().is_not_found());
    bed.sign("joe").await.unwrap();
}

#[tokio::test]
async fn no_certificate_outlives_the_account() {
    let bed = Bed::start().await;
    let mut joe = user("joe", &["access"]);
    joe.spec.expires = Some(bed.clock.after(Duration::from_secs(3600)));
    bed.admin.put(&joe, false).await.unwrap();
    let mut ann = user("ann", &["access"]);
    ann.metadata.expires = Some(bed.clock.after(Duration::from_secs(20)));
    bed.admin.put(&ann, false).await.unwrap();
    for (name, life) in [("joe", 3600), ("ann", 20)] {
        let certificate = bed.sign(name).await.unwrap();
        let seconds = certificate.valid_before() - certificate.valid_after();
        assert!((life..=life + 60).contains(&seconds), "{name}: {seconds}");
    }
    bed.clock.advance(Duration::from_secs(3600));
    let error = said(bed.sign("joe").await.unwrap_err());
    assert!(error.contains("ended at") && error.contains("tctl edit user/joe"), "{error}");
}

#[tokio::test]
async fn a_certificate_says_what_the_roles_allow() {
    let bed = Bed::start().await;
    bed.admin.put(&user("joe", &["access"]), false).await.unwrap();
    let certificate = bed.sign("joe").await.unwrap();
    assert_eq!(certificate.valid_principals(), ["root"]);
    assert_eq!(
        certificate.valid_before() - certificate.valid_after(),
        12 * 3600 + 60,
        "twelve hours and the backdate"
    );
    assert!(certificate.extensions().contains_key("permit-agent-forwarding"));
    bed.admin.put(&user("ed", &["editor"]), false).await.unwrap();
    assert!(said(bed.sign("ed").await.unwrap_err()).contains("has no logins"));
    assert!(bed.sign("nobody").await.unwrap_err().is_not_found());
}

#[tokio::test]
async fn no_certificate_without_its_event() {
    let bed = Bed::start().await;
    bed.admin.put(&user("joe", &["access"]), false).await.unwrap();
    bed.audit.fail(1);
    let error = said(bed.sign("joe").await.unwrap_err());
    assert!(error.contains("audit log"), "{error}");
    bed.sign("joe").await.unwrap();
}

#[tokio::test]
async fn calls_are_open_to_whom_the_table_says() {
    let bed = Bed::start().await;
    let bundle = client::join::join(&joining(&bed, "web-1", "node-token"), &*bed.random).await.unwrap();
    let node = bed.member(&bundle);
    assert!(node.list::<domain::role::RoleSpec>().await.is_ok());
    assert!(said(node.list::<UserSpec>().await.unwrap_err()).contains("may not list"));
    assert!(said(node.put(&user("joe", &["access"]), false).await.unwrap_err()).contains("may not create"));
    assert!(
        said(node.sign_user(SignUserRequest { user: "joe".into(), ..Default::default() }).await.unwrap_err())
            .contains("certificates made for others")
    );
    assert!(node.watch(&[Kind::Token]).await.is_err());
    let stranger = bed.stranger();
    assert!(said(stranger.status().await.unwrap_err()).contains("certificate"));
    let admin_as_host = bed.admin.heartbeat(&self::node("x"), false).await.unwrap_err();
    assert!(said(admin_as_host).contains("not a host"));
}

#[tokio::test]
async fn events_are_marked_with_whoever_delivered_them() {
    let bed = Bed::start().await;
    let bundle = client::join::join(&joining(&bed, "web-1", "node-token"), &*bed.random).await.unwrap();
    let forged = br#"{"event":"exec","code":"T3002I","uid":"u1","time":"2026-01-01T00:00:00Z","server_id":"someone-else"}"#;
    bed.member(&bundle).emit(vec![forged.to_vec()]).await.unwrap();
    let event =
        bed.audit.lines().into_iter().find(|line| line.get("uid").is_some_and(|uid| uid == "u1")).unwrap();
    assert_eq!(event.get("server_id").unwrap(), &bundle.identity.host_id.to_string());
    for bad in [
        b"{}".to_vec(),
        b"[]".to_vec(),
        vec![b'x'; 70_000],
        br#"{"event":1,"code":"x","uid":"u","time":"t"}"#.to_vec(),
    ] {
        assert!(bed.member(&bundle).emit(vec![bad]).await.is_err());
    }
}

#[tokio::test]
async fn a_watch_begins_with_what_is_there_and_goes_on_with_every_change() {
    use client::auth::Change;
    let bed = Bed::start().await;
    let mut watching = bed.admin.watch(&[Kind::Role, Kind::Lock]).await.unwrap();
    let mut first = 0;
    while !matches!(watching.next().await.unwrap().unwrap(), Change::Current) {
        first += 1;
    }
    assert_eq!(first, 4, "the preset roles");
    bed.admin.put(&user("joe", &["access"]), false).await.unwrap();
    bed.admin.delete(Kind::User, "joe").await.unwrap();
    let change = watching.next().await.unwrap().unwrap();
    assert!(
        matches!(change, Change::Put(json) if String::from_utf8_lossy(&json).contains("user-removed-joe"))
    );
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

#[tokio::test]
async fn a_locked_host_is_shut_out_at_once() {
    let bed = Bed::start().await;
    let bundle = client::join::join(&joining(&bed, "web-1", "node-token"), &*bed.random).await.unwrap();
    let client = bed.member(&bundle);
    client.heartbeat(&node("web-1"), false).await.unwrap();
    let target = domain::lock::Target { server_id: Some(bundle.identity.host_id), ..Default::default() };
    let lock = Lock::new(
        "bad-host",
        domain::lock::LockSpec { target, message: "stolen".into(), issued_before: None },
    );
    bed.admin.put(&lock, false).await.unwrap();
    let refused = refused(&client).await;
    assert!(refused.contains("stolen"), "{refused}");
}

/// What a host is told that has just been locked. The cache of locks follows the store; it may be a
/// moment behind the answer.
async fn refused(client: &client::AuthClient) -> String {
    let refused = async {
        loop {
            if let Err(error) = client.heartbeat(&node("web-1"), false).await {
                return said(error);
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), refused).await.unwrap()
}

#[tokio::test]
async fn a_lock_by_serial_number_shuts_out_both_halves_of_a_certificate() {
    let bed = Bed::start().await;
    let first = client::join::join(&joining(&bed, "web-1", "node-token"), &*bed.random).await.unwrap();
    let client = bed.member(&first);
    let second = client::join::renew(&client, first.identity.clone(), "web-1", &[], &*bed.random).await;
    let serial = first.ssh_certificate.serial();
    assert_eq!(certs::x509::serial_of(&first.tls_certificate).unwrap(), serial);
    let target = domain::lock::Target { serial: Some(serial), ..Default::default() };
    let lock = Lock::new(
        "lost-key",
        domain::lock::LockSpec { target, message: "key lost".into(), issued_before: None },
    );
    bed.admin.put(&lock, false).await.unwrap();
    let refused = refused(&client).await;
    assert!(refused.contains("key lost"), "{refused}");
    bed.member(&second.unwrap()).heartbeat(&node("web-1"), false).await.unwrap();
}

#[tokio::test]
async fn a_second_start_finds_the_cluster_and_another_name_is_refused() {
    let bed = Bed::start().await;
    let pins = bed.service.pins().unwrap();
    let again = bed.open_again(Some("main")).await.unwrap();
    assert_eq!(again.pins().unwrap(), pins);
    let error = bed.open_again(Some("other")).await.err().unwrap().to_string();
    assert!(
        error.starts_with("the store in memory belongs to the cluster \"main\"")
            && error.contains("\"other\""),
        "{error}"
    );
}

#[tokio::test]
async fn a_host_of_a_cluster_makes_no_other_in_an_empty_store() {
    let bed = Bed::start().await;
    let (error, items) = bed.open_empty("the cluster \"main\"").await;
    let error = error.unwrap().to_string();
    let says = "the store in memory is empty, but this data_dir belongs to the cluster \"main\"";
    assert!(error.starts_with(says) && error.contains("teleport.storage"), "{error}");
    assert_eq!(items, 0, "nothing was written");
}

#[tokio::test]
async fn a_connection_is_no_longer_good_than_the_certificate_shown_on_it() {
    let bed = Bed::start().await;
    bed.admin.status().await.unwrap();
    bed.clock.advance(Duration::from_secs(7 * 86_400 - 1));
    bed.admin.status().await.unwrap();
    bed.clock.advance(Duration::from_secs(3));
    let refused = bed.admin.status().await.unwrap_err();
    assert!(said(refused).contains("expired at"));
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
async fn a_refusal_does_not_tell_whether_the_token_is_there() {
    let bed = Bed::start().await;
    bed.token("the-real-one", &[SystemRole::Node], 600).await;
    let bundle = client::join::join(&joining(&bed, "web-1", "node-token"), &*bed.random).await.unwrap();
    let client = bed.member(&bundle);
    let token: domain::token::Token = bed.admin.get("the-real-one").await.unwrap();
    let mut texts = Vec::new();
    for name in ["the-real-one", "another-guess"] {
        let guess = domain::token::Token::new(name, token.spec.clone());
        texts.push(said(client.put(&guess, true).await.unwrap_err()));
    }
    assert_eq!(texts.first(), texts.last());
    assert!(texts.concat().contains("may not create records of kind token"), "{texts:?}");
}

#[tokio::test]
async fn a_host_that_runs_sshd_gets_no_certificate_for_tls_unless_it_asks() {
    let bed = Bed::start().await;
    let keys = HostKeys::generate(&*bed.random).unwrap();
    let request = |tls_public_key| api::auth::SignHostRequest {
        hosts: vec!["db.example.com".into()],
        ssh_public_key: keys.ssh_public().unwrap(),
        tls_public_key,
        ..Default::default()
    };
    let signed = bed.admin.sign_host(request(Vec::new())).await.unwrap();
    assert!(signed.tls.is_empty() && !signed.ssh.is_empty());
    let signed = bed.admin.sign_host(request(keys.tls.public_der())).await.unwrap();
    assert!(!signed.tls.is_empty());
}
