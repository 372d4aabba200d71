//! Resources as files: get, create, rm.

use serde_json::json;

use crate::cluster::Cluster;

const TWO: &str = "\
kind: role
version: v7
metadata:
  name: dev
spec:
  allow:
    logins: ['{{internal.logins}}']
    node_labels: {env: [dev, stage]}
---
kind: user
version: v2
metadata:
  name: ann
spec:
  roles: [dev]
  traits: {logins: [ann]}
";

#[tokio::test]
async fn a_file_of_several_documents_is_created_refused_and_replaced() {
    let cluster = Cluster::new().await;
    let file = cluster.file("two.yaml", TWO);
    let done = cluster.tctl(&["create", &file]).await.ok();
    assert_eq!(done, "role \"dev\" has been created\nuser \"ann\" has been created\n");
    let error = cluster.tctl(&["create", &file]).await.failed(1);
    assert!(error.contains("two.yaml: document 1 (line 1): role \"dev\" already exists"), "{error}");
    assert!(error.contains("tctl create -f"), "{error}");
    for force in ["-f", "--force"] {
        let done = cluster.tctl(&["create", force, &file]).await.ok();
        assert_eq!(done, "role \"dev\" has been updated\nuser \"ann\" has been updated\n");
    }
}

#[tokio::test]
async fn what_has_expired_already_is_made_and_told() {
    let cluster = Cluster::new().await;
    let old = TWO.replace("name: ann\n", "name: ann\n  expires: 2020-01-02T03:04:05Z\n");
    let done = cluster.tctl(&["create", &cluster.file("old.yaml", &old)]).await;
    assert_eq!(done.err, "note: user \"ann\" expired at 2020-01-02T03:04:05Z: it is gone already\n");
    assert!(done.ok().ends_with("user \"ann\" has been created\n"));
    assert_eq!(cluster.tctl(&["users", "ls"]).await.ok(), "No users found\n");
}

#[tokio::test]
async fn standard_input_is_read_when_no_file_is_named() {
    let cluster = Cluster::new().await;
    for arguments in [&["create"][..], &["create", "-f", "-"]] {
        let done = cluster.tctl_with(arguments, TWO, &[]).await;
        assert_eq!(done.err, "");
        assert!(done.ok().starts_with("role \"dev\" has been "));
    }
    let error = cluster.tctl_with(&["create"], "kind: user\nname: x\n", &[]).await.failed(1);
    assert!(error.contains("standard input:2:1: unknown field"), "{error}");
}

#[tokio::test]
async fn nothing_is_made_of_a_file_with_a_fault_in_its_last_document() {
    let cluster = Cluster::new().await;
    for (fault, named) in [
        (
            "kind: user\nversion: v2\nmetadata: {name: x}\nspec: {roles: [dev], rolez: 1}\n",
            "bad.yaml:21:22: unknown field `rolez`",
        ),
        (
            "kind: user\nversion: v2\nmetadata: {name: x}\nspec: {roles: []}\n",
            "bad.yaml: document 3 (line 18): user \"x\": spec.roles",
        ),
        ("kind: spoon\n", "\"spoon\" is not a kind of resource"),
    ] {
        let file = cluster.file("bad.yaml", &format!("{TWO}---\n{fault}"));
        let error = cluster.tctl(&["create", &file]).await.failed(1);
        assert!(error.contains(named) && error.contains("nothing was changed"), "{error}");
    }
    assert_eq!(cluster.tctl(&["users", "ls"]).await.ok(), "No users found\n");
    assert!(cluster.tctl(&["create", "gone.yaml"]).await.failed(1).contains("cannot read gone.yaml"));
}

#[tokio::test]
async fn a_user_is_dumped_edited_and_written_back() {
    let cluster = Cluster::new().await;
    cluster.tctl(&["users", "add", "joe", "joe,root"]).await.ok();
    let yaml = cluster.tctl(&["get", "user/joe"]).await.ok();
    assert!(yaml.starts_with("kind: user\nversion: v2\nmetadata:\n  name: joe\n  revision: "), "{yaml}");
    let file = cluster.file("joe.yaml", &yaml.replace("- root", "- ubuntu"));
    assert_eq!(cluster.tctl(&["create", "-f", &file]).await.ok(), "user \"joe\" has been updated\n");
    let user = cluster.json(&["get", "users/joe"]).await;
    assert_eq!(user[0]["spec"]["traits"]["logins"], json!(["joe", "ubuntu"]));
    let missing = yaml.replace("- access", "- gone");
    let error = cluster.tctl_with(&["create", "-f"], &missing, &[]).await.failed(1);
    assert!(error.contains("role \"gone\" does not exist"), "{error}");
}

