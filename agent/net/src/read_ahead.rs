//! A stream that reads while it cannot write.
//!
//! Some libraries, russh among them, read nothing while a write of theirs waits. Where both ends are such, and each has
//! more to write than the buffers between them hold, each waits for the other to read, for ever. One end that reads on
//! is enough: what it reads waits here until it is asked for.
//!
//! Whoever begins a write sees it through, or reads in the same task: while it waits, what comes wakes the writer.

use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};

use bytes::{Buf as _, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What is read at a time, in bytes.
const CHUNK: usize = 16 * 1024;
/// How often, before others have their turn.
const CHUNKS: usize = 16;

/// How many bytes a stream may read ahead of whoever reads, and hardly more. Beyond that it waits as it would without.
/// Clones are the same one.
#[derive(Debug, Clone, Default)]
pub struct Allowance(Arc<AtomicUsize>);

impl Allowance {
    /// So many.
    pub fn of(bytes: usize) -> Self {
        Self(Arc::new(AtomicUsize::new(bytes)))
    }

    /// So many from now on.
    pub fn set(&self, bytes: usize) {
        self.0.store(bytes, Ordering::Relaxed);
    }

    fn bytes(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

/// A stream that reads while a write of it waits.
#[derive(Debug)]
pub struct ReadAhead<S> {
    stream: S,
    /// Read, and not asked for yet. Holds no memory while there is nothing.
    ahead: BytesMut,
    allowance: Allowance,
    /// What comes after it, once that is known.
    end: Option<io::Result<()>>,
    /// Who waits to read.
    reader: Option<Waker>,
    /// Whoever writes is told of what comes, in the place of the reader.
    is_taken_over: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> ReadAhead<S> {
    /// A stream that reads as far ahead as it may at the time.
    pub fn new(stream: S, allowance: Allowance) -> Self {
        Self { stream, ahead: BytesMut::new(), allowance, end: None, reader: None, is_taken_over: false }
    }

    /// Passes on what a write came to, and reads while it waits.
    fn meanwhile<T>(&mut self, cx: &mut Context<'_>, written: Poll<T>) -> Poll<T> {
        if written.is_pending() {
            self.read_on(cx);
        } else if self.is_taken_over {
            self.is_taken_over = false;
            // What comes next is the reader's to hear of.
            self.wake_reader();
        }
        written
    }

    fn read_on(&mut self, cx: &mut Context<'_>) {
        for _ in 0..CHUNKS {
            if self.end.is_some() || self.ahead.len() >= self.allowance.bytes() {
                return;
            }
            // On the stack: nearly always there is nothing, and whoever writes much comes here often.
            let mut room = [MaybeUninit::uninit(); CHUNK];
            let mut read = ReadBuf::uninit(&mut room);
            match Pin::new(&mut self.stream).poll_read(cx, &mut read) {
                Poll::Ready(Ok(())) if read.filled().is_empty() => self.end = Some(Ok(())),
                Poll::Ready(Ok(())) => self.ahead.extend_from_slice(read.filled()),
                Poll::Ready(Err(error)) => self.end = Some(Err(error)),
                Poll::Pending => {
                    self.is_taken_over = true;
                    return;
                }
            }
            self.wake_reader();
        }
        cx.waker().wake_by_ref();
    }

    fn wake_reader(&mut self) {
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for ReadAhead<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.ahead.is_empty() {
            let count = self.ahead.len().min(buf.remaining());
            buf.put_slice(self.ahead.get(..count).unwrap_or_default());
            self.ahead.advance(count);
            if self.ahead.is_empty() {
                self.ahead = BytesMut::new();
            }
            return Poll::Ready(Ok(()));
        }
        if let Some(end) = self.end.take() {
            self.end = Some(Ok(()));
            return Poll::Ready(end);
        }
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        if read.is_pending() {
            self.is_taken_over = false;
            self.reader = Some(cx.waker().clone());
        }
        read
    }
}

crate::write_through!(ReadAhead<S: AsyncRead>, then meanwhile);

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
    use tokio::time::timeout;

    use super::*;

    const MUCH: usize = 1 << 20;

    /// Writes all it has before it reads anything.
    async fn write_then_read(mut stream: impl AsyncRead + AsyncWrite + Unpin, byte: u8) -> Vec<u8> {
        stream.write_all(&vec![byte; MUCH]).await.unwrap();
        stream.flush().await.unwrap();
        let mut read = vec![0; MUCH];
        stream.read_exact(&mut read).await.unwrap();
        read
    }

    async fn both_ways(most: usize) -> bool {
        let (near, far) = duplex(1024);
        let both = async {
            tokio::join!(
                write_then_read(ReadAhead::new(near, Allowance::of(most)), 1),
                write_then_read(far, 2)
            )
        };
        match timeout(Duration::from_secs(60), both).await {
            Ok((near, far)) => near.iter().all(|byte| *byte == 2) && far.iter().all(|byte| *byte == 1),
            Err(_) => false,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn two_that_write_before_they_read_come_to_an_end_where_one_reads_on() {
        assert!(both_ways(MUCH).await);
        assert!(!both_ways(0).await, "that is what it is for");
        assert!(!both_ways(MUCH / 2).await, "and no further than it may");
    }

    #[tokio::test(start_paused = true)]
    async fn somebody_who_takes_nothing_fills_no_more_than_is_allowed_at_the_time() {
        let (near, mut far) = duplex(1024);
        let allowance = Allowance::default();
        let mut stream = ReadAhead::new(near, allowance.clone());
        let sending = tokio::spawn(async move { far.write_all(&vec![1; MUCH]).await });
        for (bytes, held) in [(0, 0), (CHUNK, CHUNK), (2 * CHUNK, 2 * CHUNK)] {
            allowance.set(bytes);
            let writing = stream.write_all(&[0; 2048]);
            assert!(timeout(Duration::from_secs(1), writing).await.is_err());
            assert!((held..=held + 1024).contains(&stream.ahead.len()), "{bytes}: {}", stream.ahead.len());
        }
        drop(stream);
        assert!(sending.await.unwrap().is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_reads_beside_the_writer_misses_nothing() {
        let (near, far) = duplex(1024);
        let (mut read, mut write) = tokio::io::split(ReadAhead::new(near, Allowance::of(16)));
        let (mut from, mut to) = tokio::io::split(far);
        let writing = tokio::spawn(async move { write.write_all(&vec![1; MUCH]).await.unwrap() });
        let reading = tokio::spawn(async move {
            let mut all = vec![0; MUCH];
            read.read_exact(&mut all).await.unwrap();
            all
        });
        let answering = tokio::spawn(async move {
            let mut some = [0; 700];
            for _ in 0..MUCH / 700 {
                from.read_exact(&mut some).await.unwrap();
                to.write_all(&some).await.unwrap();
                // Now the one waits and now the other.
                tokio::task::yield_now().await;
            }
            let mut rest = vec![0; MUCH % 700];
            from.read_exact(&mut rest).await.unwrap();
            to.write_all(&rest).await.unwrap();
            (from, to)
        });
        let all =
            timeout(Duration::from_secs(60), async { (writing.await, reading.await, answering.await) }).await;
        assert_eq!(all.unwrap().1.unwrap(), vec![1; MUCH]);
    }

    /// A stream on which a write waits, after the other end has written and gone.
    async fn left_behind() -> ReadAhead<DuplexStream> {
        let (near, mut far) = duplex(4);
        let mut stream = ReadAhead::new(near, Allowance::of(MUCH));
        far.write_all(b"last").await.unwrap();
        stream.write_all(b"full").await.unwrap();
        assert!(timeout(Duration::from_secs(1), stream.write_all(b"more")).await.is_err());
        drop(far);
        stream
    }

    #[tokio::test(start_paused = true)]
    async fn what_came_before_the_end_is_read_before_it() {
        let mut stream = left_behind().await;
        assert!(stream.write_all(b"more").await.is_err(), "nobody takes it");
        let mut all = Vec::new();
        stream.read_to_end(&mut all).await.unwrap();
        assert_eq!(all, b"last");
        assert_eq!(stream.ahead.capacity(), 0, "nothing is held on to");
        assert_eq!(stream.read(&mut [0; 1]).await.unwrap(), 0);
    }
}
