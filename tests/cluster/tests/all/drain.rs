//! What a drain waits for.

use std::time::Duration;

use russh::Disconnect;
use teleport_tests_cluster::{Client, Cluster};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
/// Several looks of a drain: one that waits for nobody ends at its first.
const A_WHILE: Duration = Duration::from_secs(1);

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_only_forwards_ports_is_waited_for() {
    let cluster = Cluster::start().await;
    let node = cluster.add_node("web-1", "").await;
    let joe = cluster.user("joe", &["access"], &["root"]).await;
    let (client, _) = Client::connect(cluster.ssh_proxy(), &joe, "root").await.unwrap();
    let (session, _) = client.node("web-1", "root").await.unwrap();
    let echo = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = u32::from(echo.local_addr().unwrap().port());
    tokio::spawn(async move {
        let (mut stream, _) = echo.accept().await.unwrap();
        let (mut read, mut write) = stream.split();
        tokio::io::copy(&mut read, &mut write).await
    });
    let forwarded = session.handle.channel_open_direct_tcpip("127.0.0.1", port, "127.0.0.1", 1).await;
    let mut forwarded = forwarded.unwrap().into_stream();
    {
        let drain = node.running.drain();
        tokio::pin!(drain);
        assert!(tokio::time::timeout(A_WHILE, &mut drain).await.is_err(), "somebody is left");
        forwarded.write_all(b"still here").await.unwrap();
        let mut answer = [0; 10];
        forwarded.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"still here");
        session.handle.disconnect(Disconnect::ByApplication, "", "").await.unwrap();
        tokio::time::timeout(PATIENCE, drain).await.expect("nobody is left");
    }
    node.stop().await;
}
