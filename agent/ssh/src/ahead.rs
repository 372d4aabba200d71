//! Reading ahead, so that one slow stream does not hold up the others on its connection.
//!
//! SSH flow control is per channel, but russh delivers messages of all channels one after another and
//! gives window back before they are taken: a channel nobody reads would stop its whole connection.
//! So each channel is read at once into a queue of its own. What waits in the queues of a client's
//! connection slows that client down (see [`backlog`]); between our own ends each side knows what the
//! other has taken (see [`paced`]). Only a peer that keeps to neither, or has dozens of channels that
//! nobody reads, meets the bounds in bytes of a channel and of a connection, past which its connection
//! waits; so memory stays bounded with any peer.

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

pub mod backlog;
pub mod paced;

use backlog::Backlog;

/// The most bytes waiting in one channel's queue.
pub const AHEAD_MAX: usize = 16 * 1024 * 1024;
/// Chunks up to this size are put together: a thousand tiny ones must not cost a thousand times their
/// bookkeeping.
const TINY: usize = 1024;

const _: () = assert!(
    backlog::FULL + 2 * crate::config::WINDOW as usize <= AHEAD_MAX,
    "whoever is slowed down is not stopped"
);

#[derive(Default)]
struct Queue {
    chunks: VecDeque<Bytes>,
    bytes: usize,
    ended: bool,
    /// Nobody takes anything any more.
    forgotten: bool,
    reader: Option<Waker>,
}

#[derive(Default)]
struct Shared {
    queue: Mutex<Queue>,
    taken: Notify,
    /// Where the bytes are counted too.
    backlog: Backlog,
}

impl Shared {
    fn push(&self, chunk: Bytes) {
        let mut queue = self.queue.lock();
        if queue.forgotten {
            return;
        }
        queue.bytes += chunk.len();
        self.backlog.add(chunk.len());
        match queue.chunks.back_mut() {
            Some(last) if last.len() + chunk.len() <= TINY => *last = [last.as_ref(), &chunk].concat().into(),
            _ => queue.chunks.push_back(chunk),
        }
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
        self.backlog.subtract(before - queue.bytes);
        let there_is_room_again = before >= AHEAD_MAX && queue.bytes < AHEAD_MAX;
        drop(queue);
        if there_is_room_again {
            self.taken.notify_one();
        }
        Poll::Ready(Ok(()))
    }

    /// Nobody will take what is left.
    fn forget(&self) {
        let mut queue = self.queue.lock();
        queue.forgotten = true;
        queue.chunks.clear();
        self.backlog.subtract(std::mem::take(&mut queue.bytes));
        drop(queue);
        self.taken.notify_one();
    }

    async fn wait_for_room(&self) {
        loop {
            let mut room = std::pin::pin!(self.backlog.room());
            // From here on news is not missed.
            room.as_mut().enable();
            if self.queue.lock().bytes < AHEAD_MAX && self.backlog.has_room() {
                return;
            }
            tokio::select! {
                () = self.taken.notified() => {}
                () = room => {}
            }
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
    /// Starts reading a channel of the connection this backlog is of.
    pub fn new(read: ChannelReadHalf, backlog: &Backlog) -> Self {
        let shared = Arc::new(Shared { backlog: backlog.clone(), ..Shared::default() });
        let reading = tokio::spawn(read_all(read, Arc::clone(&shared)));
        Self { shared, reading }
    }
}

impl Drop for AheadReader {
    fn drop(&mut self) {
        self.reading.abort();
        self.shared.forget();
    }
}

/// A channel as a stream of bytes both ways.
pub struct Ahead {
    reader: AheadReader,
    writer: Pin<Box<dyn AsyncWrite + Send>>,
    close: Option<Box<dyn FnOnce() + Send>>,
}

impl Ahead {
    /// Starts reading a channel of the connection this backlog is of. Dropping the stream closes it.
    pub fn new<M>(channel: Channel<M>, backlog: &Backlog) -> Self
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
        Self { reader: AheadReader::new(read, backlog), writer, close: Some(Box::new(close)) }
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
