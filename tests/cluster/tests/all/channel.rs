//! Channels of users who are signed in and break the rules, and many channels at once.

use std::net::SocketAddr;
use std::time::Duration;

use teleport_tests_cluster::channel::Opened;
use teleport_tests_cluster::raw::{Raw, message};
use teleport_tests_cluster::wire::{Message, Reading};
use teleport_tests_cluster::{Client, Cluster, Credentials, HostProcess};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

struct Bed {
    cluster: Cluster,
    node: SocketAddr,
    joe: Credentials,
    _process: HostProcess,
}

impl Bed {
    async fn start() -> Self {
        let cluster = Cluster::start().await;
        let process = cluster.add_node("web-1", "  force_listen: yes\n  listen_addr: 127.0.0.1:0\n").await;
        let node = process.running.addresses.node.unwrap();
        let joe = cluster.user("joe", &["access"], &["root"]).await;
        Self { cluster, node, joe, _process: process }
    }

    async fn client(&self) -> Raw {
        Raw::signed_in(self.node, &self.joe, "root").await
    }

    async fn is_well(&self) {
        let said = self.client().await.exec("echo well").await.unwrap();
        assert_eq!((said.stdout.as_str(), said.status), ("well\n", Some(0)));
    }
}

fn adjust(channel: u32, by: u32) -> Message {
    Message::new(message::CHANNEL_WINDOW_ADJUST).number(channel).number(by)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_window_that_overflows_stays_as_large_as_it_can_be() {
    let bed = Bed::start().await;
    let mut raw = bed.client().await;
    let opened = raw.open_with("session", (u32::MAX, u32::MAX), Message::part()).await.unwrap();
    let channel = opened.number();
    for _ in 0..3 {
        raw.send(adjust(channel, u32::MAX)).await.unwrap();
        raw.send(adjust(channel, 1)).await.unwrap();
    }
    let said = raw.converse(channel, "exec", Message::part().text("head -c 300000 /dev/zero")).await.unwrap();
    assert_eq!((said.stdout.len(), said.status), (300_000, Some(0)));
    let small = raw.open_with("session", (0, 1), Message::part()).await.unwrap().number();
    raw.send(adjust(small, u32::MAX)).await.unwrap();
    raw.send(adjust(small, u32::MAX)).await.unwrap();
    let said = raw.converse(small, "exec", Message::part().text("echo one byte at a time")).await.unwrap();
    assert_eq!(said.stdout, "one byte at a time\n");
    bed.is_well().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_packet_size_of_zero_ends_the_connection_that_asked_for_it() {
    let bed = Bed::start().await;
    let mut raw = bed.client().await;
    assert!(raw.open_with("session", (1 << 20, 0), Message::part()).await.is_err());
    bed.is_well().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn channels_that_are_not_there_are_not_obeyed() {
    let bed = Bed::start().await;
    for channel in [1, 7, 1 << 31, u32::MAX] {
        let mut raw = bed.client().await;
        let real = raw.open_session().await.unwrap();
        assert_ne!(real, channel);
        let wrong = [
            adjust(channel, u32::MAX),
            Message::new(message::CHANNEL_DATA).number(channel).text("x"),
            Message::new(message::CHANNEL_EXTENDED_DATA).number(channel).number(1).text("x"),
            Message::new(message::CHANNEL_EOF).number(channel),
            Message::new(message::CHANNEL_REQUEST)
                .number(channel)
                .text("exec")
                .flag(true)
                .text("touch /tmp/never"),
            Message::new(message::CHANNEL_CLOSE).number(channel),
            Message::new(message::CHANNEL_SUCCESS).number(channel),
            Message::new(message::CHANNEL_OPEN_FAILURE).number(channel).number(1).text("x").text(""),
        ];
        for message in wrong {
            raw.send(message).await.unwrap();
        }
        let said = raw.converse(real, "exec", Message::part().text("echo still here")).await.unwrap();
        assert_eq!(said.stdout, "still here\n");
    }
    bed.is_well().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_nobody_knows_do_no_harm() {
    let bed = Bed::start().await;
    for number in (1..=255).filter(|number| !(20..=31).contains(number) && *number != message::DISCONNECT) {
        let mut raw = bed.client().await;
        let channel = raw.open_session().await.unwrap();
        // Neither obeyed nor deadly to others; this connection may end, but it answers until it does.
        let _ = raw.send([number]).await;
        let _ = raw.send(Message::new(number).number(u32::MAX).number(u32::MAX)).await;
        let outcome = raw.is_granted(channel, "no-such-request", Message::part()).await;
        let hangs = outcome.is_err_and(|error| error.kind() == std::io::ErrorKind::TimedOut);
        assert!(!hangs, "message {number} leaves the connection hanging");
    }
    bed.is_well().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn data_past_the_window_is_bounded() {
    let bed = Bed::start().await;
    let mut raw = bed.client().await;
    let channel = raw.open_session().await.unwrap();
    raw.request(channel, "exec", Message::part().text("sleep 600")).await.unwrap();
    raw.receive_one_of(&[message::CHANNEL_SUCCESS]).await.unwrap();
    let data = Message::new(message::CHANNEL_DATA).number(channel).text(vec![7; 32_000]).into_bytes();
    let flood = async {
        for sent in 0.. {
            if raw.send(&data).await.is_err() {
                return sent;
            }
        }
        0
    };
    // The server stops reading, or ends the connection, long before this is sent.
    let much = 256 * 1024 * 1024 / data.len();
    match tokio::time::timeout(Duration::from_secs(3), flood).await {
        Err(_) => {}
        Ok(sent) => assert!(sent < much, "{sent} packets were taken"),
    }
    bed.is_well().await;
}

/// Answers every connection with what it says.
async fn echo() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut read, mut write) = stream.split();
                let _ = tokio::io::copy(&mut read, &mut write).await;
            });
        }
    });
    address
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_channels_on_one_connection_all_get_their_turn() {
    const CHANNELS: usize = 1000;
    let bed = Bed::start().await;
    let echo = echo().await;
    let (client, answer) = Client::connect(bed.cluster.ssh_proxy(), &bed.joe, "root").await.unwrap();
    assert!(answer.success());
    let (session, answer) = client.node("web-1", "root").await.unwrap();
    assert!(answer.success());
    let mut all = Vec::new();
    for _ in 0..CHANNELS {
        let channel =
            session.handle.channel_open_direct_tcpip("127.0.0.1", echo.port().into(), "127.0.0.1", 1).await;
        all.push(channel.unwrap().into_stream());
    }
    let mut running = tokio::task::JoinSet::new();
    for (number, mut stream) in all.into_iter().enumerate() {
        running.spawn(async move {
            // Several steps each, so that they take turns.
            for step in 0..5 {
                let said = format!("{number:04}:{step}").repeat(200).into_bytes();
                stream.write_all(&said).await.unwrap();
                let mut heard = vec![0; said.len()];
                stream.read_exact(&mut heard).await.unwrap();
                assert!(heard == said, "channel {number}, step {step}");
            }
        });
    }
    let mut ended = 0;
    while let Some(outcome) =
        tokio::time::timeout(Duration::from_secs(60), running.join_next()).await.unwrap()
    {
        outcome.unwrap();
        ended += 1;
    }
    assert_eq!(ended, CHANNELS);
}

