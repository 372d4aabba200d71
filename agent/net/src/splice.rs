//! Carrying bytes between two TCP connections, cheap while nothing flows.
//!
//! A proxy holds one such pair per agent for the agent's calls to auth, nearly always idle. A buffer
//! is taken only when there is something to read and given back when it is written.

use std::future::Future;
use std::io;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};

/// Bytes carried at a time.
const BUFFER: usize = 16 * 1024;
/// How long one side may go on after the other has ended. What is carried is TLS, where the end of one
/// direction is the end of both; a client that stays all the same must not hold two connections.
const LINGER: Duration = Duration::from_secs(10);

/// Carries bytes both ways until both sides have ended, or one has for [`LINGER`].
///
/// # Errors
/// The first I/O error, or that a side did not end in time; then both connections are closed.
pub async fn splice(mut a: TcpStream, mut b: TcpStream) -> io::Result<()> {
    let (a_read, a_write) = a.split();
    let (b_read, b_write) = b.split();
    let (up, down) = (carry(a_read, b_write), carry(b_read, a_write));
    tokio::pin!(up, down);
    tokio::select! {
        ended = &mut up => {
            ended?;
            in_time(down).await
        }
        ended = &mut down => {
            ended?;
            in_time(up).await
        }
    }
}

async fn in_time(rest: impl Future<Output = io::Result<()>>) -> io::Result<()> {
    tokio::time::timeout(LINGER, rest).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

async fn carry(from: ReadHalf<'_>, mut to: WriteHalf<'_>) -> io::Result<()> {
    loop {
        from.readable().await?;
        let mut buffer = Vec::with_capacity(BUFFER);
        match from.try_read_buf(&mut buffer) {
            Ok(0) => return to.shutdown().await,
            Ok(_) => to.write_all(&buffer).await?,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    async fn connected() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (client, listener.accept().await.unwrap().0)
    }

    #[tokio::test]
    async fn bytes_pass_both_ways_and_each_end_is_passed_on() {
        let ((mut left, near), (mut right, far)) = (connected().await, connected().await);
        let splicing = tokio::spawn(splice(near, far));
        let sent: Vec<u8> = (0..1_000_000u32).map(|n| n as u8).collect();
        let expected = sent.clone();
        let writing = tokio::spawn(async move {
            left.write_all(&sent).await.unwrap();
            left.shutdown().await.unwrap();
            let mut answer = String::new();
            left.read_to_string(&mut answer).await.unwrap();
            answer
        });
        let mut received = Vec::new();
        right.read_to_end(&mut received).await.unwrap();
        assert_eq!(received, expected);
        right.write_all(b"answer").await.unwrap();
        drop(right);
        assert_eq!(writing.await.unwrap(), "answer");
        splicing.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn a_side_that_stays_when_the_other_is_gone_is_given_up() {
        let ((mut silent, near), (right, far)) = (connected().await, connected().await);
        let splicing = tokio::spawn(splice(near, far));
        drop(right);
        // The end was passed on, so the splice knows of it: from here on only its patience counts.
        assert_eq!(silent.read(&mut [0]).await.unwrap(), 0);
        tokio::time::pause();
        assert_eq!(splicing.await.unwrap().unwrap_err().kind(), io::ErrorKind::TimedOut);
    }
}
