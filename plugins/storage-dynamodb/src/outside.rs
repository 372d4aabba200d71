//! What the plugin needs of the world outside: requests, time and chance. In a component it is the SDK's,
//! in tests whatever they hand in.

use std::time::Duration;

use teleport_plugin_sdk::http::{self, Error, Request, Response};
use teleport_plugin_sdk::{clock, random};

/// The world outside.
pub trait Outside {
    /// Sends a request and reads the whole answer.
    ///
    /// # Errors
    /// [`Error`], which tells whether the request may have been received.
    fn send(&mut self, request: &Request<'_>) -> Result<Response, Error>;

    /// Microseconds since 1970-01-01T00:00:00Z.
    fn now(&self) -> u64;

    /// Time since some moment in the past; it never goes back.
    fn monotonic(&self) -> Duration;

    /// Waits.
    fn sleep(&mut self, duration: Duration);

    /// A random number.
    fn random(&mut self) -> u64;
}

/// What the host offers to the component.
#[derive(Debug, Clone, Copy, Default)]
pub struct Host;

impl Outside for Host {
    fn send(&mut self, request: &Request<'_>) -> Result<Response, Error> {
        http::send(request)
    }

    fn now(&self) -> u64 {
        clock::now()
    }

    fn monotonic(&self) -> Duration {
        clock::monotonic()
    }

    fn sleep(&mut self, duration: Duration) {
        clock::sleep(duration);
    }

    fn random(&mut self) -> u64 {
        random::number()
    }
}
