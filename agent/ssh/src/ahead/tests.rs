use std::time::Duration;

use certs::ssh::new_key;
use net::read_ahead::{Allowance, ReadAhead};
use russh::server::{self, ChannelOpenHandle, Msg};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;

use super::*;
use crate::offer::Heard;

/// A server that lets everybody in and hands every session channel out.
struct Open(mpsc::Sender<Channel<Msg>>, Backlog);

impl server::Handler for Open {
    type Error = russh::Error;

    async fn auth_none(&mut self, _user: &str) -> Result<server::Auth, Self::Error> {
        Ok(server::Auth::Accept)
    }

    fn adjust_window(&mut self, _channel: russh::ChannelId, _current: u32) -> u32 {
        self.1.window()
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
    backlog: Backlog,
}

pub(super) async fn pair() -> Pair {
    let (near, far) = tokio::io::duplex(256 * 1024);
    let (sender, server_channels) = mpsc::channel(8);
    let keys = vec![new_key(&fake::FakeRandom::new(1))];
    let methods = russh::MethodSet::from([russh::MethodKind::None].as_slice());
    let config = server::Config { keys, methods, channel_buffer_size: 4, ..server::Config::default() };
    let backlog = Backlog::default();
    // As `serve` has it.
    let far = ReadAhead::new(far, Allowance::of(crate::serve::CLIENT_AHEAD));
    let (open, far) =
        (Open(sender, backlog.clone()), backlog::Patient::new(far, backlog.clone(), Heard::default()));
    tokio::spawn(async move { server::run_stream(Arc::new(config), far, open).await.unwrap().await });
    let config = Arc::new(russh::client::Config::default());
    let mut client = russh::client::connect_stream(config, near, AnyServer).await.unwrap();
    assert!(client.authenticate_none("x").await.unwrap().success());
    Pair { client, server_channels, backlog }
}

impl Pair {
    async fn channel(&mut self) -> (Channel<russh::client::Msg>, Ahead) {
        let backlog = self.backlog.clone();
        self.channel_counted(&backlog).await
    }

