//! What a session leaves behind when its client vanishes: the events of what it did, and nothing else.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use teleport_tests_cluster::raw::{Raw, message};
use teleport_tests_cluster::wire::{Message, Reading};
use teleport_tests_cluster::{Cluster, Credentials, NodeProcess};

struct Bed {
    cluster: Cluster,
    node: SocketAddr,
    joe: Credentials,
    _process: NodeProcess,
}

impl Bed {
    async fn start() -> Self {
        let cluster = Cluster::start().await;
        let process = cluster.add_node("web-1", "  force_listen: yes\n  listen_addr: 127.0.0.1:0\n").await;
        let node = process.running.addresses.node.unwrap();
        let joe = cluster.user("joe", &["access"], &["root"]).await;
        Self { cluster, node, joe, _process: process }
    }

    /// A connection with one channel that has just been granted this command.
    async fn running(&self, command: &str, agent: bool) -> (Raw, u32) {
        let mut raw = Raw::signed_in(self.node, &self.joe, "root").await;
        let channel = raw.open_session().await.unwrap();
        if agent {
            let granted = raw.is_granted(channel, "auth-agent-req@openssh.com", Message::part()).await;
            assert!(granted.unwrap());
        }
        assert!(raw.is_granted(channel, "exec", Message::part().text(command)).await.unwrap());
        (raw, channel)
    }

    async fn event(&self, name: &str) -> Value {
        let named = format!(r#""event":"{name}""#);
        let line = self.cluster.audited(|line| line.contains(&named)).await;
        serde_json::from_str(&line).unwrap_or_else(|_| panic!("{line}"))
    }
}

/// Waits until something is true of the file system.
async fn until(what: &str, is_so: impl Fn() -> bool) {
    let looking = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), looking).await.unwrap_or_else(|_| panic!("{what}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_whose_client_vanishes_is_written_down() {
    let bed = Bed::start().await;
    let file = bed.cluster.folder().join("half.bin");
    let (mut raw, channel) = bed.running(&format!("scp -t {}", bed.cluster.folder().display()), false).await;
    let beginning = b"C0644 1000000 half.bin\nno more than the beginning of it";
    raw.send(Message::new(message::CHANNEL_DATA).number(channel).text(beginning)).await.unwrap();
    until("the copy begins", || file.exists()).await;
    drop(raw);
    let event = bed.event("scp").await;
    assert_eq!(event["path"], file.to_str().unwrap());
    assert_eq!((&event["len"], &event["action"]), (&1_000_000.into(), &"upload".into()), "{event}");
    assert_eq!((&event["code"], &event["user"]), (&"T3005E".into(), &"joe".into()), "{event}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_socket_of_an_agent_goes_with_its_client() {
    let bed = Bed::start().await;
    let (mut raw, _) = bed.running("echo $SSH_AUTH_SOCK; cat", true).await;
    let said = raw.receive_one_of(&[message::CHANNEL_DATA]).await.unwrap();
    let mut reading = Reading::message(&said);
    reading.number();
    let socket = PathBuf::from(reading.text().trim());
    let folder = socket.parent().map(Path::to_owned).unwrap();
    assert!(socket.exists() && folder.starts_with("/tmp"), "{socket:?}");
    drop(raw);
    until("the socket's folder is removed", || !folder.exists()).await;
}
