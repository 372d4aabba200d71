//! What a session leaves behind, also when its client vanishes: the events of what it did, and nothing
//! else.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde_json::Value;
use teleport_tests_cluster::raw::{Raw, message};
use teleport_tests_cluster::wire::{Message, Reading};
use teleport_tests_cluster::{Cluster, Credentials, HostProcess, until};

struct Bed {
    cluster: Cluster,
    node: SocketAddr,
    joe: Credentials,
    _process: HostProcess,
}

impl Bed {
    async fn start() -> Self {
        Self::start_with("").await
    }

    /// With more lines in the node's `ssh_service`.
    async fn start_with(more: &str) -> Self {
        let cluster = Cluster::start().await;
        let listening = format!("  force_listen: yes\n  listen_addr: 127.0.0.1:0\n{more}");
        let process = cluster.add_node("web-1", &listening).await;
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

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_whose_client_vanishes_is_written_down() {
    let bed = Bed::start().await;
    let file = bed.cluster.folder().join("half.bin");
    let (mut raw, channel) = bed.running(&format!("scp -t {}", bed.cluster.folder().display()), false).await;
    let beginning = b"C0644 1000000 half.bin\nno more than the beginning of it";
    raw.send(Message::new(message::CHANNEL_DATA).number(channel).text(beginning)).await.unwrap();
    until("the copy begins", async || file.exists()).await;
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
    until("the socket's folder is removed", async || !folder.exists()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_of_a_session_are_numbered_and_name_the_hosts_labels() {
    let bed = Bed::start_with("  labels: {env: test}\n").await;
    let (mut raw, channel) = bed.running("read line; exit 3", true).await;
    raw.send(Message::new(message::CHANNEL_DATA).number(channel).text("go on\n")).await.unwrap();
    let end = bed.event("session.end").await;
    assert_eq!(end["enhanced_recording"], false, "{end}");
    let of_it = bed.cluster.events().into_iter().filter(|event| event["sid"] == end["sid"]);
    let told: Vec<_> = of_it
        .map(|event| (event["event"].as_str().unwrap().to_owned(), event["ei"].as_u64().unwrap(), event))
        .collect();
    let order: Vec<_> = told.iter().map(|(name, ei, _)| (name.as_str(), *ei)).collect();
    assert_eq!(order, [("session.start", 0), ("agent-forward", 1), ("exec", 2), ("session.end", 3)]);
    for (name, _, event) in &told {
        let labels = if name == "agent-forward" { Value::Null } else { serde_json::json!({"env": "test"}) };
        assert_eq!(event["server_labels"], labels, "{event}");
    }
    assert_eq!(told[1].2["code"], "T3013I");
    let joins = bed.event("instance.join").await;
    assert_eq!(joins["ei"], 0, "{joins}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_may_not_be_forwarded_is_refused_and_written_down() {
    let bed = Bed::start().await;
    let mut role = domain::role::presets().into_iter().find(|role| role.name() == "access").unwrap();
    role.metadata.name = "alone".to_owned();
    role.spec.options.forward_agent = false;
    bed.cluster.admin().put(&role, false).await.unwrap();
    let ann = bed.cluster.user("ann", &["alone"], &["root"]).await;
    let mut raw = Raw::signed_in(bed.node, &ann, "root").await;
    let channel = raw.open_session().await.unwrap();
    assert!(!raw.is_granted(channel, "auth-agent-req@openssh.com", Message::part()).await.unwrap());
    let event = bed.event("agent-forward").await;
    assert_eq!((&event["code"], &event["user"]), (&"T3013W".into(), &"ann".into()), "{event}");
    assert!(event["error"].as_str().unwrap().contains("do not allow forwarding the agent"), "{event}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_is_no_text_runs_as_it_is_and_is_written_down_readably() {
    let bed = Bed::start().await;
    let mut raw = Raw::signed_in(bed.node, &bed.joe, "root").await;
    let channel = raw.open_session().await.unwrap();
    let command = b"printf 'caf\xe9' | od -An -tx1";
    let said = raw.converse(channel, "exec", Message::part().text(command)).await.unwrap();
    assert_eq!((said.stdout.as_str(), said.status), (" 63 61 66 e9\n", Some(0)), "{}", said.stderr);
    let event = bed.event("exec").await;
    assert_eq!(event["command"], "printf 'caf\u{fffd}' | od -An -tx1", "{event}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_with_a_nul_is_refused_and_says_so() {
    let bed = Bed::start().await;
    let mut raw = Raw::signed_in(bed.node, &bed.joe, "root").await;
    for command in [&b"echo one\0; echo two"[..], b"echo \xff\0"] {
        let channel = raw.open_session().await.unwrap();
        let said = raw.converse(channel, "exec", Message::part().text(command)).await.unwrap();
        assert_eq!((said.stdout.as_str(), said.status), ("", Some(255)));
        assert!(said.stderr.contains("the command"), "{}", said.stderr);
        raw.send(Message::new(message::CHANNEL_CLOSE).number(channel)).await.unwrap();
    }
    let event = bed.event("exec").await;
    assert_eq!(event["code"], "T3002E", "{event}");
}