#[tokio::test]
async fn all_of_a_cluster_is_printed_and_made_again() {
    let cluster = Cluster::new().await;
    cluster.tctl_with(&["create"], TWO, &[]).await.ok();
    cluster.tctl(&["tokens", "add", "--type=node", "--value=secret-value"]).await.ok();
    let done = cluster.tctl(&["get", "all"]).await;
    assert!(done.err.contains("--with-secrets"), "{done:?}");
    let public = done.ok();
    assert!(public.contains("name: sec…\n") && !public.contains("secret-value"), "{public}");
    assert!(!public.contains("PRIVATE"), "{public}");
    assert_eq!(
        public.matches("\n---\n").count() + 1,
        4 + 1 + 1 + 1 + 3,
        "4 presets, dev, ann, token, 3 authorities"
    );
    let error = cluster.tctl_with(&["create", "-f"], &public, &[]).await.failed(1);
    assert!(error.contains("cut short"), "a shortened token never becomes one: {error}");
    let whole = cluster.tctl(&["get", "roles,users,tokens", "--with-secrets"]).await;
    assert_eq!(whole.err, "");
    let other = Cluster::new().await;
    let made = other.tctl_with(&["create", "-f"], &whole.ok(), &[]).await.ok();
    assert!(made.ends_with("user \"ann\" has been created\ntoken \"sec…\" has been created\n"), "{made}");
    let json = cluster.tctl(&["get", "users", "--format=json"]).await.ok();
    assert_eq!(other.tctl_with(&["create", "-f"], &json, &[]).await.ok(), "user \"ann\" has been updated\n");
}

#[tokio::test]
async fn references_and_formats_are_told_apart() {
    let cluster = Cluster::new().await;
    let text = cluster.tctl(&["get", "role/access,cas", "--format=text"]).await.ok();
    let names: Vec<_> = text.lines().skip(2).map(|line| line.split_whitespace().nth(1).unwrap()).collect();
    assert_eq!(names, ["access", "host", "jwt", "user"]);
    cluster.tctl(&["lock", "--login=root", "--message=see the desk"]).await.ok();
    let text = cluster.tctl(&["get", "locks", "--format=text"]).await.ok();
    assert!(text.contains("login=root") && text.contains("see the desk"), "{text}");
    assert_eq!(cluster.tctl(&["get", "nodes", "--format=json"]).await.ok(), "[]\n");
    assert_eq!(cluster.tctl(&["get", "nodes"]).await.ok(), "");
    assert!(cluster.tctl(&["get", "spoons"]).await.failed(2).contains("user, role, token"));
    cluster.tctl(&["get"]).await.failed(2);
    assert!(cluster.tctl(&["get", "user/gone"]).await.failed(1).contains("user \"gone\" does not exist"));
}

#[tokio::test]
async fn records_are_removed_by_singular_and_plural() {
    let cluster = Cluster::new().await;
    cluster.tctl_with(&["create"], TWO, &[]).await.ok();
    let error = cluster.tctl(&["rm", "role/dev"]).await.failed(1);
    assert!(error.contains("held by ann"), "{error}");
    let done = cluster.tctl(&["rm", "users/ann", "role/dev"]).await.ok();
    assert_eq!(done, "user \"ann\" has been deleted\nrole \"dev\" has been deleted\n");
    assert!(cluster.tctl(&["rm", "user/ann"]).await.failed(1).contains("does not exist"));
    assert!(cluster.tctl(&["rm", "users"]).await.failed(2).contains("KIND/NAME"));
    assert!(cluster.tctl(&["rm", "ca/host"]).await.failed(1).contains("may not delete"));
    // What was done by whom is on record before it is done.
    let removed = |line: &serde_json::Map<_, _>| line.get("name") == Some(&json!("ann"));
    assert!(cluster.audit.lines().iter().any(removed), "{:?}", cluster.audit.lines());
}

#[tokio::test]
async fn whoever_takes_a_role_away_is_told_that_certificates_keep_it() {
    let cluster = Cluster::new().await;
    cluster.tctl(&["users", "add", "ann", "--roles=access,editor"]).await.ok();
    let less = cluster.tctl(&["get", "user/ann"]).await.ok().replace("  - editor\n", "");
    let done = cluster.tctl_with(&["create", "-f"], &less, &[]).await;
    assert!(done.err.contains("keep editor until they expire"), "{done:?}");
    assert!(done.err.contains("tctl lock --user=ann"), "{done:?}");
    assert_eq!(done.ok(), "user \"ann\" has been updated\n");
    let done = cluster.tctl_with(&["create", "-f"], &less, &[]).await;
    assert_eq!(done.err, "", "nothing more is taken away");
}
