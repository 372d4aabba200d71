//! The world outside the plugin, natively: HTTP by the plugin host's own client library, and a clock that can
//! be moved.

use std::time::Duration;

use port::random::{Random as _, SystemRandom};
use storage_dynamodb::outside::Outside;
use teleport_plugin_sdk::http::{Error, Request, Response};
use teleport_tests_interop::storage::{MovedClock, Time};
use tokio::runtime::Handle;

/// A client for all of a test.
pub(crate) fn client() -> reqwest::Client {
    // It wants a provider of TLS, although nothing here is encrypted; the first to come installs it.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    reqwest::Client::builder().no_proxy().build().unwrap()
}

/// The world outside, called from threads that may block.
#[derive(Debug, Clone)]
pub(crate) struct Native {
    time: Time,
    client: reqwest::Client,
    runtime: Handle,
}

impl Native {
    pub(crate) fn new(clock: &MovedClock, client: &reqwest::Client) -> Self {
        Self { time: Time::new(clock), client: client.clone(), runtime: Handle::current() }
    }
}

impl Outside for Native {
    fn send(&mut self, request: &Request<'_>) -> Result<Response, Error> {
        let mut sent = self.client.post(request.url).timeout(request.timeout).body(request.body.to_vec());
        for (name, value) in request.headers {
            sent = sent.header(*name, *value);
        }
        // Not looked at by the server, but it wants one.
        let signed = "AWS4-HMAC-SHA256 Credential=x/20260101/eu-north-1/dynamodb/aws4_request, SignedHeaders=host, Signature=x";
        sent = sent.header("authorization", signed).header("x-amz-date", "20260101T000000Z");
        self.runtime.block_on(async {
            let lost = |error: reqwest::Error| {
                if error.is_timeout() { Error::TimedOut } else { Error::Lost(error.to_string()) }
            };
            let answer = sent.send().await.map_err(lost)?;
            let status = answer.status().as_u16();
            let body = answer.bytes().await.map_err(lost)?.to_vec();
            Ok(Response { status, headers: Vec::new(), body })
        })
    }

    fn now(&self) -> u64 {
        self.time.now()
    }

    fn monotonic(&self) -> Duration {
        self.time.monotonic()
    }

    fn sleep(&mut self, duration: Duration) {
        self.runtime.block_on(async { tokio::time::sleep(duration).await });
    }

    fn random(&mut self) -> u64 {
        let mut bytes = [0; 8];
        SystemRandom.fill(&mut bytes);
        u64::from_le_bytes(bytes)
    }
}
