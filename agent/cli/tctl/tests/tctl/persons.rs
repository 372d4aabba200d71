//! Users and locks.

use serde_json::json;

use crate::cluster::Cluster;

#[tokio::test]
async fn a_user_is_added_with_logins_by_position() {
    let cluster = Cluster::new().await;
    let text = cluster.tctl(&["users", "add", "joe", "joe,root"]).await.ok();
    assert!(
        text.starts_with("User \"joe\" has been created (roles: access; logins: joe, root).\n"),
        "{text}"
    );
    let url = text.lines().nth(2).unwrap();
    let token = url.strip_prefix("https://proxy.example.com:3080/web/invite/").unwrap();
    assert_eq!(token.len(), 32);
    assert!(
        text.contains("valid for 60 minutes") && text.contains("proxy.example.com:3080 is a proxy"),
        "{text}"
    );
    assert!(text.contains("tctl auth sign --user=joe"), "{text}");
    let user = cluster.json(&["get", "user/joe"]).await;
    assert_eq!(user[0]["spec"]["traits"]["logins"], json!(["joe", "root"]));
    assert_eq!(user[0]["spec"]["created_by"]["user"]["name"], "builtin-Admin");
    let invite = cluster.json(&["get", &format!("token/{token}"), "--with-secrets"]).await;
    assert_eq!(invite[0]["spec"]["invites_user"], "joe");
    assert_eq!(invite[0]["spec"]["roles"], json!([]));
}

#[tokio::test]
async fn users_are_added_with_roles_as_the_newer_manual_does() {
    let cluster = Cluster::with(&[], &[]).await;
    let json = cluster.json(&["users", "add", "--roles=access,editor", "appuser"]).await;
    assert_eq!(json["roles"], json!(["access", "editor"]));
    assert_eq!(json["logins"], json!([]));
    let url = json["url"].as_str().unwrap();
    assert_eq!(url, format!("https://<proxyhost>:3080/web/invite/{}", json["token"].as_str().unwrap()));
    let add = ["users", "add", "ann", "--roles=access", "--logins=root,ubuntu"];
    assert_eq!(cluster.json(&add).await["logins"], json!(["root", "ubuntu"]));
    let table = cluster.tctl(&["users", "ls"]).await.ok();
    let expected =
        "User           Roles\n----           -----\nann            access\nappuser        access,editor\n";
    assert_eq!(table, expected);
    assert_eq!(cluster.json(&["users", "ls"]).await[0]["metadata"]["name"], "ann");
}

#[tokio::test]
async fn users_that_cannot_be_are_refused_and_nothing_is_made() {
    let cluster = Cluster::new().await;
    let error = cluster.tctl(&["users", "add", "joe", "--roles=acess"]).await.failed(1);
    assert!(error.contains("role \"acess\" does not exist") && error.contains("tctl get roles"), "{error}");
    let error = cluster.tctl(&["users", "add", "joe", "a b"]).await.failed(1);
    assert!(error.contains("spec.traits.logins"), "{error}");
    let error = cluster.tctl(&["users", "add", "a/b", "--roles=access"]).await.failed(1);
    assert!(error.contains("not allowed"), "{error}");
    assert!(cluster.tctl(&["users", "add", "joe", "--ttl=49h"]).await.failed(2).contains("48h"));
    cluster.tctl(&["users", "add", "joe", "--logins=root"]).await.failed(2);
    assert_eq!(cluster.tctl(&["users", "ls"]).await.ok(), "No users found\n");
    assert_eq!(cluster.tctl(&["tokens", "ls"]).await.ok(), "No active tokens found.\n");
    cluster.tctl(&["users", "add", "joe"]).await.ok();
    assert!(cluster.tctl(&["users", "add", "joe"]).await.failed(1).contains("already exists"));
}

#[tokio::test]
async fn a_user_who_is_removed_takes_the_invite_along_and_leaves_a_lock() {
    let cluster = Cluster::new().await;
    for user in ["joe", "ann", "bob"] {
        cluster.tctl(&["users", "add", user]).await.ok();
    }
    let done = cluster.tctl(&["users", "rm", "joe,ann"]).await.ok();
    assert_eq!(done, "User \"joe\" has been deleted\nUser \"ann\" has been deleted\n");
    let tokens = cluster.json(&["tokens", "ls"]).await;
    assert_eq!(tokens.as_array().unwrap().len(), 1);
    assert_eq!(tokens[0]["invites_user"], "bob");
    let locks = cluster.json(&["get", "locks"]).await;
    assert_eq!(locks.as_array().unwrap().len(), 2);
    assert_eq!(cluster.tctl(&["users", "del", "bob"]).await.ok(), "User \"bob\" has been deleted\n");
    assert!(cluster.tctl(&["users", "rm", "bob"]).await.failed(1).contains("does not exist"));
}

#[tokio::test]
async fn a_lock_names_its_target_and_is_lifted_by_name() {
    let cluster = Cluster::new().await;
    cluster.tctl(&["lock"]).await.failed(2);
    assert!(cluster.tctl(&["lock", "--server-id=web-1"]).await.failed(2).contains("tctl nodes ls"));
    let made =
        cluster.json(&["lock", "--user=joe", "--login=root", "--ttl=1h", "--message=see the desk"]).await;
    let name = made["name"].as_str().unwrap();
    let stored = cluster.json(&["get", &format!("lock/{name}")]).await;
    assert_eq!(stored[0]["spec"]["target"], json!({"user": "joe", "login": "root"}));
    assert_eq!(stored[0]["spec"]["message"], "see the desk");
    assert!(stored[0]["metadata"]["expires"].is_string());
    let text = cluster.tctl(&["lock", "--role=access"]).await.ok();
    let lift = text.trim_end().rsplit_once("tctl rm ").unwrap().1;
    assert!(cluster.tctl(&["rm", lift]).await.ok().ends_with("has been deleted\n"));
}

#[tokio::test]
async fn a_lock_on_nobody_is_made_with_a_note_beside_it() {
    let cluster = Cluster::new().await;
    cluster.tctl(&["users", "add", "joe"]).await.ok();
    let done = cluster.tctl(&["lock", "--user=jo", "--role=acess"]).await;
    for note in ["there is no user \"jo\" now", "there is no role \"acess\" now"] {
        assert!(done.err.contains(note), "{done:?}");
    }
    done.ok();
    let done = cluster.tctl(&["lock", "--user=joe", "--role=access", "--login=nobody"]).await;
    assert_eq!(done.err, "");
    done.ok();
}
