//! What the plugin needs of the world outside: requests and the time. In a component it is the SDK's, in
//! tests whatever they hand in.

use std::time::Duration;

use teleport_plugin_sdk::http::{self, Answering, Error, Part, Request, Response};
use teleport_plugin_sdk::{clock, log};

/// An answer that is read as it comes.
pub trait Stream {
    /// The status, such as 200.
    fn status(&self) -> u16;

    /// The next bytes, waited for so long at most.
    ///
    /// # Errors
    /// [`Error`] when the answer breaks off.
    fn read(&mut self, wait: Duration) -> Result<Part, Error>;
}

/// The world outside.
pub trait Outside {
    /// An answer that is read as it comes.
    type Stream: Stream;

    /// Sends a request and reads the whole answer.
    ///
    /// # Errors
    /// [`Error`], which tells whether the request may have been received.
    fn send(&mut self, request: &Request<'_>) -> Result<Response, Error>;

    /// Sends a request and gives an answer that is read as it comes.
    ///
    /// # Errors
    /// [`Error`], when there is no answer in time.
    fn open(&mut self, request: &Request<'_>) -> Result<Self::Stream, Error>;

    /// Microseconds since 1970-01-01T00:00:00Z.
    fn now(&self) -> u64;

    /// Time since some moment in the past; it never goes back.
    fn monotonic(&self) -> Duration;

    /// Something an operator should look at. Said to nobody where nobody listens.
    fn warn(&mut self, text: &str) {
        let _ = text;
    }
}

/// What the host offers to the component.
#[derive(Debug, Clone, Copy, Default)]
pub struct Host;

impl Outside for Host {
    type Stream = Answering;

    fn send(&mut self, request: &Request<'_>) -> Result<Response, Error> {
        http::send(request)
    }

    fn open(&mut self, request: &Request<'_>) -> Result<Answering, Error> {
        http::open(request)
    }

    fn now(&self) -> u64 {
        clock::now()
    }

    fn monotonic(&self) -> Duration {
        clock::monotonic()
    }

    fn warn(&mut self, text: &str) {
        log::warn(text);
    }
}

impl Stream for Answering {
    fn status(&self) -> u16 {
        Answering::status(self)
    }

    fn read(&mut self, wait: Duration) -> Result<Part, Error> {
        Answering::read(self, wait)
    }
}
