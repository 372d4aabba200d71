//! Requests of a plugin that is tried out: answered from a recording, or really sent and heard.

use std::sync::Arc;

use bytes::Bytes;
use domain::plugin::destination::Target;
use domain::secret::Secret;
use http::{HeaderMap, HeaderName, HeaderValue, Response, header, request};
use http_body_util::{BodyExt as _, Limited};
use wasmtime_wasi_http::Error;

use super::failure::Failure;
use crate::rehearsal::{HttpAnswer, HttpFault, HttpStand, Outside, Rehearsal, Sent};

/// One request on its way to whatever stands in for the outside.
pub(super) struct Stage {
    outside: Arc<dyn Outside>,
    method: String,
    url: String,
    body: Bytes,
    attached: Vec<Secret>,
}

/// Headers that prove who asks, whoever wrote them.
const PROOFS: [HeaderName; 3] = [header::AUTHORIZATION, header::PROXY_AUTHORIZATION, header::COOKIE];

impl Stage {
    pub(super) fn new(rehearsal: &Rehearsal, head: &request::Parts, body: &Bytes, target: &Target) -> Self {
        let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
        let (method, url) = (head.method.to_string(), format!("{target}{path}"));
        Self {
            outside: Arc::clone(&rehearsal.outside),
            method,
            url,
            body: body.clone(),
            attached: Vec::new(),
        }
    }

    /// Notes what goes out in headers that nobody may read: the host marks the values it puts in.
    pub(super) fn sends(&mut self, headers: &HeaderMap) {
        let secret =
            |(name, value): &(&HeaderName, &HeaderValue)| value.is_sensitive() || PROOFS.contains(name);
        let values = headers.iter().filter(secret).map(|(_, value)| Secret::new(value.as_bytes()));
        self.attached = values.collect();
    }

    fn sent(&self) -> Sent<'_> {
        Sent { method: &self.method, url: &self.url, body: &self.body, attached: &self.attached }
    }

    /// What comes of it without its being sent; nothing when it is to be sent.
    pub(super) fn answer(&self) -> Option<Result<Response<reqwest::Body>, Failure>> {
        let (code, what) = match self.outside.answer(&self.sent()) {
            HttpStand::Live => return None,
            HttpStand::Answer(answer) => return Some(self.response(answer)),
            HttpStand::Fault(HttpFault::Refused) => (Error::ConnectionRefused, "was refused"),
            HttpStand::Fault(HttpFault::TimedOut) => (Error::ConnectionTimeout, "was not answered in time"),
            HttpStand::Fault(HttpFault::NoAddress) => {
                let rcode = Some("address not available".to_owned());
                (Error::DnsError { rcode, info_code: None }, "found no address")
            }
            HttpStand::Fault(HttpFault::Unforeseen) => {
                (Error::DestinationUnavailable, "has no recorded answer")
            }
        };
        Some(Err(Failure::of(code, format!("{} {} {what}", self.method, self.url))))
    }

    fn response(&self, answer: HttpAnswer) -> Result<Response<reqwest::Body>, Failure> {
        let mut response = Response::builder().status(answer.status);
        for (name, value) in answer.headers {
            response = response.header(name, value);
        }
        response.body(answer.body.into()).map_err(|error| {
            let text = format!("the recorded answer to {} {} cannot be used: {error}", self.method, self.url);
            Failure::of(Error::HttpProtocolError, text)
        })
    }

    pub(super) fn listens(&self) -> bool {
        self.outside.listens()
    }

    /// Hears an answer to its end, and hands it on.
    ///
    /// # Errors
    /// [`Failure`] when it breaks off or is larger than this.
    pub(super) async fn hear(
        &self,
        answer: Response<reqwest::Body>,
        most: u64,
    ) -> Result<Response<reqwest::Body>, Failure> {
        let (head, body) = answer.into_parts();
        let body = Limited::new(body, usize::try_from(most).unwrap_or(usize::MAX)).collect().await;
        let body = body.map_err(|error| {
            let text = format!("the answer to {} {} could not be read whole: {error}", self.method, self.url);
            Failure::of(Error::HttpResponseIncomplete, text)
        })?;
        let body = body.to_bytes();
        let text = |(name, value): (&HeaderName, &HeaderValue)| {
            Some((name.to_string(), value.to_str().ok()?.to_owned()))
        };
        let headers = head.headers.iter().filter_map(text).collect();
        let heard = HttpAnswer { status: head.status.as_u16(), headers, body: body.clone() };
        self.outside.heard(&self.sent(), &heard);
        Ok(Response::from_parts(head, body.into()))
    }
}
