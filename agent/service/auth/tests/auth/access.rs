//! Who may call what, and who is shut out.

use std::time::Duration;

use api::auth::SignUserRequest;
use domain::identity::SystemRole;
use domain::lock::{Lock, LockSpec, Target};
use domain::resource::Kind;
use domain::user::UserSpec;

use crate::bed::{Bed, joining};
use crate::{node, said, user};

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
    let admin_as_host = bed.admin.heartbeat(&crate::node("x"), false).await.unwrap_err();
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
async fn a_locked_host_is_shut_out_at_once() {
    let bed = Bed::start().await;
    let bundle = client::join::join(&joining(&bed, "web-1", "node-token"), &*bed.random).await.unwrap();
    let client = bed.member(&bundle);
    client.heartbeat(&node("web-1"), false).await.unwrap();
    let target = Target { server_id: Some(bundle.identity.host_id), ..Default::default() };
    let refused = refused(&bed, &client, target).await;
    assert!(refused.contains("stolen"), "{refused}");
}

/// What a host is told once this is locked. The cache of locks follows the store; it may be a
/// moment behind the answer.
async fn refused(bed: &Bed, client: &client::AuthClient, target: Target) -> String {
    let lock = Lock::new("l", LockSpec { target, message: "stolen".into(), issued_before: None });
    bed.admin.put(&lock, false).await.unwrap();
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
    let target = Target { serial: Some(serial), ..Default::default() };
    let refused = refused(&bed, &client, target).await;
    assert!(refused.contains("stolen"), "{refused}");
    bed.member(&second.unwrap()).heartbeat(&node("web-1"), false).await.unwrap();
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
