//! A TLS greeting looked at without answering it.
//!
//! The web port decides by ALPN who serves a connection. What it passes on unopened must reach the
//! other side byte for byte, so the bytes read so far are kept and given back in front.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, ReadBuf};

/// The longest greeting, in bytes. Real ones have a few hundred, with post-quantum keys two thousand.
pub const HELLO_MAX: usize = 16 * 1024;

/// What a greeting asks for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Hello {
    /// Protocols offered, in the client's order.
    pub alpn: Vec<Vec<u8>>,
    /// The name asked for.
    pub server_name: Option<String>,
}

impl Hello {
    /// Whether the client offers this protocol.
    pub fn offers(&self, protocol: &[u8]) -> bool {
        self.alpn.iter().any(|offered| offered == protocol)
    }
}

/// A stream whose first bytes are given back before it is read on.
#[derive(Debug)]
pub struct Rewound<S> {
    first: Bytes,
    stream: S,
}

impl<S> Rewound<S> {
    /// `first` in front of `stream`.
    pub fn new(first: Bytes, stream: S) -> Self {
        Self { first, stream }
    }

    /// The bytes that were read, and the stream that goes on after them.
    pub fn into_parts(self) -> (Bytes, S) {
        (self.first, self.stream)
    }
}

/// Reads a greeting.
///
/// # Errors
/// What is no TLS greeting, or a longer one than [`HELLO_MAX`], is invalid data; a closed connection
/// is an unexpected end. The caller bounds the time.
pub async fn read<S: AsyncRead + Unpin>(mut stream: S) -> io::Result<(Hello, Rewound<S>)> {
    let mut acceptor = rustls::server::Acceptor::default();
    let mut bytes = BytesMut::with_capacity(2048);
    loop {
        let before = bytes.len();
        if before >= HELLO_MAX {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the TLS greeting is too long"));
        }
        if stream.read_buf(&mut bytes).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut fresh = bytes.get(before..).unwrap_or_default();
        while !fresh.is_empty() {
            acceptor.read_tls(&mut fresh)?;
            let accepted =
                acceptor.accept().map_err(|(error, _)| io::Error::new(io::ErrorKind::InvalidData, error))?;
            if let Some(accepted) = accepted {
                let greeting = accepted.client_hello();
                let alpn = greeting.alpn().map(|offered| offered.map(<[u8]>::to_vec).collect());
                let hello = Hello {
                    alpn: alpn.unwrap_or_default(),
                    server_name: greeting.server_name().map(str::to_owned),
                };
                return Ok((hello, Rewound::new(bytes.freeze(), stream)));
            }
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Rewound<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.first.is_empty() {
            return Pin::new(&mut self.stream).poll_read(cx, buf);
        }
        let taken = self.first.len().min(buf.remaining());
        buf.put_slice(self.first.get(..taken).unwrap_or_default());
        self.first.advance(taken);
        if self.first.is_empty() {
            // The stream may last for days.
            self.first = Bytes::new();
        }
        Poll::Ready(Ok(()))
    }
}

crate::write_through!(Rewound<S>);

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::io::AsyncWriteExt;

    use super::*;

    fn greeting(alpn: &[&[u8]]) -> Vec<u8> {
        crate::install_crypto();
        let mut config = rustls::ClientConfig::builder()
            .with_root_certificates(rustls::RootCertStore::empty())
            .with_no_client_auth();
        config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
        let name = "auth.teleport.internal".try_into().unwrap();
        let mut client = rustls::ClientConnection::new(Arc::new(config), name).unwrap();
        let mut bytes = Vec::new();
        client.write_tls(&mut bytes).unwrap();
        bytes
    }

    #[tokio::test]
    async fn a_greeting_is_read_and_given_back_whole() {
        let bytes = greeting(&[crate::alpn::AUTH, crate::alpn::HTTP2]);
        let (mut client, server) = tokio::io::duplex(64);
        let sent = bytes.clone();
        tokio::spawn(async move {
            client.write_all(&sent).await.unwrap();
            client.write_all(b"more").await.unwrap();
        });
        let (hello, mut rewound) = read(server).await.unwrap();
        assert!(hello.offers(crate::alpn::AUTH) && !hello.offers(crate::alpn::TUNNEL));
        assert_eq!(hello.server_name.as_deref(), Some("auth.teleport.internal"));
        let mut all = Vec::new();
        rewound.read_to_end(&mut all).await.unwrap();
        assert_eq!(all, [bytes.as_slice(), b"more"].concat());
    }

    #[tokio::test]
    async fn what_is_no_tls_is_invalid() {
        for garbage in [
            b"GET / HTTP/1.1\r\n\r\n".to_vec(),
            b"SSH-2.0-x\r\n".to_vec(),
            vec![0x16, 3, 1, 0xff, 0xff, 1, 2, 3],
            vec![0; 64],
        ] {
            let outcome = read(garbage.as_slice()).await;
            assert!(outcome.is_err());
        }
    }

    #[tokio::test]
    async fn a_cut_greeting_is_an_unexpected_end() {
        let bytes = greeting(&[crate::alpn::AUTH]);
        for cut in [0, 1, 5, bytes.len() - 1] {
            let error = read(bytes.get(..cut).unwrap()).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof, "{cut}");
        }
    }
}
