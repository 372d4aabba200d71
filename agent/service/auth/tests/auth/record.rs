//! Records, as they are made, changed, removed and watched.

use domain::lock::Lock;
use domain::resource::Kind;
use domain::role::Role;

use crate::bed::Bed;
use crate::{said, user};

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
async fn what_was_changed_by_whom_is_written_down() {
    let bed = Bed::start().await;
    bed.admin.put(&user("joe", &["access"]), false).await.unwrap();
    bed.sign("joe").await.unwrap();
    let target = domain::lock::Target { user: Some("joe".into()), ..Default::default() };
    let spec = domain::lock::LockSpec { target, message: "laptop lost".into(), issued_before: None };
    bed.admin.put(&Lock::new("l", spec), false).await.unwrap();
    bed.admin.delete(Kind::Lock, "l").await.unwrap();
    let lines = bed.audit.lines();
    let told = |name: &str| {
        let of_joe = |line: &serde_json::Map<_, serde_json::Value>| {
            line["event"] == name && !line.get("subject").is_some_and(|subject| subject != "joe")
        };
        serde_json::Value::from(lines.iter().find(|line| of_joe(line)).unwrap().clone())
    };
    for name in ["user.create", "cert.create", "lock.created", "lock.deleted"] {
        assert_eq!(told(name)["user"], "@admin", "{name}");
    }
    assert_eq!(told("user.create")["roles"], serde_json::json!(["access"]));
    assert_eq!(told("cert.create")["roles"], serde_json::json!(["access"]));
    for name in ["lock.created", "lock.deleted"] {
        let told = told(name);
        assert_eq!((&told["target"]["user"], &told["message"]), (&"joe".into(), &"laptop lost".into()));
    }
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
