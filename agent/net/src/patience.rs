//! Accepting for as long as it can go on.
//!
//! Most failures of `accept` pass: no descriptors or memory left, a connection that was gone before it
//! was taken. They are waited out, and told of at the first and then at most once a minute, for a descriptor
//! table may be full for hours and many listen. Called by [`crate::listen`], and by the node for what listens
//! for clients.

use std::io;
use std::time::Duration;

use parking_lot::Mutex;
use rustix::io::Errno;
use tokio::time::Instant;

/// How long to wait after accepting failed, for descriptors or memory to come back.
const PAUSE: Duration = Duration::from_millis(100);

/// How long nothing more is told.
const QUIET: Duration = Duration::from_secs(60);

/// How failures to accept are waited out. All who share one tell of them as one.
#[derive(Debug, Default)]
pub struct Patience {
    told: Mutex<Option<Instant>>,
}

impl Patience {
    /// After accepting failed: tells of it, unless that was told in the last minute, and waits for what is
    /// missing to come back. `what` is what cannot be accepted.
    pub async fn wait_out(&self, what: &str, error: &io::Error) {
        if self.is_to_be_told() {
            tracing::warn!(%error, "cannot accept {what}; trying again ten times a second, and saying so once a minute");
        }
        tokio::time::sleep(PAUSE).await;
    }

    /// The next connection of a listener that may end. An error means that there will never be one.
    ///
    /// # Errors
    /// Those of a socket that does not listen any more.
    pub async fn accept<T, F>(&self, what: &str, mut accept: impl FnMut() -> F) -> io::Result<T>
    where
        F: Future<Output = io::Result<T>>,
    {
        loop {
            match accept().await {
                Err(error) if !is_final(&error) => self.wait_out(what, &error).await,
                outcome => return outcome,
            }
        }
    }

    fn is_to_be_told(&self) -> bool {
        let (now, mut told) = (Instant::now(), self.told.lock());
        let is_due = told.is_none_or(|told| now.duration_since(told) >= QUIET);
        if is_due {
            *told = Some(now);
        }
        is_due
    }
}

/// accept(2): what does not pass by waiting.
fn is_final(error: &io::Error) -> bool {
    let last = [Errno::INVAL, Errno::BADF, Errno::NOTSOCK, Errno::OPNOTSUPP];
    Errno::from_io_error(error).is_some_and(|number| last.contains(&number))
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_passes_is_waited_out() {
        let passing = [Errno::MFILE, Errno::NFILE, Errno::CONNABORTED, Errno::NOBUFS, Errno::PERM];
        let mut answers = passing.into_iter();
        let began = Instant::now();
        let next = || std::future::ready(answers.next().map_or(Ok(7), |no| Err(no.into())));
        assert_eq!(Patience::default().accept("a connection", next).await.unwrap(), 7);
        assert_eq!(began.elapsed(), PAUSE * 5, "not in a circle that burns the processor");
    }

    #[tokio::test]
    async fn a_socket_that_does_not_listen_any_more_is_the_end() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        rustix::net::shutdown(&listener, rustix::net::Shutdown::Both).unwrap();
        let patience = Patience::default();
        let accepting = patience.accept("a connection", || listener.accept());
        let accepted = tokio::time::timeout(Duration::from_secs(60), accepting).await;
        assert!(accepted.expect("no trying for ever").is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_failure_is_told_and_then_one_in_a_minute() {
        let patience = Patience::default();
        let mut told = 0;
        // Ten times a second, for two minutes.
        for _ in 0..1200 {
            told += u32::from(patience.is_to_be_told());
            tokio::time::advance(PAUSE).await;
        }
        assert_eq!(told, 2);
        tokio::time::advance(QUIET).await;
        assert!(patience.is_to_be_told());
    }
}
