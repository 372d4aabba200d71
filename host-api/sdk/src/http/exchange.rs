//! One request and its answer, on the resources of `wasi:http` and `wasi:io`.

use std::time::Duration;

use wasip2::clocks::monotonic_clock;
use wasip2::http::outgoing_handler;
use wasip2::http::types::{
    Fields, IncomingBody, IncomingResponse, OutgoingBody, OutgoingRequest, RequestOptions, Scheme,
};
use wasip2::io::poll::{Pollable, poll};
use wasip2::io::streams::{InputStream, OutputStream, StreamError};

use super::url::Url;
use super::{Error, Method, Request, Response};
use crate::clock;

/// How much of an answer is asked for at a time, in bytes.
const CHUNK: u64 = 64 * 1024;

/// A moment on the monotonic clock.
#[derive(Debug, Clone, Copy)]
struct Deadline(Duration);

impl Deadline {
    fn after(wait: Duration) -> Self {
        Self(clock::monotonic().saturating_add(wait))
    }

    fn left(self) -> Duration {
        self.0.saturating_sub(clock::monotonic())
    }

    /// Waits until `ready` is; whether it was so in time. What is ready already counts, however late.
    fn wait(self, ready: &Pollable) -> bool {
        if ready.ready() {
            return true;
        }
        let timer = monotonic_clock::subscribe_duration(nanoseconds(self.left()));
        poll(&[ready, &timer]).contains(&0)
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Sends a request and reads the whole answer.
pub(super) fn send(request: &Request<'_>) -> Result<Response, Error> {
    let deadline = Deadline::after(request.timeout);
    let mut answer = exchange(request, deadline)?;
    let mut body = Vec::new();
    loop {
        match answer.read(deadline.left())? {
            Part::Bytes(bytes) if body.len() + bytes.len() > request.answer_max => {
                return Err(Error::TooLarge(request.answer_max));
            }
            Part::Bytes(bytes) => body.extend_from_slice(&bytes),
            Part::Nothing => return Err(Error::TimedOut),
            Part::End => break,
        }
    }
    Ok(Response { status: answer.status, headers: answer.headers(), body })
}

/// Sends a request and gives the answer's head.
pub(super) fn open(request: &Request<'_>) -> Result<Answering, Error> {
    exchange(request, Deadline::after(request.timeout))
}

fn exchange(request: &Request<'_>, deadline: Deadline) -> Result<Answering, Error> {
    let outgoing = outgoing(request)?;
    let body = outgoing.body().map_err(|()| Error::Invalid("the request has no body to write".to_owned()))?;
    let options = RequestOptions::new();
    // A host that does not know one of them has its own, and the deadline here holds anyway.
    let _ = options.set_connect_timeout(Some(nanoseconds(request.connect)));
    let _ = options.set_first_byte_timeout(Some(nanoseconds(request.timeout)));
    let future = outgoing_handler::handle(outgoing, Some(options)).map_err(|code| Error::of(&code))?;
    // Who answers before it has read everything is listened to: its answer says more than a broken
    // stream does.
    let written = write(body, request.body, deadline);
    if !deadline.wait(&future.subscribe()) {
        return Err(Error::TimedOut);
    }
    match future.get() {
        Some(Ok(Ok(response))) => Answering::new(response),
        Some(Ok(Err(code))) => Err(Error::of(&code)),
        Some(Err(())) | None => Err(written.err().unwrap_or_else(|| lost("the host gave no answer"))),
    }
}

fn lost(text: &str) -> Error {
    Error::Lost(text.to_owned())
}

fn outgoing(request: &Request<'_>) -> Result<OutgoingRequest, Error> {
    let wrong =
        |what: &str| Error::Invalid(format!("{what} of the request to {} cannot be sent", request.url));
    let url = Url::parse(request.url).ok_or_else(|| wrong("the address"))?;
    let fields = Fields::new();
    for (name, value) in request.headers {
        fields.append(name, value.as_bytes()).map_err(|_| wrong(&format!("the header {name}")))?;
    }
    let outgoing = OutgoingRequest::new(fields);
    let method = match request.method {
        Method::Get => wasip2::http::types::Method::Get,
        Method::Post => wasip2::http::types::Method::Post,
        Method::Put => wasip2::http::types::Method::Put,
        Method::Delete => wasip2::http::types::Method::Delete,
    };
    let scheme = if url.tls { Scheme::Https } else { Scheme::Http };
    outgoing.set_method(&method).map_err(|()| wrong("the method"))?;
    outgoing.set_scheme(Some(&scheme)).map_err(|()| wrong("the scheme"))?;
    outgoing.set_authority(Some(url.authority)).map_err(|()| wrong("the host"))?;
    outgoing.set_path_with_query(Some(url.path)).map_err(|()| wrong("the path"))?;
    Ok(outgoing)
}

/// Writes the body. Nothing at all for an empty one, not even an empty write: whoever answers at once
/// has closed the stream by then.
fn write(body: OutgoingBody, bytes: &[u8], deadline: Deadline) -> Result<(), Error> {
    if !bytes.is_empty() {
        let stream = body.write().map_err(|()| lost("the request's body cannot be written"))?;
        pour(&stream, bytes, deadline)?;
    }
    OutgoingBody::finish(body, None).map_err(|code| Error::of(&code))
}

fn pour(stream: &OutputStream, mut bytes: &[u8], deadline: Deadline) -> Result<(), Error> {
    let ready = stream.subscribe();
    while !bytes.is_empty() {
        if !deadline.wait(&ready) {
            return Err(Error::TimedOut);
        }
        let room =
            usize::try_from(stream.check_write().map_err(|error| broken(&error))?).unwrap_or(usize::MAX);
        let (now, later) = bytes.split_at(room.min(bytes.len()));
        if !now.is_empty() {
            stream.write(now).map_err(|error| broken(&error))?;
        }
        bytes = later;
    }
    stream.flush().map_err(|error| broken(&error))
}

fn broken(error: &StreamError) -> Error {
    match error {
        StreamError::Closed => lost("the stream was closed"),
        StreamError::LastOperationFailed(error) => match wasip2::http::types::http_error_code(error) {
            Some(code) => Error::of(&code),
            None => Error::Lost(error.to_debug_string()),
        },
    }
}

/// Some of an answer's body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// The next bytes; at least one.
    Bytes(Vec<u8>),
    /// Nothing came in time. More may come later.
    Nothing,
    /// There is no more.
    End,
}

/// An answer whose body is read as it comes. Dropping it ends the request.
#[derive(Debug)]
pub struct Answering {
    status: u16,
    // Dropped in this order: a stream before the body it is of, and that before its answer.
    ready: Pollable,
    stream: InputStream,
    _body: IncomingBody,
    response: IncomingResponse,
}

impl Answering {
    fn new(response: IncomingResponse) -> Result<Self, Error> {
        let status = response.status();
        let body = response.consume().map_err(|()| lost("the answer has no body to read"))?;
        let stream = body.stream().map_err(|()| lost("the answer's body cannot be read"))?;
        Ok(Self { status, ready: stream.subscribe(), stream, _body: body, response })
    }

    /// The status, such as 200.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// Names, in lower case, and values that are text.
    pub fn headers(&self) -> Vec<(String, String)> {
        let text = |(name, value): (String, Vec<u8>)| {
            Some((name.to_ascii_lowercase(), String::from_utf8(value).ok()?))
        };
        self.response.headers().entries().into_iter().filter_map(text).collect()
    }

    /// The next bytes, waited for so long at most. What is there already is given without waiting.
    ///
    /// # Errors
    /// [`Error::Lost`] and others when the answer breaks off.
    pub fn read(&mut self, wait: Duration) -> Result<Part, Error> {
        let deadline = Deadline::after(wait);
        loop {
            match self.stream.read(CHUNK) {
                Ok(bytes) if !bytes.is_empty() => return Ok(Part::Bytes(bytes)),
                Ok(_) => {}
                Err(StreamError::Closed) => return Ok(Part::End),
                // Who has answered has received the request, whatever breaks now.
                Err(error) => {
                    return Err(match broken(&error) {
                        Error::NotSent(text) => Error::Lost(text),
                        other => other,
                    });
                }
            }
            if deadline.left().is_zero() || !deadline.wait(&self.ready) {
                return Ok(Part::Nothing);
            }
        }
    }
}
