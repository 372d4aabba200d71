//! Certificates that are signed for others.

use std::time::Duration;

use certs::bundle::HostKeys;
use domain::lock::{Lock, LockSpec, Target};

use crate::bed::Bed;
use crate::{said, user};

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
async fn nobody_is_signed_for_whom_every_server_refuses() {
    let bed = Bed::start().await;
    for name in ["joe", "ann"] {
        bed.admin.put(&user(name, &["access"]), false).await.unwrap();
    }
    let target = Target { user: Some("joe".to_owned()), ..Target::default() };
    bed.admin.put(&Lock::new("holiday", LockSpec { target, ..LockSpec::default() }), false).await.unwrap();
    // What is locked is followed in the store, and may be a moment behind.
    let refused = async {
        loop {
            match bed.sign("joe").await {
                Err(error) => return said(error),
                Ok(_) => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        }
    };
    let error = tokio::time::timeout(Duration::from_secs(20), refused).await.unwrap();
    assert!(error.contains("\"joe\"") && error.contains("tctl rm lock/holiday"), "{error}");
    bed.sign("ann").await.unwrap();
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
