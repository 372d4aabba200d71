//! Byte streams that have already been accepted or dialled, and who takes them over.

use std::net::SocketAddr;

use async_trait::async_trait;
use tokio::io::{AsyncRead, AsyncWrite};

/// Bytes both ways.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin + 'static {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin + 'static> Stream for T {}

/// A stream of whatever make.
pub type BoxedStream = Box<dyn Stream>;

/// Where a stream comes from and what it reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Origin {
    /// The client: as a trusted proxy reported it, when it came through one.
    pub peer: SocketAddr,
    /// The address it reached here.
    pub local: SocketAddr,
    /// Whether it came through a reverse tunnel.
    pub tunnelled: bool,
}

/// Takes streams over: an SSH server takes what the tunnel brings, the tunnel what the web port does.
#[async_trait]
pub trait Serve: Send + Sync + 'static {
    /// Serves one stream to its end.
    async fn serve(&self, stream: BoxedStream, origin: Origin);
}
