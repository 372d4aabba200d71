//! One request and its answer, within the times and sizes of the call.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use domain::plugin::destination::Target;
use http::{HeaderMap, HeaderValue, Method, Request, Response, header};
use http_body::Body as _;
use http_body_util::BodyExt as _;
use reqwest::Url;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, timeout_at};
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody};

use super::body::{Answer, Complain, gather};
use super::failure::{self, Failure};
use super::resend;
use super::stage::Stage;
use super::turn::Turn;
use super::{Denied, HEADERS_MAX, Spent};
use crate::call::Provisions;
use crate::capability::log::Sink;
use crate::capability::secrets::{StandInError, StandIns};
use crate::capability::v1::teleport::host::log::Level;

/// What a request on its way needs of the instance that sent it, which may be gone before the answer comes.
#[derive(Clone)]
pub(super) struct Exchange {
    pub(super) provisions: Arc<Provisions>,
    pub(super) stand_ins: StandIns,
    pub(super) log: Arc<Sink>,
    pub(super) spent: Arc<Spent>,
    pub(super) denied: Denied,
    pub(super) options: RequestOptions,
}

impl Exchange {
    /// Sends a request to a target it may be sent to, and gives the head of the answer with a body that is
    /// still coming.
    ///
    /// # Errors
    /// What the guest is told. The operator has been told already.
    pub(super) async fn run(
        &self,
        target: &Target,
        request: Request<WasiBody>,
        turn: Turn,
    ) -> Result<Response<WasiBody>, Error> {
        match self.send(target, request, turn).await {
            Ok(answer) => {
                self.provisions.http.works(target);
                Ok(answer)
            }
            Err(failure) => Err(self.report_to(target, failure)),
        }
    }

    /// Tells the operator of a refusal, and gives what the guest is told.
    pub(super) fn report(&self, failure: Failure) -> Error {
        if failure.denied {
            self.denied.set(failure.text);
        } else {
            self.log.line(Level::Warn, &failure.text);
        }
        failure.code
    }

    fn report_to(&self, target: &Target, failure: Failure) -> Error {
        // A place that is down is asked again and again: that is said once.
        if failure.denied || self.provisions.http.is_news(target, &failure.text) {
            return self.report(failure);
        }
        self.log.line(Level::Debug, &failure.text);
        failure.code
    }

    async fn send(
        &self,
        target: &Target,
        request: Request<WasiBody>,
        turn: Turn,
    ) -> Result<Response<WasiBody>, Failure> {
        let limits = &self.provisions.limits;
        let deadline = Instant::now() + limits.http_time();
        let late = |code, what: &str| {
            let limit = limits.written("http_time");
            Failure::of(
                code,
                format!("a request to {target} was given up: {what} within {limit} (limits.http_time)"),
            )
        };
        let (head, body) = request.into_parts();
        let Ok(Some(turn)) = timeout_at(deadline, turn.taken()).await else {
            return Err(late(
                Error::ConnectionLimitReached,
                "others of the plugin were under way, it had no turn",
            ));
        };
        // Not before its turn: what waits is to take no memory.
        let body = gather(body, announced(&head), &self.spent, &self.provisions.http.room, deadline);
        let body = timeout_at(deadline, body).await;
        let body = body.map_err(|_| late(Error::ConnectionWriteTimeout, "the plugin did not finish it"))?;
        let body = body.map_err(|code| match code {
            Error::ConnectionLimitReached => {
                late(code, "others of the plugin held as many bytes as limits.http_bytes, it had no room")
            }
            code => self.too_large(target, code),
        })?;
        let head_only = head.method == Method::HEAD;
        let mut stage =
            self.provisions.rehearsal.as_ref().map(|rehearsal| Stage::new(rehearsal, &head, &body, target));
        let mut request = self.request(target, head, body)?;
        // Last, for the signature covers everything and is good for some minutes only.
        timeout_at(deadline, self.provisions.http.sign(target, &mut request)).await.map_err(|_| {
            late(Error::ConnectionLimitReached, "credentials to sign it with were not to be had")
        })??;
        if let Some(stage) = &mut stage {
            stage.sends(request.headers());
        }
        if let Some(answer) = stage.as_ref().and_then(Stage::answer) {
            return self.answer(target, answer?, turn, head_only);
        }
        let client = self.provisions.http.client(target, self.options.connect_timeout);
        let client = timeout_at(deadline, client).await.map_err(|_| {
            late(Error::ConfigurationError, "the certificates it is trusted by, or is shown, were not read")
        })??;
        let patience = self.options.first_byte_timeout.unwrap_or(Duration::MAX);
        let deadline = Instant::now().checked_add(patience).map_or(deadline, |sooner| sooner.min(deadline));
        let answer = timeout_at(deadline, resend::execute(&client, request)).await.map_err(|_| {
            Failure::of(Error::HttpResponseTimeout, format!("a request to {target} was not answered in time"))
        })?;
        let answer = answer.map_err(|error| self.failed(target, &error))?;
        let mut answer = answer.into();
        if let Some(stage) = stage.filter(Stage::listens) {
            let whole = timeout_at(deadline, stage.hear(answer, limits.http_bytes)).await;
            answer = whole.map_err(|_| late(Error::HttpResponseTimeout, "its answer did not end"))??;
        }
        self.answer(target, answer, turn, head_only)
    }

    /// The request as it is sent.
    fn request(
        &self,
        target: &Target,
        head: http::request::Parts,
        body: Bytes,
    ) -> Result<reqwest::Request, Failure> {
        let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
        let url = Url::parse(&format!("{target}{path}")).ok().filter(|url| leads_to(url, target));
        let Some(url) = url else {
            let text = format!("a request to {target} has a path that is none");
            return Err(Failure::of(Error::HttpRequestUriInvalid, text));
        };
        let mut request = reqwest::Request::new(head.method, url);
        *request.headers_mut() = self.headers(target, head.headers)?;
        *request.body_mut() = Some(body.into());
        Ok(request)
    }

