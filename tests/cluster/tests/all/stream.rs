//! Streams through one tunnel: one that nobody reads does not hold up the others.

use std::time::Duration;

use teleport_tests_cluster::forge::{Shown, Verdict};
use teleport_tests_cluster::raw::{Raw, message};
use teleport_tests_cluster::wire::Message;
use teleport_tests_cluster::{Client, Cluster, Credentials, HostProcess};

/// Far more than all the queues on the way hold together.
const MUCH: usize = 64 * 1024 * 1024;
/// How long the others may take. They take a moment.
const PROMPT: Duration = Duration::from_secs(20);

struct Bed {
    cluster: Cluster,
    _node: HostProcess,
    joe: Credentials,
    ann: Credentials,
}

impl Bed {
    async fn start() -> Self {
        let cluster = Cluster::start().await;
        let node = cluster.add_node("web-1", "").await;
        let joe = cluster.user("joe", &["access"], &["root"]).await;
        let ann = cluster.user("ann", &["access"], &["root"]).await;
        Self { cluster, _node: node, joe, ann }
    }

    /// A hand-made client on the node, through proxy and tunnel.
    async fn raw(&self, user: &Credentials) -> (Client, Raw) {
        let (client, answer) = Client::connect(self.cluster.ssh_proxy(), user, "root").await.unwrap();
        assert!(answer.success());
        let channel = client.dial("web-1", 22).await.unwrap();
        let mut raw = Raw::over(channel.into_stream()).await.unwrap();
        raw.exchange_keys().await.unwrap();
        raw.ask_for_sign_in().await.unwrap();
        assert_eq!(raw.sign_in("root", &Shown::honest(user)).await.unwrap(), Verdict::Accepted);
        (client, raw)
    }

    /// Waits until a file has stopped to grow: whoever writes it stands still.
    async fn until_still(&self, file: &std::path::Path) {
        let size = || std::fs::metadata(file).map_or(0, |data| data.len());
        let waiting = async {
            loop {
                let before = size();
                tokio::time::sleep(Duration::from_millis(700)).await;
                if before > 0 && size() == before {
                    return;
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(60), waiting).await.unwrap();
    }

    /// A program that writes without end, and a mark for every 100 kB of it into a file.
    fn gushing(&self) -> (std::path::PathBuf, Message) {
        let file = self.cluster.folder().join("marks");
        let line = format!("while head -c 100000 /dev/zero; do echo >> {}; done", file.display());
        (file, Message::part().text(line))
    }

    /// Somebody else's session on the same node comes and goes as if nothing were.
    async fn others_are_served(&self) {
        let working = async {
            let (client, answer) =
                Client::connect(self.cluster.ssh_proxy(), &self.ann, "root").await.unwrap();
            assert!(answer.success());
            let (session, answer) = client.node("web-1", "root").await.unwrap();
            assert!(answer.success());
            let answer = session.exec("head -c 1000000 /dev/zero | wc -c").await.unwrap();
            assert_eq!(answer.stdout.trim(), "1000000");
        };
        assert!(tokio::time::timeout(PROMPT, working).await.is_ok(), "others are held up");
    }
}

/// Writes to a session until that stands still; whether it ever did.
async fn flood(raw: &mut Raw, channel: u32) -> bool {
    let data = Message::new(message::CHANNEL_DATA).number(channel).text(vec![7; 32_000]).into_bytes();
    for _ in 0..MUCH / data.len() {
        match tokio::time::timeout(Duration::from_secs(1), raw.send(&data)).await {
            Ok(sent) => sent.unwrap(),
            Err(_) => return true,
        }
    }
    false
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_does_not_read_holds_up_nobody_else() {
    let bed = Bed::start().await;
    let (_client, mut raw) = bed.raw(&bed.joe).await;
    // The window of OpenSSH's client.
    let channel = raw.open_with("session", (2 << 20, 32 << 10), Message::part()).await.unwrap().number();
    let (file, command) = bed.gushing();
    raw.request(channel, "exec", command).await.unwrap();
    bed.until_still(&file).await;
    bed.others_are_served().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_with_an_endless_window_that_does_not_read_holds_up_nobody_else() {
    let bed = Bed::start().await;
    let (_client, mut raw) = bed.raw(&bed.joe).await;
    let channel = raw.open_with("session", (u32::MAX, 32 << 10), Message::part()).await.unwrap().number();
    let (file, command) = bed.gushing();
    raw.request(channel, "exec", command).await.unwrap();
    bed.until_still(&file).await;
    bed.others_are_served().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_does_not_read_holds_up_nobody_else() {
    let bed = Bed::start().await;
    let (_client, mut raw) = bed.raw(&bed.joe).await;
    let channel = raw.open_session().await.unwrap();
    raw.request(channel, "exec", Message::part().text("exec sleep 600")).await.unwrap();
    raw.receive_one_of(&[message::CHANNEL_SUCCESS]).await.unwrap();
    assert!(flood(&mut raw, channel).await, "all of it was taken");
    bed.others_are_served().await;
}
