//! Finding the auth server, and what is said when it cannot be found; what works without one.

use crate::cluster::{Cluster, tctl};

#[tokio::test]
async fn the_state_is_shown_in_rows_and_as_json() {
    let cluster = Cluster::new().await;
    let pin = cluster.service.pins().unwrap()[0].to_string();
    let done = cluster.tctl(&["status"]).await;
    assert_eq!(done.err, "");
    let expected = format!(
        "Cluster  main\nVersion  0.1.0\nHost CA  never rotated\nUser CA  never rotated\nJWT CA   never rotated\nCA pin   {pin}\n"
    );
    assert_eq!(done.ok(), expected);
    let json = cluster.json(&["status"]).await;
    assert_eq!(json["ca_pins"][0], pin);
    assert_eq!(json["authorities"][0], serde_json::json!({"type": "host", "rotation": "standby"}));
    let yaml = cluster.tctl(&["status", "--format=yaml"]).await.ok();
    assert!(yaml.starts_with("cluster: main\nversion: \"0.1.0\"\n"), "{yaml}");
}

#[tokio::test]
async fn without_an_identity_the_path_and_the_remedy_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let data = format!("--data-dir={}", folder.path().join("data").display());
    std::fs::write(folder.path().join("t.yaml"), "auth_service:\n  enabled: yes\n").unwrap();
    let error = tctl(folder.path(), &["-ct.yaml", &data, "users", "ls"], "", &[]).await.failed(1);
    let path = folder.path().join("data/identity/admin.json");
    assert!(error.contains(&format!("no admin identity at {}", path.display())), "{error}");
    assert!(error.contains("on the auth server's host") && error.contains("--config FILE"), "{error}");
}

#[tokio::test]
async fn a_host_that_is_no_auth_server_is_told_so() {
    let folder = tempfile::tempdir().unwrap();
    let text = format!(
        "version: v3\nteleport:\n  data_dir: {}\n  auth_server: auth.example.com:3025\n  auth_token: xxxxxxxxxx\n",
        folder.path().display()
    );
    std::fs::write(folder.path().join("t.yaml"), text).unwrap();
    let error = tctl(folder.path(), &["-ct.yaml", "users", "ls"], "", &[]).await.failed(1);
    assert!(error.contains("t.yaml runs no auth service on this host"), "{error}");
}

#[tokio::test]
async fn a_bad_configuration_is_named_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("t.yaml"), "teleport:\n  data_dri: /x\n").unwrap();
    let error = tctl(folder.path(), &["-ct.yaml", "status"], "", &[]).await.failed(1);
    assert!(error.contains("t.yaml:2:3: ") && error.contains("data_dir"), "{error}");
    let error = tctl(folder.path(), &["-cgone.yaml", "status"], "", &[]).await.failed(1);
    assert!(error.contains("gone.yaml") && error.contains("--config"), "{error}");
}

#[tokio::test]
async fn an_auth_server_that_is_down_is_named_with_its_address() {
    let cluster = Cluster::new().await;
    // A port that was free a moment ago, and is no longer listened on.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    std::fs::write(cluster.path("data/identity/auth.addr"), free.to_string()).unwrap();
    let error = cluster.tctl(&["users", "ls"]).await.failed(1);
    assert!(error.contains(&format!("cannot reach the auth server at {free}")), "{error}");
    assert!(error.contains("refused") && error.contains("systemctl status teleport"), "{error}");
    assert!(error.contains("identity/auth.addr"), "{error}");
    let address = format!("--auth-server={}", cluster.service.address());
    assert_eq!(cluster.tctl(&[&address, "users", "ls"]).await.ok(), "No users found\n");
}

#[tokio::test]
async fn another_clusters_auth_server_is_not_believed() {
    let (ours, theirs) = (Cluster::new().await, Cluster::new().await);
    let address = format!("--auth-server={}", theirs.service.address());
    let error = ours.tctl(&[&address, "users", "ls"]).await.failed(1);
    assert!(error.contains("not signed by the expected authority"), "{error}");
    assert!(error.contains("another cluster") && error.contains("admin.json"), "{error}");
}

#[tokio::test]
async fn a_damaged_identity_and_a_damaged_address_are_named() {
    let cluster = Cluster::new().await;
    std::fs::write(cluster.path("data/identity/auth.addr"), "here and there").unwrap();
    let error = cluster.tctl(&["users", "ls"]).await.failed(1);
    assert!(error.contains("auth.addr holds no address"), "{error}");
    let whole = std::fs::read_to_string(cluster.path("data/identity/admin.json")).unwrap();
    std::fs::write(cluster.path("data/identity/admin.json"), &whole[..whole.len() / 2]).unwrap();
    let error = cluster.tctl(&["users", "ls"]).await.failed(1);
    assert!(error.contains("admin.json is damaged") && error.contains("restart teleport"), "{error}");
    assert!(!error.contains("PRIVATE"), "{error}");
}

#[tokio::test]
async fn debug_says_what_is_used_beside_the_result() {
    let cluster = Cluster::new().await;
    let done = cluster.tctl(&["users", "ls", "-d"]).await;
    assert!(done.err.contains("debug: auth server: 127.0.0.1:"), "{done:?}");
    assert!(done.err.contains("admin.json") && done.err.contains("teleport.yaml"), "{done:?}");
    assert_eq!(done.ok(), "No users found\n");
}

#[tokio::test]
async fn help_and_version_need_no_auth_server() {
    let folder = tempfile::tempdir().unwrap();
    let run = async |arguments: &[&str]| tctl(folder.path(), arguments, "", &[]).await;
    assert_eq!(run(&["version"]).await.ok(), "Teleport v0.1.0\n");
    assert_eq!(run(&["version", "--format=json"]).await.ok(), "{\n  \"version\": \"0.1.0\"\n}\n");
    let help = run(&["help"]).await.ok();
    for command in [
        "status", "nodes", "tokens", "users", "get", "create", "rm", "edit", "lock", "auth", "version",
        "help",
    ] {
        assert!(help.contains(&format!("\n  {command} ")), "{command}: {help}");
    }
    assert!(run(&["help", "tokens"]).await.ok().contains("[alias: del]"));
    let error = run(&["frobnicate"]).await.failed(2);
    assert!(error.contains("frobnicate"), "{error}");
    run(&[]).await.failed(2);
}

#[tokio::test]
async fn where_a_plugin_comes_from_and_what_cannot_be_removed_is_said_without_a_daemon() {
    let folder = tempfile::tempdir().unwrap();
    let text = format!("teleport:\n  data_dir: {}\n", folder.path().display());
    std::fs::write(folder.path().join("t.yaml"), text).unwrap();
    let run = async |words: &str| {
        let words: Vec<_> = ["-ct.yaml", "plugins"].into_iter().chain(words.split(' ')).collect();
        tctl(folder.path(), &words, "", &[]).await.failed(1)
    };
    let error = run("rm label-command").await;
    assert!(error.contains("carried in the program") && !error.contains("mkdir"), "{error}");
    assert!(error.contains("tctl plugins disable label-command"), "{error}");
    assert!(run("rm label-other").await.contains("mkdir"), "one that may be in a directory");
    for words in ["install --plugin-dir . https://foo/x", "inspect https://foo/x"] {
        assert!(run(words).await.contains("from a file or from oci://REGISTRY/NAME"), "{words}");
    }
}
