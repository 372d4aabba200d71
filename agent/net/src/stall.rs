//! A stream that gives up writing to somebody who takes nothing.
//!
//! TCP alone goes on for a quarter of an hour where the network swallows everything, and for ever where the other end
//! lives and never reads. A library that asks whether the other end lives only when it is not writing does not notice
//! either.
//!
//! Whoever begins a write sees it through: one that was given up counts as waiting on.

use std::future::Future as _;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

/// A stream on which no write waits for ever.
#[derive(Debug)]
pub struct StallGuard<S> {
    stream: S,
    limit: Duration,
    /// When the write that waits began to.
    since: Option<Instant>,
    /// Set anew only when it is up: writes that wait a moment are many.
    alarm: Option<Pin<Box<Sleep>>>,
}

impl<S> StallGuard<S> {
    /// Writing fails with `TimedOut` once nothing has been taken for this long.
    pub fn new(stream: S, limit: Duration) -> Self {
        Self { stream, limit, since: None, alarm: None }
    }

    fn watch<T>(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.since = None;
            return written;
        }
        let end = *self.since.get_or_insert_with(Instant::now) + self.limit;
        let alarm = self.alarm.get_or_insert_with(|| Box::pin(sleep_until(end)));
        while alarm.as_mut().poll(cx).is_ready() {
            if alarm.deadline() >= end {
                let text = format!("the other end has taken nothing for {} s", self.limit.as_secs());
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, text)));
            }
            alarm.as_mut().reset(end);
        }
        Poll::Pending
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for StallGuard<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

crate::write_through!(StallGuard<S>, then watch);

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};
    use tokio::time::sleep;

    use super::*;

    const LIMIT: Duration = Duration::from_secs(60);

    #[tokio::test(start_paused = true)]
    async fn whoever_takes_a_little_now_and_then_is_waited_for_and_nobody_else() {
        let (near, mut far) = duplex(4);
        let mut stream = StallGuard::new(near, LIMIT);
        let began = Instant::now();
        let taking = tokio::spawn(async move {
            for _ in 0..5 {
                sleep(LIMIT * 2 / 3).await;
                far.read_exact(&mut [0; 4]).await.unwrap();
            }
            far
        });
        let error = stream.write_all(&[0; 400]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(error.to_string(), "the other end has taken nothing for 60 s");
        assert_eq!(began.elapsed().as_secs(), (LIMIT * 2 / 3 * 5 + LIMIT).as_secs());
        drop(taking.await.unwrap());
    }
}