#[tokio::test(flavor = "multi_thread")]
async fn more_channels_than_there_is_room_for_are_refused_with_the_number() {
    let bed = Bed::start().await;
    let mut raw = bed.client().await;
    for _ in 0..1024 {
        raw.open_session().await.unwrap();
    }
    let refused = raw.open("session", Message::part()).await.unwrap();
    assert_eq!(refused, Opened::Refused(1, "more than 1024 sessions over one connection".into()));
    raw.send(Message::new(message::CHANNEL_CLOSE).number(2)).await.unwrap();
    raw.receive_one_of(&[message::CHANNEL_CLOSE]).await.unwrap();
    raw.open_session().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_channel_runs_one_program_in_its_life() {
    let bed = Bed::start().await;
    let mut raw = bed.client().await;
    let channel = raw.open_session().await.unwrap();
    raw.request(channel, "exec", Message::part().text("cat")).await.unwrap();
    raw.receive_one_of(&[message::CHANNEL_SUCCESS]).await.unwrap();
    for (kind, more) in [
        ("exec", Message::part().text("echo second")),
        ("shell", Message::part()),
        ("subsystem", Message::part().text("sftp")),
        ("env", Message::part().text("LANG").text("C")),
        ("pty-req", Message::part().text("xterm").number(80).number(24).number(0).number(0).text([0])),
    ] {
        assert!(!raw.is_granted(channel, kind, more).await.unwrap(), "{kind}");
    }
    raw.send(Message::new(message::CHANNEL_DATA).number(channel).text("first")).await.unwrap();
    let echoed = raw.receive_one_of(&[message::CHANNEL_DATA]).await.unwrap();
    let mut reading = Reading::message(&echoed);
    reading.number();
    assert_eq!(reading.text(), "first");
}
