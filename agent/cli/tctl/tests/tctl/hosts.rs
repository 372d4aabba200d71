//! Nodes and the tokens they join with.

use serde_json::json;

use crate::cluster::Cluster;

#[tokio::test]
async fn adding_a_node_prints_a_token_and_the_command_that_uses_it() {
    let cluster = Cluster::new().await;
    let pin = cluster.service.pins().unwrap()[0].to_string();
    let text = cluster.tctl(&["nodes", "add", "--ttl=5m", "--token=secret-value"]).await.ok();
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines[0], "The invite token: secret-value");
    assert_eq!(lines[1], "This token will expire in 5 minutes.");
    let command = format!(
        "  teleport start --roles=node --token=secret-value --ca-pin={pin} --auth-server=proxy.example.com:3080"
    );
    assert!(lines.contains(&command.as_str()), "{text}");
    assert_eq!(lines.iter().filter(|line| line.starts_with("  - ")).count(), 2, "{text}");
}

#[tokio::test]
async fn a_generated_token_has_32_digits_and_works() {
    let cluster = Cluster::new().await;
    let json = cluster.json(&["nodes", "add", "--roles=node,proxy"]).await;
    let token = json["token"].as_str().unwrap();
    assert!(token.len() == 32 && token.chars().all(|c| c.is_ascii_hexdigit()), "{json}");
    assert_eq!(json["roles"], json!(["node", "proxy"]));
    assert!(json["expires"].is_string());
    // `get` shows the record the daemon will find when a host presents the token.
    let stored = cluster.json(&["get", &format!("token/{token}"), "--with-secrets"]).await;
    assert_eq!(stored[0]["metadata"]["name"], token);
    assert_eq!(stored[0]["spec"]["roles"], json!(["node", "proxy"]));
    assert_eq!(stored[0]["metadata"]["expires"], json["expires"]);
}

#[tokio::test]
async fn tokens_add_prints_the_bare_token_an_object_or_the_command() {
    let cluster = Cluster::with(&[], &[]).await;
    let bare = cluster.tctl(&["tokens", "add", "--type=node", "--format=text"]).await.ok();
    assert!(bare.trim_end().len() == 32 && bare.lines().count() == 1, "{bare}");
    let yaml =
        cluster.tctl(&["tokens", "add", "--type=node", "--value=mine-all-mine", "--format=yaml"]).await;
    assert!(yaml.ok().starts_with("token: mine-all-mine\nroles:\n- node\nexpires: "));
    let text = cluster.tctl(&["tokens", "add", "--type=Node,proxy", "--ttl=1h"]).await.ok();
    let address = cluster.service.address();
    assert!(text.contains("teleport start --roles=node,proxy --token="), "{text}");
    assert!(text.contains(&format!("--auth-server={address}\n")), "{text}");
}

#[tokio::test]
async fn tokens_that_make_no_sense_are_refused() {
    let cluster = Cluster::new().await;
    cluster.tctl(&["tokens", "add"]).await.failed(2);
    cluster.tctl(&["tokens", "add", "--type=node", "--ttl=0"]).await.failed(2);
    assert!(cluster.tctl(&["tokens", "add", "--type=node", "--ttl=5"]).await.failed(2).contains("no unit"));
    assert!(cluster.tctl(&["tokens", "add", "--type=noed"]).await.failed(2).contains("choose from"));
    assert!(cluster.tctl(&["tokens", "add", "--type=admin"]).await.failed(2).contains("choose from"));
    let short = cluster.tctl(&["tokens", "add", "--type=node", "--value=short"]).await.failed(1);
    assert!(short.contains("at least 8 characters"), "{short}");
    cluster.tctl(&["tokens", "add", "--type=node", "--value=secret-value"]).await.ok();
    let again = cluster.tctl(&["tokens", "add", "--type=node", "--value=secret-value"]).await.failed(1);
    assert!(again.contains("already exists") && again.contains("another value"), "{again}");
}

#[tokio::test]
async fn tokens_are_listed_cut_short_with_those_of_the_configuration_first() {
    let cluster = Cluster::with(&["p:3080"], &["proxy,node:eoKoh0caiw6weoGupahgh6Wuo7jaTee2"]).await;
    cluster.tctl(&["tokens", "add", "--type=node", "--value=later-secret", "--ttl=2h"]).await.ok();
    let add = ["tokens", "add", "--type=node", "--value=sooner-secret", "--labels=env=dev"];
    cluster.tctl(&add).await.ok();
    cluster.tctl(&["users", "add", "joe", "--ttl=90m"]).await.ok();
    let text = cluster.tctl(&["tokens", "ls"]).await.ok();
    let words: Vec<Vec<&str>> = text
        .lines()
        .map(|line| line.split("  ").map(str::trim).filter(|w| !w.is_empty()).collect())
        .collect();
    assert_eq!(words[0], ["Token", "Type", "Labels", "Expiry Time (UTC)"]);
    assert_eq!(words[2], ["eoKo…", "Proxy,Node", "never"]);
    assert_eq!(words[3][..3], ["soo…", "Node", "env=dev"]);
    assert_eq!(words[4][1..3], ["User signup", "invites joe"]);
    assert_eq!(words[5][..2], ["lat…", "Node"]);
    assert!(words[3][3].contains(" UTC ("), "{text}");
    assert!(!text.contains("secret"), "{text}");
    let whole = cluster.tctl(&["tokens", "ls", "--with-secrets"]).await.ok();
    assert!(whole.contains("eoKoh0caiw6weoGupahgh6Wuo7jaTee2") && whole.contains("later-secret"), "{whole}");
    let json = cluster.json(&["tokens", "ls"]).await;
    assert_eq!((&json[0]["static"], &json[0]["expires"]), (&json!(true), &json!(null)));
    assert_eq!(json[2]["invites_user"], "joe");
    assert!(!json.to_string().contains("secret"), "{json}");
}

