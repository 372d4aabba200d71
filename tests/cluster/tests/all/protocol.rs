//! The SSH protocol broken before anybody is signed in: nothing is obeyed, nobody else is disturbed.

use std::net::SocketAddr;
use std::time::Duration;

use teleport_tests_cluster::Cluster;
use teleport_tests_cluster::forge::{Shown, Verdict};
use teleport_tests_cluster::raw::{Raw, kexinit, message};
use teleport_tests_cluster::wire::Message;

struct Bed {
    cluster: Cluster,
    node: SocketAddr,
    joe: teleport_tests_cluster::Credentials,
    _process: teleport_tests_cluster::HostProcess,
}

impl Bed {
    async fn start() -> Self {
        let cluster = Cluster::start().await;
        let process = cluster.add_node("web-1", "  force_listen: yes\n  listen_addr: 127.0.0.1:0\n").await;
        let node = process.running.addresses.node.unwrap();
        let joe = cluster.user("joe", &["access"], &["root"]).await;
        Self { cluster, node, joe, _process: process }
    }

    /// Where SSH is spoken without TLS around it: node, proxy, tunnel.
    fn doors(&self) -> [SocketAddr; 3] {
        [self.node, self.cluster.ssh_proxy(), self.cluster.running().addresses.tunnel.unwrap()]
    }

    /// An honest client still gets in, and quickly.
    async fn is_well(&self) {
        let mut raw = Raw::stranger(self.node).await.unwrap();
        let joe = Shown::honest(&self.joe);
        let signing_in = raw.sign_in("root", &joe);
        let verdict = tokio::time::timeout(Duration::from_secs(10), signing_in).await;
        assert_eq!(verdict.unwrap().unwrap(), Verdict::Accepted);
    }
}

/// Messages that would do something for a user who is signed in, and ones that no client may send.
fn untimely() -> Vec<Vec<u8>> {
    let mut all: Vec<Vec<u8>> = (80..=255).map(|number| vec![number]).collect();
    let session =
        Message::new(message::CHANNEL_OPEN).text("session").number(0).number(1 << 20).number(1 << 15);
    let direct = Message::new(message::CHANNEL_OPEN)
        .text("direct-tcpip")
        .number(1)
        .number(1 << 20)
        .number(1 << 15)
        .text("127.0.0.1")
        .number(22)
        .text("127.0.0.1")
        .number(1);
    let exec =
        Message::new(message::CHANNEL_REQUEST).number(0).text("exec").flag(true).text("touch /tmp/never");
    let forward = Message::new(message::GLOBAL_REQUEST).text("tcpip-forward").flag(true).text("").number(0);
    all.extend([session, direct, exec, forward].map(Message::into_bytes));
    all.extend([vec![message::USERAUTH_SUCCESS], vec![message::USERAUTH_FAILURE], vec![message::EXT_INFO]]);
    all
}

/// Answers that would mean that a message was obeyed.
const OBEYED: [u8; 6] = [
    message::REQUEST_SUCCESS,
    message::CHANNEL_OPEN_CONFIRMATION,
    message::CHANNEL_OPEN_FAILURE,
    message::CHANNEL_SUCCESS,
    message::CHANNEL_DATA,
    message::USERAUTH_SUCCESS,
];

