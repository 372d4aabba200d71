//! Reading ahead, so that one slow stream does not hold up the others on its connection.
//!
//! SSH flow control is per channel, but russh delivers messages of all channels one after another and
//! gives window back before they are taken: a channel nobody reads would stop its whole connection.
//! So each channel is read at once into a queue of its own, bounded in bytes; past the bound the
//! connection waits, so memory stays bounded with any client. That is a client's own affair as long as
//! the connection is its own; where many share one, both ends keep below the bound (see [`paced`]).

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::{Buf, Bytes};
use parking_lot::Mutex;
use russh::{Channel, ChannelMsg, ChannelReadHalf};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Notify;

pub mod paced;

/// The most bytes waiting in one channel's queue.
pub const AHEAD_MAX: usize = 4 * 1024 * 1024;

#[derive(Default)]
struct Queue {
    chunks: VecDeque<Bytes>,
    bytes: usize,
    ended: bool,
    reader: Option<Waker>,
}

#[derive(Default)]
struct Shared {
    queue: Mutex<Queue>,
    taken: Notify,
}

impl Shared {
    fn push(&self, chunk: Bytes) {
        let mut queue = self.queue.lock();
        queue.bytes += chunk.len();
        queue.chunks.push_back(chunk);
        wake(queue.reader.take());
    }

    fn end(&self) {
        let mut queue = self.queue.lock();
        queue.ended = true;
        wake(queue.reader.take());
    }

    /// Hands out what is there.
    fn poll_take(&self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut queue = self.queue.lock();
        if queue.chunks.is_empty() {
            if queue.ended {
                return Poll::Ready(Ok(()));
            }
            queue.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let before = queue.bytes;
        while buf.remaining() > 0 {
            let Some(chunk) = queue.chunks.front_mut() else { break };
            let taken = chunk.len().min(buf.remaining());
            buf.put_slice(chunk.get(..taken).unwrap_or_default());
            chunk.advance(taken);
            if chunk.is_empty() {
                queue.chunks.pop_front();
            }
            queue.bytes -= taken;
        }
        let there_is_room_again = before >= AHEAD_MAX && queue.bytes < AHEAD_MAX;
        drop(queue);
        if there_is_room_again {
            self.taken.notify_one();
        }
        Poll::Ready(Ok(()))
    }

    async fn wait_for_room(&self) {
        while self.queue.lock().bytes >= AHEAD_MAX {
            self.taken.notified().await;
        }
    }
}

fn wake(reader: Option<Waker>) {
    if let Some(reader) = reader {
        reader.wake();
    }
}

/// The bytes of a channel, which is always being read.
pub struct AheadReader {
    shared: Arc<Shared>,
    reading: tokio::task::JoinHandle<()>,
}

impl AheadReader {
    /// Starts reading.
    pub fn new(read: ChannelReadHalf) -> Self {
        let shared = Arc::new(Shared::default());
        let reading = tokio::spawn(read_all(read, Arc::clone(&shared)));
        Self { shared, reading }
    }
}

impl Drop for AheadReader {
    fn drop(&mut self) {
        self.reading.abort();
    }
}

/// A channel as a stream of bytes both ways.
pub struct Ahead {
    reader: AheadReader,
    writer: Pin<Box<dyn AsyncWrite + Send>>,
    close: Option<Box<dyn FnOnce() + Send>>,
}

impl Ahead {
    /// Starts reading the channel. Dropping the stream closes it.
    pub fn new<M>(channel: Channel<M>) -> Self
    where
        M: From<(russh::ChannelId, ChannelMsg)> + Send + Sync + 'static,
    {
        let (read, write) = channel.split();
        let writer = Box::pin(write.make_writer());
        let close = move || {
            if let Ok(runtime) = tokio::runtime::Handle::try_current() {
                runtime.spawn(async move {
                    // Already closed is as good.
                    let _ = write.close().await;
                });
            }
        };
        Self { reader: AheadReader::new(read), writer, close: Some(Box::new(close)) }
    }
}

async fn read_all(mut read: ChannelReadHalf, shared: Arc<Shared>) {
    while let Some(message) = read.wait().await {
        match message {
            ChannelMsg::Data { data } => {
                shared.push(data);
                shared.wait_for_room().await;
            }
            ChannelMsg::Eof | ChannelMsg::Close => break,
            _ => {}
        }
    }
    shared.end();
    // Messages after the end of data are none of this stream's, but they must not pile up.
    while read.wait().await.is_some() {}
}

impl AsyncRead for AheadReader {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.shared.poll_take(cx, buf)
    }
}

impl AsyncRead for Ahead {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.reader).poll_read(cx, buf)
    }
}

impl AsyncWrite for Ahead {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if buf.is_empty() {
            return Poll::Ready(Ok(0));
        }
        self.writer.as_mut().poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.writer.as_mut().poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.writer.as_mut().poll_shutdown(cx)
    }
}

impl Drop for Ahead {
    fn drop(&mut self) {
        if let Some(close) = self.close.take() {
            close();
        }
    }
}

#[cfg(test)]
mod tests;
