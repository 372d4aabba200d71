//! Asks a daemon how it is: `GET /readyz` on its diagnostics port, by hand, for it is four lines.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// How long an answer may take.
const ANSWER: Duration = Duration::from_secs(2);
/// How much of an answer is read.
const ANSWER_MAX: u64 = 64 << 10;

/// What a daemon says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Health {
    /// All of it works.
    Ready,
    /// Not yet, or not any more; with what it says about it.
    NotReady(String),
}

/// Asks. What is not (yet) there is not ready.
pub(crate) fn ask(address: SocketAddr) -> Health {
    match request(address) {
        Ok(answer) => read(&answer),
        Err(error) => Health::NotReady(format!("{address} does not answer: {error}")),
    }
}

fn request(address: SocketAddr) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, ANSWER)?;
    stream.set_read_timeout(Some(ANSWER))?;
    stream.set_write_timeout(Some(ANSWER))?;
    write!(stream, "GET /readyz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.take(ANSWER_MAX).read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

fn read(answer: &str) -> Health {
    let status = answer.split_ascii_whitespace().nth(1);
    if status == Some("200") {
        return Health::Ready;
    }
    let body = answer.split_once("\r\n\r\n").map_or(answer, |(_, body)| body);
    Health::NotReady(body.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_200_is_ready_and_the_rest_says_why() {
        assert_eq!(read("HTTP/1.1 200 OK\r\nx: y\r\n\r\n{}"), Health::Ready);
        assert_eq!(
            read("HTTP/1.1 503 Service Unavailable\r\n\r\n{\"status\":\"200\"}"),
            Health::NotReady("{\"status\":\"200\"}".into())
        );
        assert_eq!(read(""), Health::NotReady(String::new()));
    }
}