    /// The headers with secrets in place of their stand-ins.
    fn headers(&self, target: &Target, mut headers: HeaderMap) -> Result<HeaderMap, Failure> {
        // Counted by the client.
        headers.remove(header::CONTENT_LENGTH);
        let plugin = &self.provisions.identity.name;
        for value in headers.values_mut() {
            let secret = match self.stand_ins.replace(&self.provisions.secrets, target, value.as_bytes()) {
                Ok(None) => continue,
                Ok(Some(secret)) => secret,
                Err(error @ StandInError::Unknown) => {
                    return Err(Failure::denied(
                        Error::HttpRequestDenied,
                        format!("plugin {plugin} may not send the request to {target}: {error}"),
                    ));
                }
                Err(StandInError::Elsewhere { label, .. }) => {
                    let text = format!(
                        "plugin {plugin} may not send secret {label} to {target}; if it may, add to teleport.plugins.load.{plugin}.secrets.{label}.hosts: \"{target}\" (which must be https)"
                    );
                    return Err(Failure::denied(Error::HttpRequestDenied, text));
                }
            };
            let Ok(mut revealed) = HeaderValue::from_bytes(secret.reveal()) else {
                let text = format!("a secret of plugin {plugin} holds characters that no header may have");
                return Err(Failure::of(Error::ConfigurationError, text));
            };
            revealed.set_sensitive(true);
            *value = revealed;
        }
        Ok(headers)
    }

    /// The answer as the guest gets it.
    fn answer(
        &self,
        target: &Target,
        answer: Response<reqwest::Body>,
        turn: OwnedSemaphorePermit,
        head_only: bool,
    ) -> Result<Response<WasiBody>, Failure> {
        let (head, body) = answer.into_parts();
        let size: usize = head.headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
        if size > HEADERS_MAX {
            let code = Error::HttpResponseHeaderSectionSize(u32::try_from(size).ok());
            let text = format!("{target} answered with {size} bytes of headers, {HEADERS_MAX} are taken");
            return Err(Failure::of(code, text));
        }
        let announced = if head_only { 0 } else { body.size_hint().lower() };
        if !self.spent.fits(announced) {
            return Err(self.too_large(target, Error::HttpResponseBodySize(Some(announced))));
        }
        let answer = Answer {
            body,
            spent: Arc::clone(&self.spent),
            between: self.options.between_bytes_timeout,
            pause: None,
            complain: self.complain(target),
            turn: Some(turn),
        };
        Ok(Response::from_parts(head, answer.boxed_unsync()))
    }

    /// What is said when the body breaks off, long after the head.
    fn complain(&self, target: &Target) -> Complain {
        let (exchange, target) = (self.clone(), target.clone());
        Box::new(move |code, text| {
            let failure = match code {
                Error::HttpResponseBodySize(size) => {
                    exchange.too_large(&target, Error::HttpResponseBodySize(*size))
                }
                // The code has gone to the guest.
                _ => Failure::of(
                    Error::HttpResponseIncomplete,
                    format!("the answer of {target} broke off: {text}"),
                ),
            };
            exchange.report_to(&target, failure);
        })
    }

    /// Bodies beyond the limit. Other errors are the guest's own and not worth a word.
    fn too_large(&self, target: &Target, code: Error) -> Failure {
        let what = match code {
            Error::HttpRequestBodySize(_) => "sends",
            Error::HttpResponseBodySize(_) => "receives",
            code => {
                return Failure::of(code, format!("a request to {target} was left unfinished by the plugin"));
            }
        };
        let (plugin, limit) = (&self.provisions.identity.name, self.provisions.limits.written("http_bytes"));
        let text = format!(
            "plugin {plugin} {what} more than {limit} over HTTP in one call, here with {target}; to allow more, set teleport.plugins.load.{plugin}.limits.http_bytes"
        );
        Failure::denied(code, text)
    }

    fn failed(&self, target: &Target, error: &reqwest::Error) -> Failure {
        let (code, words) = (failure::code(error), failure::words(error));
        if matches!(code, Error::DestinationIpProhibited)
            && let Some(lookup) = failure::find::<super::resolve::LookupError>(error)
        {
            return Failure::denied(code, lookup.to_string());
        }
        Failure::of(code, format!("a request to {target} failed: {words}"))
    }
}

/// The length that the request says its body has.
fn announced(head: &http::request::Parts) -> Option<u64> {
    head.headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Whether a URL leads where it was meant to, once it has been read the way it will be read.
fn leads_to(url: &Url, target: &Target) -> bool {
    let host = url.host_str().unwrap_or_default();
    url.scheme() == target.scheme.key()
        && host == target.host.to_string()
        && url.port_or_known_default() == Some(target.port)
        && url.username().is_empty()
        && url.password().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_does_not_lead_elsewhere() {
        let target = Target::parse("https", "api.example.com").unwrap();
        for path in ["", "/", "/a//b?c=d", "//evil.com/x", "/@evil.com", "?x=@evil.com", "/a/../../b"] {
            let url = Url::parse(&format!("{target}{path}")).unwrap();
            assert!(leads_to(&url, &target), "{path}");
        }
        for bad in ["@evil.com/", ".evil.com/", ":8443/", ":x@evil.com"] {
            let url = Url::parse(&format!("{target}{bad}"));
            assert!(!url.is_ok_and(|url| leads_to(&url, &target)), "{bad}");
        }
        let target = Target::parse("http", "[::1]:8080").unwrap();
        assert!(leads_to(&Url::parse(&format!("{target}/x")).unwrap(), &target));
    }
}
