//! Requests to other machines, over `wasi:http/outgoing-handler`.
//!
//! The manifest must ask for `http`, the operator grants hosts. Connections, TLS with its authorities
//! and client certificates, proxies and the check of every address are the host's business; it
//! follows no redirect. Here is a small client that blocks: [`send`] for a whole exchange, [`open`] for
//! an answer that is read as it comes. Every wait has an end, every answer a size.

use std::time::Duration;

mod error;
mod exchange;
mod url;

pub use error::Error;
pub use exchange::{Answering, Part};

/// How a request is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Asks for something. The host sends it once more where the connection ends before the answer begins: one that is
    /// kept may be closed at the moment it is used again.
    Get,
    /// Sends something.
    Post,
    /// Replaces something.
    Put,
    /// Removes something.
    Delete,
}

/// A request to be.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// How.
    pub method: Method,
    /// `https://host[:port][/path][?query]`, or `http:` where the operator granted that.
    pub url: &'a str,
    /// Names and values. `host` and `content-length` are set by the host.
    pub headers: &'a [(&'a str, &'a str)],
    /// The body; nothing is sent for an empty one.
    pub body: &'a [u8],
    /// How long connecting may take, with TLS.
    pub connect: Duration,
    /// How long everything may take until the answer's head is there; for [`send`], until its end.
    pub timeout: Duration,
    /// For [`send`]: how large the answer's body may be, in bytes.
    pub answer_max: usize,
}

/// A whole answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// The status, such as 200. What it means is the caller's business.
    pub status: u16,
    /// Names, in lower case, and values that are text.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Response {
    /// The first header of this name, which is written in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// Sends a request and reads the whole answer.
///
/// ```no_run
/// use std::time::Duration;
/// use teleport_plugin_sdk::http::{self, Method, Request};
///
/// fn weather() -> Result<String, http::Error> {
///     let answer = http::send(&Request {
///         method: Method::Get,
///         url: "https://api.example.com/v1/weather?city=Oslo",
///         headers: &[("accept", "application/json")],
///         body: b"",
///         connect: Duration::from_secs(2),
///         timeout: Duration::from_secs(5),
///         answer_max: 64 * 1024,
///     })?;
///     Ok(String::from_utf8_lossy(&answer.body).into_owned())
/// }
/// ```
///
/// # Errors
/// [`Error`], which tells whether the request may have been received.
pub fn send(request: &Request<'_>) -> Result<Response, Error> {
    exchange::send(request)
}

/// Sends a request and gives an answer whose body is read as it comes.
///
/// # Errors
/// [`Error`], when there is no answer in time.
pub fn open(request: &Request<'_>) -> Result<Answering, Error> {
    exchange::open(request)
}