    async fn channel_counted(&mut self, backlog: &Backlog) -> (Channel<russh::client::Msg>, Ahead) {
        let ours = self.client.channel_open_session().await.unwrap();
        let theirs = self.server_channels.recv().await.unwrap();
        (ours, Ahead::new(theirs, backlog))
    }
}

/// What hangs does so for ever; megabytes encrypted by a debug build beside other tests take their time.
pub(super) async fn within<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(Duration::from_secs(90), future).await.expect("it hangs")
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

/// russh reads nothing while it writes, at either end.
#[tokio::test]
async fn much_goes_both_ways_at_once_through_little_room() {
    let mut pair = pair().await;
    let (ours, theirs) = pair.channel().await;
    within(async { tokio::join!(both_ways(ours.into_stream()), both_ways(theirs)) }).await;
}

async fn both_ways(stream: impl AsyncRead + AsyncWrite) {
    let (mut read, mut write) = tokio::io::split(stream);
    let (sent, mut got) = (vec![7; 16 << 20], vec![0; 16 << 20]);
    let (written, read) = tokio::join!(write.write_all(&sent), read.read_exact(&mut got));
    written.unwrap();
    read.unwrap();
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

/// Sends for ever.
fn flood(channel: Channel<russh::client::Msg>) -> tokio::task::JoinHandle<()> {
    let mut stream = channel.into_stream();
    tokio::spawn(async move {
        let chunk = vec![0; 64 * 1024];
        while stream.write_all(&chunk).await.is_ok() {}
    })
}

async fn until(what: impl Fn() -> bool) {
    within(async {
        while !what() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_client_that_ignores_its_window_is_stopped_at_the_bound() {
    let mut pair = pair().await;
    // Not counted, so the client is never slowed down: the same as one that does not care.
    let (ours, unread) = pair.channel_counted(&Backlog::default()).await;
    let flooding = flood(ours);
    let queued = || unread.reader.shared.queue.lock().bytes;
    until(|| queued() >= AHEAD_MAX).await;
    // The flood goes on; nothing of it may come through.
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(queued() < AHEAD_MAX + 256 * 1024, "{} bytes are queued", queued());
    flooding.abort();
}

#[tokio::test]
async fn all_channels_of_a_connection_together_are_stopped_at_its_bound() {
    const EACH: usize = AHEAD_MAX - 1024 * 1024;
    let mut pair = pair().await;
    let counted = Backlog::default();
    let mut unread = Vec::new();
    for _ in 0..6 {
        let (ours, theirs) = pair.channel_counted(&counted).await;
        let mut ours = ours.into_stream();
        // None of them meets the bound of a channel.
        tokio::spawn(async move { ours.write_all(&vec![0; EACH]).await });
        unread.push(theirs);
    }
    until(|| !counted.has_room()).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(counted.bytes() < backlog::CONNECTION_MAX + 1024 * 1024, "{} bytes", counted.bytes());
    // Whoever takes something sets all of them going again: all of them are read, for what one gives back another
    // may take.
    let reading = unread.into_iter().map(async |mut theirs| {
        let mut all = vec![1; EACH];
        theirs.read_exact(&mut all).await.map(drop)
    });
    within(futures::future::try_join_all(reading)).await.unwrap();
}

#[tokio::test]
async fn a_client_is_slowed_down_and_everything_else_goes_on() {
    let mut pair = pair().await;
    let (stuck, unread) = pair.channel().await;
    let flooding = flood(stuck);
    until(|| pair.backlog.window() < 1024).await;
    // A window that was given before may still be used up, and that is all.
    tokio::time::sleep(Duration::from_millis(200)).await;
    let queued = unread.reader.shared.queue.lock().bytes;
    assert!(queued < backlog::FULL + 5 * 1024 * 1024, "{queued} bytes are queued");
    let chunks = unread.reader.shared.queue.lock().chunks.len();
    assert!(chunks < 2000, "{chunks} pieces for {queued} bytes");
    let (ours, mut theirs) = pair.channel().await;
    let mut ours = ours.into_stream();
    let mut answer = [0; 5];
    within(ours.write_all(b"hello")).await.unwrap();
    within(theirs.read_exact(&mut answer)).await.unwrap();
    // More than the client allows at once: its giving back must be heard.
    let sending = async {
        theirs.write_all(&vec![1; 8 * 1024 * 1024]).await.unwrap();
        theirs.shutdown().await.unwrap();
    };
    let mut received = Vec::new();
    let (_, all) = within(async { tokio::join!(sending, ours.read_to_end(&mut received)) }).await;
    assert_eq!(all.unwrap(), 8 * 1024 * 1024);
    // Whoever takes what waited gets the rest as fast as ever.
    let mut unread = unread;
    let mut buffer = vec![0; 64 * 1024];
    let mut taken = 0;
    within(async {
        while taken < 32 * 1024 * 1024 {
            taken += unread.read(&mut buffer).await.unwrap();
        }
    })
    .await;
    flooding.abort();
    drop((unread, theirs));
    assert_eq!(pair.backlog.bytes(), 0, "nothing is counted that nobody holds");
}

/// What deadlocks when reading stops: a program that answers as it reads, on a client that allows no
/// more than its window.
#[tokio::test]
async fn an_echo_of_more_than_everything_holds_comes_back_whole() {
    let mut pair = pair().await;
    let (ours, theirs) = pair.channel().await;
    tokio::spawn(async move {
        let (mut read, mut write) = tokio::io::split(theirs);
        tokio::io::copy(&mut read, &mut write).await.unwrap();
        write.shutdown().await.unwrap();
    });
    let sent: Vec<u8> = (0..24 * 1024 * 1024_u32).map(|n| (n % 251) as u8).collect();
    let (mut read, mut write) = tokio::io::split(ours.into_stream());
    let mut back = Vec::new();
    let sending = async {
        write.write_all(&sent).await.unwrap();
        write.shutdown().await.unwrap();
    };
    let (_, all) = within(async { tokio::join!(sending, read.read_to_end(&mut back)) }).await;
    all.unwrap();
    assert!(back == sent, "{} bytes came back", back.len());
}
