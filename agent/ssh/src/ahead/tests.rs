use std::time::Duration;

use certs::ssh::new_key;
use russh::server::{self, ChannelOpenHandle, Msg};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;

use super::*;

/// A server that lets everybody in and hands every session channel out.
struct Open(mpsc::Sender<Channel<Msg>>);

impl server::Handler for Open {
    type Error = russh::Error;

    async fn auth_none(&mut self, _user: &str) -> Result<server::Auth, Self::Error> {
        Ok(server::Auth::Accept)
    }

    async fn channel_open_session(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _session: &mut server::Session,
    ) -> Result<(), Self::Error> {
        reply.accept().await;
        let _ = self.0.send(channel).await;
        Ok(())
    }
}

pub(super) struct AnyServer;

impl russh::client::Handler for AnyServer {
    type Error = russh::Error;

    async fn check_server_key(
        &mut self,
        _key: &russh::keys::PublicKeyOrCertificate,
    ) -> Result<bool, Self::Error> {
        Ok(true)
    }
}

pub(super) struct Pair {
    pub(super) client: russh::client::Handle<AnyServer>,
    pub(super) server_channels: mpsc::Receiver<Channel<Msg>>,
}

pub(super) async fn pair() -> Pair {
    let (near, far) = tokio::io::duplex(256 * 1024);
    let (sender, server_channels) = mpsc::channel(8);
    let keys = vec![new_key(&fake::FakeRandom::new(1))];
    let methods = russh::MethodSet::from([russh::MethodKind::None].as_slice());
    let config = server::Config { keys, methods, channel_buffer_size: 4, ..server::Config::default() };
    tokio::spawn(async move { server::run_stream(Arc::new(config), far, Open(sender)).await.unwrap().await });
    let config = Arc::new(russh::client::Config::default());
    let mut client = russh::client::connect_stream(config, near, AnyServer).await.unwrap();
    assert!(client.authenticate_none("x").await.unwrap().success());
    Pair { client, server_channels }
}

impl Pair {
    async fn channel(&mut self) -> (Channel<russh::client::Msg>, Ahead) {
        let ours = self.client.channel_open_session().await.unwrap();
        let theirs = self.server_channels.recv().await.unwrap();
        (ours, Ahead::new(theirs))
    }
}

pub(super) async fn within<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(Duration::from_secs(20), future).await.expect("it hangs")
}

#[tokio::test]
async fn bytes_pass_both_ways_and_the_end_is_seen() {
    let mut pair = pair().await;
    let (ours, mut theirs) = pair.channel().await;
    let mut ours = ours.into_stream();
    let sent: Vec<u8> = (0..300_000u32).map(|n| (n % 251) as u8).collect();
    let expected = sent.clone();
    let writing = tokio::spawn(async move {
        ours.write_all(&sent).await.unwrap();
        ours.shutdown().await.unwrap();
        let mut answer = Vec::new();
        ours.read_to_end(&mut answer).await.unwrap();
        answer
    });
    let mut received = Vec::new();
    within(theirs.read_to_end(&mut received)).await.unwrap();
    assert_eq!(received, expected);
    theirs.write_all(b"answer").await.unwrap();
    theirs.shutdown().await.unwrap();
    drop(theirs);
    assert_eq!(within(writing).await.unwrap(), b"answer");
}

#[tokio::test]
async fn a_channel_nobody_reads_does_not_stop_the_others() {
    let mut pair = pair().await;
    let (stuck, _unread) = pair.channel().await;
    let (fast, mut read) = pair.channel().await;
    let (mut stuck, mut fast) = (stuck.into_stream(), fast.into_stream());
    // Many more messages than the connection would hold for a channel that is not read.
    within(stuck.write_all(&vec![7; 1024 * 1024])).await.unwrap();
    for _ in 0..1000 {
        within(stuck.write_all(b"x")).await.unwrap();
    }
    within(fast.write_all(b"hello")).await.unwrap();
    let mut hello = [0; 5];
    within(read.read_exact(&mut hello)).await.unwrap();
    assert_eq!(&hello, b"hello");
}

#[tokio::test]
async fn the_queue_is_bounded() {
    let mut pair = pair().await;
    let (flood, unread) = pair.channel().await;
    let mut flood = flood.into_stream();
    let flooding = tokio::spawn(async move {
        let chunk = vec![0; 64 * 1024];
        loop {
            flood.write_all(&chunk).await.unwrap();
        }
    });
    let queued = || unread.reader.shared.queue.lock().bytes;
    within(async {
        while queued() < AHEAD_MAX {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    // The flood goes on; nothing of it may come through.
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(queued() < AHEAD_MAX + 256 * 1024, "{} bytes are queued", queued());
    flooding.abort();
}
