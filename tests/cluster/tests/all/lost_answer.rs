//! A host whose answer to joining is lost on the way: it has its certificates, and does not know it.

use std::time::Duration;

use teleport_tests_cluster::{Cluster, ShiftedClock, chain, try_start};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What a client sends after its greeting and before it asks anything, at most: its part of both
/// handshakes, TLS and HTTP/2. What it asks, with two public keys, is longer than what is left.
const HANDSHAKES: usize = 400;

/// A connection that hears nothing any more once it has asked, until it is cut.
async fn deaf(mut client: TcpStream, mut auth: TcpStream) {
    let (mut said, mut greeting, mut from_client, mut from_auth) = (0, usize::MAX, [0; 4096], [0; 4096]);
    loop {
        let heard = said <= greeting.saturating_add(HANDSHAKES);
        tokio::select! {
            read = client.read(&mut from_client) => {
                let Ok(count @ 1..) = read else { return };
                if said == 0 {
                    greeting = 5 + usize::from(u16::from_be_bytes([from_client[3], from_client[4]]));
                }
                said += count;
                if auth.write_all(&from_client[..count]).await.is_err() {
                    return;
                }
            }
            read = auth.read(&mut from_auth) => {
                let Ok(count @ 1..) = read else { return };
                if heard && client.write_all(&from_auth[..count]).await.is_err() {
                    return;
                }
            }
        }
    }
}

fn joins(cluster: &Cluster) -> usize {
    let joined = |event: &serde_json::Value| event["code"] == "TJ002I" && event["node_name"] == "web-1";
    cluster.events().into_iter().filter(joined).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_asks_again_after_a_lost_answer_is_the_same_host() {
    let cluster = Cluster::start().await;
    cluster.token("a-token-for-nodes").await;
    let road = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let yaml = format!(
        "version: v3\nteleport:\n  nodename: web-1\n  data_dir: {}\n  auth_server: {}\n  ca_pin: {}\n  \
         auth_token: a-token-for-nodes\nauth_service:\n  enabled: no\nproxy_service:\n  enabled: no\nssh_service:\n  enabled: yes\n  listen_addr: 127.0.0.1:0\n",
        cluster.folder().join("web-1").display(),
        road.local_addr().unwrap(),
        cluster.pin,
    );
    let clock = ShiftedClock::default();
    let carrying = async {
        let (client, _) = road.accept().await.unwrap();
        let auth = TcpStream::connect(cluster.auth()).await.unwrap();
        let joined = async {
            while joins(&cluster) == 0 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::select! {
            () = deaf(client, auth) => panic!("cut before it has joined"),
            () = joined => {}
        }
        // From here on the road is good.
        loop {
            let (mut client, _) = road.accept().await.unwrap();
            let mut auth = TcpStream::connect(cluster.auth()).await.unwrap();
            tokio::spawn(async move { tokio::io::copy_bidirectional(&mut client, &mut auth).await });
        }
    };
    let starting = tokio::time::timeout(Duration::from_secs(60), try_start(&yaml, &clock));
    let started = tokio::select! {
        started = starting => started.expect("it never joined"),
        () = carrying => unreachable!("the road has no end"),
    };
    let node = started.unwrap_or_else(|error| panic!("{}", chain(&error)));
    assert_eq!(joins(&cluster), 2, "it asked twice");
    node.stop().await;
}
