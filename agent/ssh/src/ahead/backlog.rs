//! What waits on one client's connection, and how the client is slowed down by it.
//!
//! russh gives a channel's window back as bytes arrive, taken or not, and there is no way to give it
//! back later. To stop reading instead would be wrong: what the client allows *us* to send arrives the
//! same way, so a program that answers while it is written to would wait for its client, and the client
//! for us, for ever. So everything is read, and once too much waits, the window that is given back
//! shrinks to [`TRICKLE`] bytes: a client that keeps to the protocol then sends next to nothing, and
//! each of its tiny packets asks anew whether there is room. [`Patient`] makes those rare.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, ReadBuf};
use tokio::sync::Notify;
use tokio::sync::futures::Notified;
use tokio::time::Sleep;

use crate::config::WINDOW;
use crate::offer::Heard;

/// Bytes that may wait on one connection before its client is slowed down.
pub const FULL: usize = 4 * 1024 * 1024;
/// The window of a client that is slowed down, in bytes. It is given back when it is used up; one byte
/// would never be, because russh gives back what is less than half.
const TRICKLE: u32 = 2;
/// Reads of so many bytes or fewer are those of a client that was slowed down.
const SMALL: usize = 256;
/// So many small reads in a row, and the client is let wait. A packet is read in two or three.
const SMALL_READS: u32 = 8;
/// For how long.
const PAUSE: Duration = Duration::from_millis(20);

/// The most bytes that wait on one connection, in the queues of all its channels.
pub const CONNECTION_MAX: usize = 64 * 1024 * 1024;

const _: () = assert!(super::AHEAD_MAX < CONNECTION_MAX, "one channel meets its own bound first");

/// The bytes that wait in all queues of one connection. Clones count the same ones.
#[derive(Debug, Clone, Default)]
pub struct Backlog(Arc<Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    bytes: AtomicUsize,
    room: Notify,
}

impl Backlog {
    /// The window the client's channels are given from now on; what russh asks for by
    /// `adjust_window`.
    pub fn window(&self) -> u32 {
        if self.is_full() { TRICKLE } else { WINDOW }
    }

    pub(super) fn add(&self, count: usize) {
        self.0.bytes.fetch_add(count, Ordering::Relaxed);
    }

    pub(super) fn subtract(&self, count: usize) {
        let before = self.0.bytes.fetch_sub(count, Ordering::Relaxed);
        if before >= CONNECTION_MAX && before - count < CONNECTION_MAX {
            self.0.room.notify_waiters();
        }
    }

    /// Whether the connection may hold more.
    pub(super) fn has_room(&self) -> bool {
        self.bytes() < CONNECTION_MAX
    }

    /// Ends when a connection that could not hold more can.
    pub(super) fn room(&self) -> Notified<'_> {
        self.0.room.notified()
    }

    /// Whether the client is to be slowed down.
    fn is_full(&self) -> bool {
        self.bytes() >= FULL
    }

    pub(super) fn bytes(&self) -> usize {
        self.0.bytes.load(Ordering::Relaxed)
    }
}

/// A client's stream on which tiny packets are read with pauses while too much waits.
#[derive(Debug)]
pub struct Patient<S> {
    stream: S,
    backlog: Backlog,
    heard: Heard,
    small_reads: u32,
    pause: Option<Pin<Box<Sleep>>>,
}

impl<S> Patient<S> {
    /// The stream of the connection whose queues the backlog counts; `heard` counts what is read.
    pub fn new(stream: S, backlog: Backlog, heard: Heard) -> Self {
        Self { stream, backlog, heard, small_reads: 0, pause: None }
    }

    fn poll_pause(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.small_reads >= SMALL_READS && self.backlog.is_full() {
            let pause = self.pause.get_or_insert_with(|| Box::pin(tokio::time::sleep(PAUSE)));
            ready!(pause.as_mut().poll(cx));
            self.small_reads = 0;
        }
        self.pause = None;
        Poll::Ready(())
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Patient<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(self.poll_pause(cx));
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        let read = buf.filled().len() - before;
        self.heard.add(read);
        let small = read <= SMALL;
        self.small_reads = if small { self.small_reads.saturating_add(1) } else { 0 };
        Poll::Ready(Ok(()))
    }
}

net::write_through!(Patient<S>);
