//! Requests of a plugin, from `teleport.yaml` and the environment to the wire.

use sha2::{Digest as _, Sha256};
use teleport_tests_interop::{World, program};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::process::Command;

use crate::plugin::guest;

/// Answers every request with its first line.
async fn answering() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let mut head = vec![0; 4096];
                let read = stream.read(&mut head).await.unwrap_or(0);
                let line =
                    String::from_utf8_lossy(&head[..read]).lines().next().unwrap_or_default().to_owned();
                let answer = format!(
                    "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{line}",
                    line.len()
                );
                // The client may be gone.
                let _ = stream.write_all(answer.as_bytes()).await;
            });
        }
    });
    port
}

const MANIFEST: &str = r#"
name = "fetch"
version = "0.0.1"
contract = "teleport:label-provider@1.0.0"
description = "for tests"
[[needs]]
capability = "http"
reason = "asks others"
[[needs]]
capability = "secret"
label = "token"
reason = "signs"
[[needs]]
capability = "secret_reveal"
label = "token"
reason = "shows"
"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_sends_requests_where_it_was_granted_through_the_proxy_there_is() {
    let world = World::start().await;
    let (port, wasm) = (answering().await, guest("fetch"));
    let folder = world.folder().join("plugins/fetch");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("plugin.wasm"), &wasm).unwrap();
    std::fs::write(folder.join("plugin.toml"), MANIFEST).unwrap();
    let digest: String = Sha256::digest(&wasm).iter().map(|byte| format!("{byte:02x}")).collect();
    let deeds = [
        ("direct", format!("GET, \"http://127.0.0.1:{port}/here\"")),
        ("proxied", "GET, \"http://far.example.com/there\"".to_owned()),
        ("elsewhere", "GET, \"http://elsewhere.example.com/\"".to_owned()),
        ("shown", "reveal, token".to_owned()),
    ];
    let labels: String = deeds
        .iter()
        .map(|(name, deed)| {
            format!("  - name: {name}\n    plugin: fetch\n    command: [{deed}]\n    period: 1s\n")
        })
        .collect();
    let head = format!(
        "teleport:\n  plugins:\n    load:\n      fetch:\n        digest: sha256:{digest}\n        grants:\n          \
         http: [{{ url: \"http://127.0.0.1:{port}\", private: yes }}, \"http://far.example.com\"]\n          \
         secret_reveal: [token]\n        secrets:\n          token: {{ env: TOKEN_OF_THE_PLUGIN }}\n"
    );
    let yaml = world.node_yaml("web-1", &format!("  commands:\n{labels}"));
    let config = world.folder().join("web-1.yaml");
    std::fs::write(&config, yaml.replacen("teleport:\n", &head, 1)).unwrap();
    let mut command = Command::new(program("teleport"));
    command.args(["start", "-c"]).arg(config).arg("--plugin-dir").arg(world.folder().join("plugins"));
    command.env("HTTP_PROXY", format!("http://127.0.0.1:{port}")).env("NO_PROXY", "127.0.0.1");
    command.env("TOKEN_OF_THE_PLUGIN", "s3cret");
    let mut node = teleport_tests_interop::Daemon::spawn_command(world.folder(), "web-1", command);
    node.ready().await;
    let nodes = world
        .until_nodes("all have been tried", |nodes| {
            let [node] = nodes else { return false };
            let labels = &node["spec"]["cmd_labels"];
            let done = ["direct", "proxied", "shown"].iter().all(|name| labels[name].is_string());
            done && node["spec"]["cmd_label_errors"]["elsewhere"].is_string()
        })
        .await;
    let labels = &nodes[0]["spec"]["cmd_labels"];
    assert_eq!(labels["direct"], "200 GET /here HTTP/1.1");
    assert_eq!(labels["proxied"], "200 GET http://far.example.com/there HTTP/1.1");
    assert_eq!(labels["shown"], "s3cret");
    let text = nodes[0]["spec"]["cmd_label_errors"]["elsewhere"].as_str().unwrap().to_owned();
    let line = r#"add under teleport.plugins.load.fetch.grants: http: ["http://elsewhere.example.com"]"#;
    assert!(text.contains(line), "{text}");
}
