//! `teleport start` with `storage.type: dynamodb`: a cluster that lives in a table, a second auth server on
//! it, and what an operator reads when the table cannot be reached or used.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};
use teleport_tests_interop::storage::MovedClock;
use teleport_tests_interop::{Daemon, Output, PATIENCE, Port, Signal, eventually, program, run};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio::task::{block_in_place, spawn_blocking};

use crate::direct::ask;
use crate::native::{Native, client};
use crate::server::Dynamo;

const KEYS: &str = "    access_key: AKIDEXAMPLE\n    secret_key: s3cret\n";

/// An auth server.
struct Auth {
    daemon: Daemon,
    port: Port,
    data: PathBuf,
}

impl Auth {
    /// Starts one on a table at this address, with more lines in its section; its keys are in the
    /// environment where none are among them.
    fn spawn(folder: &TempDir, name: &str, url: &str, more: &str) -> Self {
        let (port, data) = (Port::free(), folder.path().join(format!("data-{name}")));
        let yaml = format!(
            "version: v3\nteleport:\n  nodename: {name}\n  data_dir: {}\n  storage:\n    type: dynamodb\n    \
             region: eu-north-1\n    table_name: teleport\n    endpoint: {url}\n{more}\
             proxy_service:\n  enabled: no\nssh_service:\n  enabled: no\n\
             auth_service:\n  enabled: yes\n  cluster_name: main\n  listen_addr: {}\n",
            data.display(),
            port.address(),
        );
        let config = folder.path().join(format!("{name}.yaml"));
        std::fs::write(&config, yaml).unwrap();
        let mut command = Command::new(program("teleport"));
        command.args(["start", "-c"]).arg(&config);
        for name in ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"] {
            command.env(name, "AKFROMENVIRONMENT");
        }
        Self { daemon: Daemon::spawn_command(folder.path(), name, command), port, data }
    }

    async fn try_tctl(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(program("tctl"));
        command.args(arguments).arg("--data-dir").arg(&self.data);
        run(&mut command).await
    }

    async fn json(&self, arguments: &[&str]) -> Value {
        let arguments = [arguments, &["--format=json"]].concat();
        serde_json::from_str(&self.try_tctl(&arguments).await.good()).unwrap()
    }

    async fn tctl(&self, arguments: &[&str]) -> String {
        self.try_tctl(arguments).await.good()
    }

    /// Waits until it lists this node.
    async fn lists(&self, name: &str) {
        eventually(&format!("{name} is listed"), || async {
            let nodes = self.json(&["nodes", "ls"]).await;
            nodes.to_string().contains(name).then_some(())
        })
        .await;
    }

    /// It gives up and says all of this, and no key.
    async fn gives_up(mut self, says: &[&str]) {
        let status = self.daemon.ended().await;
        let log = self.daemon.log();
        assert_eq!(status.code(), Some(1), "{log}");
        for text in says {
            assert!(log.contains(text), "it should say {text:?}:\n{log}");
        }
        assert!(!log.contains("panicked") && !log.contains("s3cret"), "{log}");
    }
}

