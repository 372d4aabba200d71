//! Acknowledging at once what a client says first.
//!
//! OpenSSH's client leaves Nagle's algorithm on until its session has begun (RFC 896): its next small
//! message waits until the one before was acknowledged. A server that has nothing to answer yet delays
//! its acknowledgement (RFC 1122, section 4.2.3.2), so the two wait for each other, for 40 ms on Linux,
//! while keys are exchanged. The services that such clients speak to wrap their streams in this.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use rustix::net::sockopt::set_tcp_quickack;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::TcpStream;

/// So many reads are acknowledged at once: more than exchanging keys and signing in take.
const READS: u8 = 128;

/// A connection whose first messages are acknowledged as they are read.
#[derive(Debug)]
pub struct Prompt {
    stream: TcpStream,
    left: u8,
}

impl Prompt {
    /// A connection from its beginning on.
    pub fn new(stream: TcpStream) -> Self {
        Self { stream, left: READS }
    }
}

impl AsyncRead for Prompt {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        if self.left > 0 {
            self.left -= 1;
            // Linux forgets it whenever something is sent. Where it fails, the client merely waits.
            let _ = set_tcp_quickack(&self.stream, true);
        }
        Poll::Ready(Ok(()))
    }
}

crate::write_through!(Prompt);

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt};
    use tokio::net::TcpListener;
    use tokio::time::Instant;

    use super::*;

    /// Twenty rounds of two small messages and an answer, with a client that leaves Nagle's algorithm on.
    async fn rounds<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
        server: impl FnOnce(TcpStream) -> S,
    ) -> Duration {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (accepted, _) = listener.accept().await.unwrap();
        accepted.set_nodelay(true).unwrap();
        let mut server = server(accepted);
        let started = Instant::now();
        let serving = tokio::spawn(async move {
            for _ in 0..20 {
                server.read_exact(&mut [0; 2]).await.unwrap();
                server.write_all(b"!").await.unwrap();
            }
        });
        for _ in 0..20 {
            client.write_all(b"a").await.unwrap();
            // Only a message that was read can be acknowledged.
            tokio::time::sleep(Duration::from_millis(2)).await;
            client.write_all(b"b").await.unwrap();
            client.read_exact(&mut [0]).await.unwrap();
        }
        serving.await.unwrap();
        started.elapsed()
    }

    #[tokio::test]
    async fn a_client_with_nagles_algorithm_is_not_kept_waiting() {
        let (prompt, plain) = tokio::join!(rounds(Prompt::new), rounds(|stream| stream));
        // Where the system does not delay, in 20 rounds of 40 ms, there is nothing to do better.
        let delays = plain > Duration::from_millis(600);
        assert!(!delays || prompt < plain * 2 / 3, "{prompt:?}, and {plain:?} without");
    }
}