#[tokio::test]
async fn a_token_is_taken_back_under_both_names_of_the_command() {
    let cluster = Cluster::new().await;
    assert_eq!(cluster.tctl(&["tokens", "ls"]).await.ok(), "No active tokens found.\n");
    assert_eq!(cluster.json(&["tokens", "ls"]).await, json!([]));
    for (verb, token) in [("rm", "secret-one"), ("del", "secret-two")] {
        cluster.tctl(&["tokens", "add", "--type=node", "--value", token]).await.ok();
        let done = cluster.tctl(&["tokens", verb, token]).await.ok();
        assert_eq!(done, format!("Token {token} has been deleted\n"));
    }
    let made = "0123456789abcdef0123456789abcdef";
    for (value, typed) in [(made, "01234567"), ("xyz-secret-xyz", "xyz…")] {
        cluster.tctl(&["tokens", "add", "--type=node", "--value", value]).await.ok();
        let done = cluster.tctl(&["tokens", "rm", typed]).await;
        assert_eq!(done.err, "", "{typed}");
        assert_eq!(done.ok(), format!("Token {typed} has been deleted\n"));
    }
    assert_eq!(cluster.json(&["tokens", "ls"]).await, json!([]));
    let error = cluster.tctl(&["tokens", "rm", "secret-one"]).await.failed(1);
    assert!(error.contains("does not exist") && error.contains("--with-secrets"), "{error}");
}

const NODES: &str = r#"
kind: node
version: v2
metadata: {name: d52527f9-b260-41d0-bb5a-e23b0cfe0f8f}
spec:
  hostname: turing
  addr: 10.1.0.15:3022
  labels: {distro: ubuntu}
  cmd_labels: {uptime: "up 1 hour, 15 minutes"}
  cmd_label_errors: {kernel: exit status 1}
  version: 0.1.0
---
kind: node
version: v2
metadata: {name: c9593fd9-3333-41d3-9999-c95930098f43}
spec:
  hostname: dijkstra
  use_tunnel: true
  labels: {distro: debian, teleport.internal/invalid-hostname: a_b}
"#;

#[tokio::test]
async fn nodes_are_listed_filtered_and_searched() {
    let cluster = Cluster::new().await;
    assert_eq!(cluster.tctl(&["nodes", "ls"]).await.ok(), "No nodes found\n");
    cluster.tctl(&["create", &cluster.file("nodes.yaml", NODES)]).await.ok();
    let text = cluster.tctl(&["nodes", "ls"]).await.ok();
    let expected = [
        "Host         UUID                                     Public Address     Labels                                            Version",
        "----         ----                                     --------------     ------                                            -------",
        "dijkstra     c9593fd9-3333-41d3-9999-c95930098f43     ⟵ Tunnel           distro=debian",
        "turing       d52527f9-b260-41d0-bb5a-e23b0cfe0f8f     10.1.0.15:3022     distro=ubuntu,uptime=up 1 hour, 15 minutes     0.1.0",
    ];
    let squeezed =
        |line: &str| line.split("  ").map(str::trim).filter(|w| !w.is_empty()).collect::<Vec<_>>().join("|");
    assert_eq!(text.lines().map(squeezed).collect::<Vec<_>>(), expected.map(squeezed));
    let one = cluster.tctl(&["nodes", "ls", "distro=ub*"]).await.ok();
    assert!(one.contains("turing") && !one.contains("dijkstra"), "{one}");
    let one = cluster.tctl(&["nodes", "ls", "--search=DEBIAN dijkstra"]).await.ok();
    assert!(one.contains("dijkstra") && !one.contains("turing"), "{one}");
    assert_eq!(cluster.tctl(&["nodes", "ls", "distro=arch"]).await.ok(), "No nodes found\n");
    let verbose = cluster.tctl(&["nodes", "ls", "-v"]).await.ok();
    assert!(verbose.contains("teleport.internal/invalid-hostname=a_b"), "{verbose}");
    assert!(verbose.contains("kernel=exit status 1"), "{verbose}");
    let json = cluster.json(&["nodes", "ls"]).await;
    assert_eq!(json[1]["spec"]["cmd_labels"]["uptime"], "up 1 hour, 15 minutes");
    cluster.tctl(&["nodes", "ls", "distro"]).await.failed(2);
}
