//! Where a connection came from that somebody passes on: the preface of the PROXY protocol, version 2
//! (haproxy.org, proxy-protocol.txt, section 2.2).
//!
//! Anybody can write one. Whether it is believed is decided by whoever reads it: from a proxy, which
//! has proven to be one, and from nobody else.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

/// What it begins with; nothing else that is spoken here does.
const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
/// The length of what comes before the addresses.
const HEAD: usize = 16;
/// Version 2, and a connection on behalf of another.
const PROXIED: u8 = 0x21;
/// Version 2, and a connection of the proxy's own, such as a health check.
const LOCAL: u8 = 0x20;
/// TCP over IPv4.
const TCP4: u8 = 0x11;
/// TCP over IPv6.
const TCP6: u8 = 0x21;
/// The longest that is read: addresses and what others may add to them.
const MAX: usize = 536;

/// The preface for a connection of `source` that reached `local`.
pub fn write(source: SocketAddr, local: SocketAddr) -> Vec<u8> {
    let mut preface = SIGNATURE.to_vec();
    match (source.ip().to_canonical(), local.ip().to_canonical()) {
        (IpAddr::V4(source), IpAddr::V4(local)) => {
            preface.extend([PROXIED, TCP4, 0, 12]);
            preface.extend(source.octets());
            preface.extend(local.octets());
        }
        (source, local) => {
            preface.extend([PROXIED, TCP6, 0, 36]);
            preface.extend(six(source).octets());
            preface.extend(six(local).octets());
        }
    }
    preface.extend(source.port().to_be_bytes());
    preface.extend(local.port().to_be_bytes());
    preface
}

fn six(address: IpAddr) -> Ipv6Addr {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped(),
        IpAddr::V6(v6) => v6,
    }
}

/// Reads the preface off a connection and returns the source it names; none when there is no preface,
/// and then nothing was read, or when it names nobody. The caller sets the deadline.
///
/// # Errors
/// The connection ended, or what begins like a preface is none.
pub async fn read(stream: &mut TcpStream) -> io::Result<Option<SocketAddr>> {
    let mut first = [0];
    if stream.peek(&mut first).await? == 0 || !SIGNATURE.starts_with(&first) {
        return Ok(None);
    }
    let mut head = [0; HEAD];
    stream.read_exact(&mut head).await?;
    let (command, family, length) = parse_head(head)?;
    let mut rest = vec![0; length];
    stream.read_exact(&mut rest).await?;
    if command == LOCAL { Ok(None) } else { parse_source(family, &rest) }
}

/// Command, family and the length of what follows.
fn parse_head(head: [u8; HEAD]) -> io::Result<(u8, u8, usize)> {
    let [signature @ .., command, family, high, low] = head;
    let length = usize::from(u16::from_be_bytes([high, low]));
    let known = signature == SIGNATURE && matches!(command, PROXIED | LOCAL) && length <= MAX;
    if known { Ok((command, family, length)) } else { Err(io::ErrorKind::InvalidData.into()) }
}

fn parse_source(family: u8, addresses: &[u8]) -> io::Result<Option<SocketAddr>> {
    let short = || io::Error::from(io::ErrorKind::InvalidData);
    let (ip, port) = match family {
        TCP4 if addresses.len() >= 12 => {
            let (source, rest) = addresses.split_first_chunk::<4>().ok_or_else(short)?;
            (IpAddr::V4(Ipv4Addr::from(*source)), rest.get(4..6))
        }
        TCP6 if addresses.len() >= 36 => {
            let (source, rest) = addresses.split_first_chunk::<16>().ok_or_else(short)?;
            (IpAddr::V6(Ipv6Addr::from(*source)).to_canonical(), rest.get(16..18))
        }
        TCP4 | TCP6 => return Err(short()),
        _ => return Ok(None),
    };
    let port = port.and_then(|port| port.first_chunk::<2>()).ok_or_else(short)?;
    Ok(Some(SocketAddr::new(ip, u16::from_be_bytes(*port))))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tokio::io::AsyncWriteExt;
    use tokio::net::TcpListener;

    use super::*;

    /// What is read of these bytes, and what is left behind.
    async fn read_of(bytes: &[u8]) -> (io::Result<Option<SocketAddr>>, Vec<u8>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (mut stream, _) = listener.accept().await.unwrap();
        client.write_all(bytes).await.unwrap();
        client.shutdown().await.unwrap();
        let outcome = read(&mut stream).await;
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).await.unwrap();
        (outcome, rest)
    }

    #[tokio::test]
    async fn the_source_is_read_back_and_what_follows_left() {
        for (source, local) in [
            ("192.0.2.7:40000", "10.0.0.1:3080"),
            ("[2001:db8::7]:1", "[2001:db8::1]:3080"),
            ("[::ffff:192.0.2.7]:5", "10.0.0.1:3080"),
            ("192.0.2.7:40000", "[2001:db8::1]:3080"),
        ] {
            let (source, local): (SocketAddr, SocketAddr) = (source.parse().unwrap(), local.parse().unwrap());
            let mut bytes = write(source, local);
            bytes.extend(b"\x16 and so on");
            let (told, rest) = read_of(&bytes).await;
            assert_eq!(told.unwrap(), Some(SocketAddr::new(source.ip().to_canonical(), source.port())));
            assert_eq!(rest, b"\x16 and so on");
        }
    }

    #[tokio::test]
    async fn nothing_is_read_of_what_is_no_preface() {
        for bytes in [b"\x16\x03\x01".as_slice(), b"GET / HTTP/1.1\r\n\r\n", b""] {
            let (told, rest) = read_of(bytes).await;
            assert_eq!((told.unwrap(), rest.as_slice()), (None, bytes));
        }
    }

    #[tokio::test]
    async fn a_damaged_preface_is_an_error() {
        let whole = write("192.0.2.7:40000".parse().unwrap(), "10.0.0.1:3080".parse().unwrap());
        for end in 1..whole.len() {
            assert!(read_of(whole.get(..end).unwrap()).await.0.is_err(), "{end}");
        }
        for (at, value) in [(3, b'x'), (12, 0x11), (12, 0x22), (14, 0xff), (15, 11)] {
            let mut damaged = whole.clone();
            *damaged.get_mut(at).unwrap() = value;
            damaged.extend([0; 20]);
            assert!(read_of(&damaged).await.0.is_err(), "{at}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_are_too_strange(head in any::<[u8; HEAD]>(), family: u8, rest in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = parse_head(head);
            let _ = parse_source(family, &rest);
        }
    }
}