async fn node(folder: &TempDir, auth: &Auth, token: &str) -> Daemon {
    let pin = auth.json(&["status"]).await["ca_pins"][0].as_str().unwrap().to_owned();
    let yaml = format!(
        "version: v3\nteleport:\n  nodename: web-1\n  data_dir: {}\n  auth_server: {}\n  ca_pin: {pin}\n  \
         auth_token: {token}\nauth_service:\n  enabled: no\nproxy_service:\n  enabled: no\n\
         ssh_service:\n  enabled: yes\n  listen_addr: {}\n",
        folder.path().join("data-web-1").display(),
        auth.port.address(),
        Port::free().address(),
    );
    Daemon::start(folder.path(), "web-1", &yaml).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_lives_in_a_table() {
    let (server, folder) = (spawn_blocking(Dynamo::start).await.unwrap(), tempfile::tempdir().unwrap());
    let mut one = Auth::spawn(&folder, "auth-1", &server.url(), KEYS);
    one.daemon.ready().await;
    let said = one.daemon.logged("a plugin keeps the records").await;
    assert!(
        said.contains("DynamoDB table teleport at http://127.0.0.1:") && said.contains("made now"),
        "{said}"
    );
    one.tctl(&["tokens", "add", "--type=node", "--value=made-at-the-first"]).await;
    let web = node(&folder, &one, "made-at-the-first").await;
    one.lists("web-1").await;
    one.tctl(&["users", "add", "joe", "root"]).await;

    one.daemon.signal(Signal::KILL);
    one.daemon.ended().await;
    one.daemon.respawn();
    one.daemon.ready().await;
    assert!(one.json(&["get", "users"]).await.to_string().contains("joe"), "it is in the table");
    one.lists("web-1").await;

    // A second one, with keys from the environment, is the same cluster.
    let mut other = Auth::spawn(&folder, "auth-2", &server.url(), "");
    other.daemon.ready().await;
    let pins =
        [one.json(&["status"]).await["ca_pins"].clone(), other.json(&["status"]).await["ca_pins"].clone()];
    assert_eq!(pins[0], pins[1], "one cluster has one authority");
    other.lists("web-1").await;
    for kind in ["users", "roles"] {
        assert_eq!(one.json(&["get", kind]).await, other.json(&["get", kind]).await);
    }
    other.tctl(&["users", "add", "ann", "root"]).await;
    assert!(one.json(&["get", "users"]).await.to_string().contains("ann"));
    for auth in [one, other] {
        let log = auth.daemon.log();
        assert!(!log.contains("panicked") && !log.contains("s3cret"), "{log}");
        assert_eq!(auth.daemon.stop().await.code(), Some(0));
    }
    web.stop().await;
}

/// Refuses everything, as the cloud does when it does not accept a signature.
async fn refusing(kind: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut asked = vec![0; 64 * 1024];
                // Every question of an opening is small and comes at once.
                let _ = stream.read(&mut asked).await;
                let body = json!({ "__type": format!("com.amazon.coral.service#{kind}"), "message": "no" });
                let body = body.to_string();
                let length = body.len();
                let head =
                    format!("HTTP/1.1 400 Bad Request\r\ncontent-length: {length}\r\nconnection: close");
                let _ = stream.write_all(format!("{head}\r\n\r\n{body}").as_bytes()).await;
                let _ = stream.shutdown().await;
            });
        }
    });
    url
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_wrong_is_said_and_the_daemon_gives_up() {
    let folder = tempfile::tempdir().unwrap();
    let wrong = refusing("UnrecognizedClientException").await;
    let wrong = Auth::spawn(&folder, "wrong-keys", &wrong, KEYS);
    let forbidden = refusing("AccessDeniedException").await;
    let forbidden = Auth::spawn(&folder, "forbidden", &forbidden, KEYS);
    let nobody = Port::free();
    let unreachable = Auth::spawn(&folder, "unreachable", &format!("http://{}", nobody.address()), KEYS);

    // A table of this name that is somebody else's.
    let server = spawn_blocking(Dynamo::start).await.unwrap();
    block_in_place(|| {
        let native = Native::new(&MovedClock::default(), &client());
        let table = json!({
            "TableName": "teleport", "BillingMode": "PAY_PER_REQUEST",
            "AttributeDefinitions": [{ "AttributeName": "id", "AttributeType": "S" }],
            "KeySchema": [{ "AttributeName": "id", "KeyType": "HASH" }],
        });
        ask(&native, &server, "CreateTable", &table);
        let made = || ask(&native, &server, "DescribeTable", &json!({ "TableName": "teleport" }));
        let end = tokio::time::Instant::now() + PATIENCE;
        while made()["Table"]["TableStatus"] != "ACTIVE" {
            assert!(tokio::time::Instant::now() < end, "the table is not made");
            std::thread::park_timeout(Duration::from_millis(20));
        }
    });
    let elsewhere = Auth::spawn(&folder, "elsewhere", &server.url(), KEYS);
    wrong
        .gives_up(&["does not accept the credentials", "access_key and secret_key", "this machine's clock"])
        .await;
    forbidden.gives_up(&["add the action it names to the policy"]).await;
    unreachable.gives_up(&["storage backend", &nobody.address().to_string()]).await;
    elsewhere
        .gives_up(&["the table teleport was made for something else", "choose another table_name"])
        .await;
}
