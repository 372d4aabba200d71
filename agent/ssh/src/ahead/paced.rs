//! A channel between two ends of ours that gives room back only as it is taken.
//!
//! russh gives window back before bytes are taken, so one channel of a link that nobody reads would in
//! the end stop the link and everybody on it. Between our own ends each side therefore counts what
//! the other has taken, and has never more than [`CREDIT`] bytes under way: less than the queue holds,
//! so the link never waits for one channel. What was taken is told as extended data of a type of its
//! own (RFC 4254 section 5.2), also after the end of data.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use parking_lot::Mutex;
use russh::{Channel, ChannelId, ChannelMsg, ChannelReadHalf, ChannelWriteHalf};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Notify;

use super::{AHEAD_MAX, Shared, wake};

/// The most bytes of one channel that were sent and not yet taken, each way. As much as OpenSSH's own
/// window, so that a link is no slower than what flows in it.
pub const CREDIT: usize = 2 * 1024 * 1024;
/// How much must have been taken before it is told.
const STEP: usize = CREDIT / 4;
/// The type of the extended data that tells it.
const TAKEN: u32 = 0x5450_4b54;

const _: () = assert!(CREDIT < AHEAD_MAX, "the queue holds all that may be under way");

/// What one end knows of the other's room, and has yet to tell of its own.
#[derive(Default)]
struct Pace {
    state: Mutex<State>,
    due: Notify,
}

struct State {
    /// Bytes that may still be sent.
    credit: usize,
    /// Bytes that were taken and not told yet.
    taken: usize,
    ended: bool,
    writer: Option<Waker>,
}

impl Default for State {
    fn default() -> Self {
        Self { credit: CREDIT, taken: 0, ended: false, writer: None }
    }
}

impl Pace {
    /// Bytes were handed out here.
    fn took(&self, count: usize) {
        let mut state = self.state.lock();
        state.taken += count;
        if state.taken >= STEP {
            self.due.notify_one();
        }
    }

    /// What is to be told now.
    fn to_tell(&self) -> u32 {
        let taken = std::mem::take(&mut self.state.lock().taken);
        u32::try_from(taken).unwrap_or(u32::MAX)
    }

    /// The other end has taken bytes. One that claims more than it was sent gains nothing by it.
    fn told(&self, data: &Bytes) {
        let Ok(count) = <[u8; 4]>::try_from(data.as_ref()) else { return };
        let mut state = self.state.lock();
        state.credit = state.credit.saturating_add(u32::from_be_bytes(count) as usize).min(CREDIT);
        wake(state.writer.take());
    }

    fn end(&self) {
        let mut state = self.state.lock();
        state.ended = true;
        wake(state.writer.take());
    }

    /// How much of `wanted` bytes may be sent now; waits while that is nothing.
    fn poll_credit(&self, cx: &Context<'_>, wanted: usize) -> Poll<io::Result<usize>> {
        let mut state = self.state.lock();
        if state.ended {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        if state.credit == 0 {
            state.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(Ok(state.credit.min(wanted)))
    }

    fn sent(&self, count: usize) {
        let mut state = self.state.lock();
        state.credit = state.credit.saturating_sub(count);
    }
}

/// A channel as a stream of bytes both ways, when the other end is one too.
pub struct Paced {
    shared: Arc<Shared>,
    pace: Arc<Pace>,
    writer: Pin<Box<dyn AsyncWrite + Send>>,
    keeping: tokio::task::JoinHandle<()>,
    close: Option<Box<dyn FnOnce() + Send>>,
}

impl Paced {
    /// Starts reading the channel. Dropping the stream closes it.
    pub fn new<M>(channel: Channel<M>) -> Self
    where
        M: From<(ChannelId, ChannelMsg)> + Send + Sync + 'static,
    {
        let (read, write) = channel.split();
        let writer = Box::pin(write.make_writer());
        let write = Arc::new(write);
        let (shared, pace) = (Arc::<Shared>::default(), Arc::<Pace>::default());
        let ends = (Arc::clone(&shared), Arc::clone(&pace));
        let keeping = tokio::spawn(keep(read, Arc::clone(&write), ends));
        let close = move || {
            if let Ok(runtime) = tokio::runtime::Handle::try_current() {
                runtime.spawn(async move {
                    // Already closed is as good.
                    let _ = write.close().await;
                });
            }
        };
        Self { shared, pace, writer, keeping, close: Some(Box::new(close)) }
    }
}

/// Takes what arrives and tells what was taken, until the channel is closed.
async fn keep<M>(
    mut read: ChannelReadHalf,
    write: Arc<ChannelWriteHalf<M>>,
    (shared, pace): (Arc<Shared>, Arc<Pace>),
) where
    M: From<(ChannelId, ChannelMsg)> + Send + Sync + 'static,
{
    // Telling may have to wait for the connection, which must not keep us from taking what arrives.
    let mut telling: Option<Pin<Box<dyn Future<Output = ()> + Send>>> = None;
    loop {
        let message = tokio::select! {
            message = read.wait() => message,
            () = pace.due.notified(), if telling.is_none() => {
                let (write, taken) = (Arc::clone(&write), pace.to_tell());
                telling = Some(Box::pin(async move {
                    // Whoever is gone need not be told.
                    let _ = write.extended_data_bytes(TAKEN, taken.to_be_bytes().to_vec()).await;
                }));
                continue;
            }
            () = told(&mut telling) => {
                telling = None;
                continue;
            }
        };
        match message {
            Some(ChannelMsg::Data { data }) => {
                shared.push(data);
                // Only a peer that does not keep to its credit makes us wait.
                shared.wait_for_room().await;
            }
            Some(ChannelMsg::ExtendedData { data, ext: TAKEN }) => pace.told(&data),
            Some(ChannelMsg::Eof) => shared.end(),
            Some(ChannelMsg::Close) | None => break,
            Some(_) => {}
        }
    }
    shared.end();
    pace.end();
}

async fn told(telling: &mut Option<Pin<Box<dyn Future<Output = ()> + Send>>>) {
    match telling {
        Some(telling) => telling.await,
        None => std::future::pending().await,
    }
}

impl AsyncRead for Paced {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = self.shared.poll_take(cx, buf);
        self.pace.took(buf.filled().len() - before);
        polled
    }
}

impl AsyncWrite for Paced {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if buf.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let allowed = std::task::ready!(self.pace.poll_credit(cx, buf.len()))?;
        let buf = buf.get(..allowed).unwrap_or_default();
        let written = std::task::ready!(self.writer.as_mut().poll_write(cx, buf))?;
        self.pace.sent(written);
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.writer.as_mut().poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.writer.as_mut().poll_shutdown(cx)
    }
}

impl Drop for Paced {
    fn drop(&mut self) {
        self.keeping.abort();
        if let Some(close) = self.close.take() {
            close();
        }
    }
}

#[cfg(test)]
mod tests;
