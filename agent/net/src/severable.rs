//! A stream that can be cut from outside, whoever holds it.
//!
//! Libraries that speak a protocol keep a connection for as long as its peer does nothing wrong, and
//! doing nothing is not wrong: russh says goodbye only once keys are agreed and then waits for the peer
//! to close, HTTP/2 waits for its first byte. So whoever decides that a connection is over cuts the
//! stream under it.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};

use futures::task::AtomicWaker;
use tokio::io::{AsyncRead, ReadBuf};

#[derive(Debug, Default)]
struct Shared {
    is_cut: AtomicBool,
    reader: AtomicWaker,
    writer: AtomicWaker,
}

/// Cuts one stream. Clones cut the same one.
#[derive(Debug, Clone)]
pub struct Knife(Arc<Shared>);

impl Knife {
    /// Every read and write fails from now on, also those under way.
    pub fn cut(&self) {
        self.0.is_cut.store(true, Ordering::SeqCst);
        self.0.reader.wake();
        self.0.writer.wake();
    }

    /// Whether it was cut.
    pub fn has_cut(&self) -> bool {
        self.0.is_cut.load(Ordering::SeqCst)
    }
}

/// A stream and the place where it may be cut.
#[derive(Debug)]
pub struct Severable<S> {
    stream: S,
    shared: Arc<Shared>,
}

impl<S> Severable<S> {
    /// The stream, and what cuts it: reading and writing then fail with `ConnectionAborted`.
    pub fn new(stream: S) -> (Self, Knife) {
        let shared = Arc::new(Shared::default());
        (Self { stream, shared: Arc::clone(&shared) }, Knife(shared))
    }

    fn check(&self, waiting: &AtomicWaker, waker: &Waker) -> io::Result<()> {
        // Registered before looked at: a cut in between wakes.
        waiting.register(waker);
        if self.shared.is_cut.load(Ordering::SeqCst) {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        Ok(())
    }

    fn check_writing(&self, cx: &Context<'_>) -> io::Result<()> {
        self.check(&self.shared.writer, cx.waker())
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Severable<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check(&self.shared.reader, cx.waker())?;
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

crate::write_through!(Severable<S>, check_writing);

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn bytes_pass_until_it_is_cut() {
        let (near, mut far) = tokio::io::duplex(16);
        let (mut stream, knife) = Severable::new(near);
        stream.write_all(b"out").await.unwrap();
        far.write_all(b"in").await.unwrap();
        let (mut there, mut here) = ([0; 3], [0; 2]);
        far.read_exact(&mut there).await.unwrap();
        stream.read_exact(&mut here).await.unwrap();
        assert_eq!((&there, &here), (b"out", b"in"));
        knife.cut();
        far.write_all(b"late").await.unwrap();
        assert_eq!(stream.read(&mut here).await.unwrap_err().kind(), io::ErrorKind::ConnectionAborted);
        assert!(stream.write_all(b"late").await.is_err());
    }

    #[tokio::test]
    async fn who_waits_is_woken() {
        let (near, _far) = tokio::io::duplex(1);
        let (stream, knife) = Severable::new(near);
        let (mut read, mut write) = tokio::io::split(stream);
        let reading = tokio::spawn(async move { read.read_u8().await.is_err() });
        let writing = tokio::spawn(async move { write.write_all(b"more than fits").await.is_err() });
        tokio::task::yield_now().await;
        knife.cut();
        assert!(reading.await.unwrap() && writing.await.unwrap());
    }
}