/// Sends everything untimely; the server may end the connection, or ignore it and answer the last
/// question as if nothing had been said.
async fn sweep(mut raw: Raw, asked: bool) {
    for payload in untimely() {
        if raw.send(&payload).await.is_err() {
            break;
        }
    }
    let ask = if asked {
        Message::new(message::USERAUTH_REQUEST).text("root").text("ssh-connection").text("none")
    } else {
        Message::new(message::SERVICE_REQUEST).text("ssh-userauth")
    };
    let answer = if asked { message::USERAUTH_FAILURE } else { message::SERVICE_ACCEPT };
    let _ = raw.send(ask).await;
    loop {
        match raw.receive().await {
            Ok(payload) => {
                assert!(!OBEYED.contains(&payload[0]), "{payload:?}");
                if payload[0] == answer {
                    return;
                }
            }
            Err(error) => {
                assert_ne!(error.kind(), std::io::ErrorKind::TimedOut, "neither answered nor closed");
                return;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_of_users_from_strangers_are_not_obeyed() {
    let bed = Bed::start().await;
    for door in bed.doors() {
        let mut before_service = Raw::connect(door).await.unwrap();
        before_service.exchange_keys().await.unwrap();
        sweep(before_service, false).await;
        sweep(Raw::stranger(door).await.unwrap(), true).await;
        let mut refused = Raw::stranger(door).await.unwrap();
        refused.why("root").await.unwrap();
        sweep(refused, true).await;
    }
    bed.is_well().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_cannot_declare_itself_signed_in() {
    let bed = Bed::start().await;
    for door in bed.doors() {
        let mut raw = Raw::stranger(door).await.unwrap();
        raw.send([message::USERAUTH_SUCCESS]).await.unwrap();
        let open =
            Message::new(message::CHANNEL_OPEN).text("session").number(0).number(1 << 20).number(1 << 15);
        raw.send(open).await.unwrap();
        let none = Message::new(message::USERAUTH_REQUEST).text("root").text("ssh-connection").text("none");
        raw.send(none).await.unwrap();
        match raw.receive_one_of(&[message::USERAUTH_FAILURE, OBEYED[1], OBEYED[2]]).await {
            Ok(payload) => assert_eq!(payload[0], message::USERAUTH_FAILURE),
            Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::UnexpectedEof),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_may_be_slipped_into_the_first_key_exchange() {
    let bed = Bed::start().await;
    let inserted = [
        Message::new(message::IGNORE).text("x"),
        Message::new(message::DEBUG).flag(true).text("x").text(""),
        Message::new(message::UNIMPLEMENTED).number(0),
        Message::new(message::EXT_INFO).number(0),
        Message::new(message::SERVICE_REQUEST).text("ssh-userauth"),
        Message::new(message::USERAUTH_REQUEST).text("root").text("ssh-connection").text("none"),
    ];
    for door in bed.doors() {
        for message in &inserted {
            let mut first = Raw::connect(door).await.unwrap();
            first.send(message).await.unwrap();
            first.send(kexinit()).await.unwrap();
            ends_without_keys(&mut first, "before KEXINIT").await;
            let mut after = Raw::connect(door).await.unwrap();
            after.send(kexinit()).await.unwrap();
            after.send(message).await.unwrap();
            after.send(Message::new(message::KEX_ECDH_INIT).text([9; 32])).await.unwrap();
            ends_without_keys(&mut after, "after KEXINIT").await;
        }
    }
    bed.is_well().await;
}

/// The server ends the connection before it has agreed on keys.
async fn ends_without_keys(raw: &mut Raw, when: &str) {
    let said = raw.until_closed().await.unwrap_or_else(|_| panic!("{when}: the connection goes on"));
    let numbers: Vec<u8> = said.iter().map(|payload| payload[0]).collect();
    assert!(!numbers.contains(&message::NEWKEYS), "{when}: {numbers:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn key_exchange_messages_out_of_order_end_the_connection() {
    let bed = Bed::start().await;
    for door in bed.doors() {
        for start in [message::NEWKEYS, message::KEX_ECDH_INIT, message::USERAUTH_SUCCESS, 80, 98] {
            let mut raw = Raw::connect(door).await.unwrap();
            raw.send([start]).await.unwrap();
            ends_without_keys(&mut raw, &format!("message {start} first")).await;
        }
        let mut twice = Raw::connect(door).await.unwrap();
        twice.send(kexinit()).await.unwrap();
        twice.send(kexinit()).await.unwrap();
        ends_without_keys(&mut twice, "KEXINIT twice").await;
        let mut low_order = Raw::connect(door).await.unwrap();
        low_order.send(kexinit()).await.unwrap();
        low_order.send(Message::new(message::KEX_ECDH_INIT).text([0; 32])).await.unwrap();
        ends_without_keys(&mut low_order, "a point of low order").await;
    }
}

/// Lengths at the edges of what a `uint32` can say.
const LENGTHS: [u32; 8] = [0, 1, 4, 5, 1 << 20, 1 << 31, u32::MAX - 1, u32::MAX];

#[tokio::test(flavor = "multi_thread")]
async fn packet_lengths_that_lie_end_the_connection() {
    let bed = Bed::start().await;
    for door in bed.doors() {
        for length in LENGTHS {
            let mut raw = Raw::connect(door).await.unwrap();
            raw.write(&[&length.to_be_bytes()[..], &[0xff; 64]].concat()).await.unwrap();
            let mut cut = Raw::connect(door).await.unwrap();
            cut.write(&length.to_be_bytes()).await.unwrap();
            drop(cut);
            if length < 1 << 20 {
                // A short one may be answered, but never with keys.
                let _ = raw.write(&[0xff; 64]).await;
            }
            ends_without_keys(&mut raw, &format!("length {length}")).await;
        }
    }
    bed.is_well().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn field_lengths_that_lie_end_the_connection_and_cost_nothing() {
    let bed = Bed::start().await;
    let lying = |number: u8, length: u32| Message::new(number).number(length).raw([b'x'; 8]);
    for door in bed.doors() {
        for length in LENGTHS {
            for number in [message::SERVICE_REQUEST, message::USERAUTH_REQUEST] {
                let mut raw = Raw::connect(door).await.unwrap();
                raw.exchange_keys().await.unwrap();
                if number == message::USERAUTH_REQUEST {
                    raw.ask_for_sign_in().await.unwrap();
                }
                raw.send(lying(number, length)).await.unwrap();
                let none = Message::new(message::USERAUTH_REQUEST).text("a").text("b").text("none");
                let _ = raw.send(none).await;
                let said = raw.until_closed().await.unwrap();
                assert!(said.iter().all(|payload| !OBEYED.contains(&payload[0])), "{said:?}");
            }
            let mut key = Raw::stranger(door).await.unwrap();
            let request = Message::new(message::USERAUTH_REQUEST)
                .text("root")
                .text("ssh-connection")
                .text("publickey")
                .flag(true)
                .text("ssh-ed25519-cert-v01@openssh.com")
                .number(length);
            key.send(request).await.unwrap();
            let _ = key.send([message::DISCONNECT, 0, 0, 0, 11, 0, 0, 0, 0, 0, 0, 0, 0]).await;
            let said = key.until_closed().await.unwrap();
            assert!(said.iter().all(|payload| !OBEYED.contains(&payload[0])), "{said:?}");
        }
    }
    bed.is_well().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rekey_that_never_ends_does_not_open_the_door() {
    let bed = Bed::start().await;
    for door in bed.doors() {
        let mut raw = Raw::stranger(door).await.unwrap();
        raw.send(kexinit()).await.unwrap();
        raw.receive_one_of(&[message::KEXINIT]).await.unwrap();
        let none = Message::new(message::USERAUTH_REQUEST).text("root").text("ssh-connection").text("none");
        let _ = raw.send(none).await;
        let said = raw.until_closed().await.unwrap();
        assert!(said.iter().all(|payload| !OBEYED.contains(&payload[0])), "{said:?}");
    }
}
