//! Accepting for as long as it can go on.
//!
//! Most failures of `accept` pass: no descriptors or memory left, a connection that was gone before it
//! was taken. They are waited out, as `net::listen` does. Called by what listens for clients: `-R` and
//! forwarded agents.

use std::io;
use std::time::Duration;

use rustix::io::Errno;

/// How long to wait after accepting failed, for descriptors or memory to come back.
const PAUSE: Duration = Duration::from_millis(100);

/// The next connection. An error means that there will never be one.
///
/// # Errors
/// Those of a socket that does not listen any more.
pub(crate) async fn patiently<T, F>(mut accept: impl FnMut() -> F) -> io::Result<T>
where
    F: Future<Output = io::Result<T>>,
{
    loop {
        match accept().await {
            Err(error) if !is_final(&error) => {
                tracing::warn!(%error, "cannot accept a connection to be forwarded; trying again");
                tokio::time::sleep(PAUSE).await;
            }
            outcome => return outcome,
        }
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
        let began = tokio::time::Instant::now();
        let accepted =
            patiently(|| std::future::ready(answers.next().map_or(Ok(7), |no| Err(no.into())))).await;
        assert_eq!(accepted.unwrap(), 7);
        assert_eq!(began.elapsed(), PAUSE * 5, "not in a circle that burns the processor");
    }

    #[tokio::test]
    async fn a_socket_that_does_not_listen_any_more_is_the_end() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        rustix::net::shutdown(&listener, rustix::net::Shutdown::Both).unwrap();
        let accepted = tokio::time::timeout(Duration::from_secs(60), patiently(|| listener.accept())).await;
        assert!(accepted.expect("no trying for ever").is_err());
    }
}
