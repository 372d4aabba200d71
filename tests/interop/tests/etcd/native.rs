//! The world outside the plugin, natively: HTTP over a socket of its own for each request, and a clock that
//! can be moved.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use storage_etcd::outside::{Outside, Stream};
use teleport_plugin_sdk::http::{Error, Part, Request, Response};
use teleport_tests_interop::storage::{MovedClock, Time};

/// The world outside.
#[derive(Debug, Clone)]
pub(crate) struct Native {
    time: Time,
}

impl Native {
    pub(crate) fn new(clock: &MovedClock) -> Self {
        Self { time: Time::new(clock) }
    }
}

impl Outside for Native {
    type Stream = Answering;

    fn send(&mut self, request: &Request<'_>) -> Result<Response, Error> {
        let end = self.monotonic() + request.timeout;
        let mut answer = self.open(request)?;
        let mut body = Vec::new();
        loop {
            match answer.read(end.saturating_sub(self.monotonic()))? {
                Part::Bytes(bytes) => body.extend_from_slice(&bytes),
                Part::Nothing => return Err(Error::TimedOut),
                Part::End => break,
            }
            if body.len() > request.answer_max {
                return Err(Error::TooLarge(request.answer_max));
            }
        }
        Ok(Response { status: answer.status, headers: Vec::new(), body })
    }

    fn open(&mut self, request: &Request<'_>) -> Result<Answering, Error> {
        let (authority, path) = request.url.strip_prefix("http://").unwrap().split_once('/').unwrap();
        let not_sent = |error: std::io::Error| Error::NotSent(error.to_string());
        let address = authority.to_socket_addrs().map_err(not_sent)?.next().unwrap();
        let mut socket = TcpStream::connect_timeout(&address, request.connect).map_err(not_sent)?;
        socket.set_nodelay(true).map_err(not_sent)?;
        socket.set_write_timeout(Some(request.timeout)).map_err(not_sent)?;
        let mut head = format!("POST /{path} HTTP/1.1\r\nhost: {authority}\r\nconnection: close\r\n");
        for (name, value) in request.headers {
            head += &format!("{name}: {value}\r\n");
        }
        head += &format!("content-length: {}\r\n\r\n", request.body.len());
        let lost = |error: std::io::Error| Error::Lost(error.to_string());
        socket.write_all(&[head.as_bytes(), request.body].concat()).map_err(lost)?;
        Answering::begin(socket, request.timeout)
    }

    fn now(&self) -> u64 {
        self.time.now()
    }

    fn monotonic(&self) -> Duration {
        self.time.monotonic()
    }
}

/// How a body ends.
#[derive(Debug, Clone, Copy)]
enum Body {
    /// After so many bytes.
    Left(usize),
    /// After an empty chunk; so many bytes of this one are left.
    Chunked(usize),
    /// With the connection.
    Whole,
}

/// An answer (RFC 9112), as far as it came.
#[derive(Debug)]
pub(crate) struct Answering {
    status: u16,
    socket: TcpStream,
    came: Vec<u8>,
    body: Body,
    closed: bool,
}

impl Answering {
    fn begin(socket: TcpStream, timeout: Duration) -> Result<Self, Error> {
        let mut answer = Self { status: 0, socket, came: Vec::new(), body: Body::Whole, closed: false };
        let end = loop {
            if let Some(end) = answer.came.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                break end;
            }
            if answer.closed {
                return Err(Error::Lost("closed before an answer".to_owned()));
            }
            if !answer.more(timeout)? {
                return Err(Error::TimedOut);
            }
        };
        let head = String::from_utf8_lossy(&answer.came[..end]).to_ascii_lowercase();
        answer.came.drain(..end + 4);
        let garbled = || Error::Lost(format!("no HTTP: {head}"));
        answer.status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or_else(garbled)?;
        let header = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        if header("transfer-encoding:") == Some("chunked") {
            answer.body = Body::Chunked(0);
        } else if let Some(length) = header("content-length:") {
            answer.body = Body::Left(length.parse().map_err(|_| garbled())?);
        }
        Ok(answer)
    }

    /// Reads on; false when nothing came in time.
    fn more(&mut self, wait: Duration) -> Result<bool, Error> {
        let lost = |error: std::io::Error| Error::Lost(error.to_string());
        self.socket.set_read_timeout(Some(wait.max(Duration::from_millis(1)))).map_err(lost)?;
        let mut piece = [0; 64 * 1024];
        match self.socket.read(&mut piece) {
            Ok(0) => self.closed = true,
            Ok(length) => self.came.extend_from_slice(&piece[..length]),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                return Ok(false);
            }
            Err(error) => return Err(lost(error)),
        }
        Ok(true)
    }

    /// What of the body is there already; none when more must come first.
    fn take(&mut self) -> Option<Part> {
        match self.body {
            Body::Left(0) => Some(Part::End),
            Body::Whole if self.came.is_empty() && self.closed => Some(Part::End),
            _ if self.came.is_empty() => None,
            Body::Whole => Some(Part::Bytes(std::mem::take(&mut self.came))),
            Body::Left(left) => {
                let bytes: Vec<_> = self.came.drain(..left.min(self.came.len())).collect();
                self.body = Body::Left(left - bytes.len());
                Some(Part::Bytes(bytes))
            }
            Body::Chunked(0) => {
                let start = self.came.iter().position(|byte| !b"\r\n".contains(byte))?;
                let end = start + self.came[start..].windows(2).position(|bytes| bytes == b"\r\n")?;
                let size =
                    usize::from_str_radix(std::str::from_utf8(&self.came[start..end]).unwrap(), 16).unwrap();
                self.came.drain(..end + 2);
                self.body = if size == 0 { Body::Left(0) } else { Body::Chunked(size) };
                self.take()
            }
            Body::Chunked(left) => {
                let bytes: Vec<_> = self.came.drain(..left.min(self.came.len())).collect();
                self.body = Body::Chunked(left - bytes.len());
                Some(Part::Bytes(bytes))
            }
        }
    }
}

impl Stream for Answering {
    fn status(&self) -> u16 {
        self.status
    }

    fn read(&mut self, wait: Duration) -> Result<Part, Error> {
        loop {
            if let Some(part) = self.take() {
                return Ok(part);
            }
            if self.closed {
                return Err(Error::Lost("closed in the middle of an answer".to_owned()));
            }
            if !self.more(wait)? {
                return Ok(Part::Nothing);
            }
        }
    }
}
