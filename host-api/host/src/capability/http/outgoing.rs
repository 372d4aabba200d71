//! Whether a request may be sent at all: what can be said before anything is resolved.

use std::sync::Arc;

use domain::plugin::destination::Target;
use domain::plugin::grant::{Use, http_line};
use domain::printable;
use http::{HeaderName, Method, Request, Response, header};
use wasmtime_wasi_http::{Error, ForbiddenHeaderFilter, RequestOptions, WasiBody, WasiHttpHooks};

use super::exchange::Exchange;
use super::failure::Failure;
use super::turn::Turn;
use super::{Denied, Spent};
use crate::call::Provisions;
use crate::capability::log::Sink;
use crate::capability::secrets::StandIns;

/// The longest part of a guest's own text that is repeated to the operator, in bytes.
const SHOWN_MAX: usize = 256;

/// The largest piece in which a guest hands over a body, in bytes.
const CHUNK: usize = 64 * 1024;

/// Headers that say how the connection is to be used. They are this side's business: a second word on it
/// would let a plugin speak to another host behind the same server (`host`), to the proxy in the
/// operator's name (`proxy-*`), begin a second request within the first (`transfer-encoding`) or turn the
/// connection into something that is not looked at (`upgrade`). Guests do not see them in answers either.
const FORBIDDEN: [HeaderName; 8] = [
    header::HOST,
    header::CONNECTION,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    header::TE,
    header::TRAILER,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("http2-settings"),
];

fn is_forbidden(name: &HeaderName) -> bool {
    FORBIDDEN.contains(name) || name.as_str().starts_with("proxy-") || *name == header::EXPECT
}

/// What a request's future is.
type Answered = Result<(Response<WasiBody>, Box<dyn Future<Output = Result<(), Error>> + Send>), Error>;

/// Requests of one instance.
pub(super) struct Outgoing {
    provisions: Arc<Provisions>,
    stand_ins: StandIns,
    log: Arc<Sink>,
    spent: Arc<Spent>,
    /// One more of these for each request that has not been answered yet.
    unanswered: Arc<()>,
    denied: Denied,
}

impl Outgoing {
    pub(super) fn new(provisions: Arc<Provisions>, stand_ins: StandIns, log: Arc<Sink>) -> Self {
        let spent = Arc::new(Spent::new(provisions.limits.http_bytes));
        Self { provisions, stand_ins, log, spent, unanswered: Arc::default(), denied: Denied::default() }
    }

    pub(super) fn renew(&mut self) {
        // Or one that is kept would have begun ever more of them.
        let unanswered = Arc::strong_count(&self.unanswered).saturating_sub(1);
        self.spent.renew(u64::try_from(unanswered).unwrap_or(u64::MAX));
        self.denied.renew();
    }

    pub(super) fn denied(&self) -> Option<&str> {
        self.denied.0.get().map(String::as_str)
    }

    /// Where the request goes, if it may.
    fn admit(&self, request: &Request<WasiBody>) -> Result<Target, Failure> {
        let provisions = &self.provisions;
        let (plugin, limits) = (&provisions.identity.name, &provisions.limits);
        let most = limits.http_requests;
        if self.spent.request() > most {
            let line = format!("to allow more, set teleport.plugins.load.{plugin}.limits.http_requests");
            let text = format!("plugin {plugin} sent more than {most} HTTP requests in one call; {line}");
            return Err(Failure::denied(Error::HttpRequestDenied, text));
        }
        if [Method::CONNECT, Method::TRACE].contains(request.method()) {
            let text = format!("plugin {plugin} may not send {} requests; no plugin may", request.method());
            return Err(Failure::denied(Error::HttpRequestMethodInvalid, text));
        }
        let uri = request.uri();
        let authority = uri.authority().map(http::uri::Authority::as_str).unwrap_or_default();
        let target = Target::parse(uri.scheme_str().unwrap_or_default(), authority).map_err(|error| {
            // The error repeats what the guest wrote.
            let reason = error.to_string();
            let reason = printable::escape(printable::clip(&reason, SHOWN_MAX));
            let text = format!("plugin {plugin} may not send the request: {reason}");
            Failure::denied(Error::HttpRequestUriInvalid, text)
        })?;
        if provisions.effective.may_ask(&target) {
            provisions.diary.used(&Use::Http(target.clone()));
            return Ok(target);
        }
        let line = http_line(plugin, &target);
        let text = format!("plugin {plugin} is not granted to send requests to {target}; if it may, {line}");
        Err(Failure::denied(Error::HttpRequestDenied, text))
    }
}

impl WasiHttpHooks for Outgoing {
    // Everything of wasi:http asks this one, also where the store is out of reach.
    fn forbidden_header_filter(&mut self) -> ForbiddenHeaderFilter {
        Arc::new(is_forbidden)
    }

    // Judged with the rest of the target, so that the operator hears of it.
    fn is_supported_scheme(&mut self, _scheme: &http::uri::Scheme) -> bool {
        true
    }

    // Made from the target that was looked at, not from the guest's way of writing it.
    fn set_host_header(&mut self) -> bool {
        false
    }

    // What a guest can write ahead of its request's turn, which is held for as long as it waits.
    fn p2_outgoing_body_buffer_chunks(&mut self) -> usize {
        1
    }

    fn p2_outgoing_body_chunk_size(&mut self) -> usize {
        CHUNK
    }

    fn send_request(
        &mut self,
        request: Request<WasiBody>,
        options: Option<RequestOptions>,
        // Tells of answers that were read to their end, which nobody here waits for.
        _read: Box<dyn Future<Output = Result<(), Error>> + Send>,
    ) -> Box<dyn Future<Output = Answered> + Send> {
        let admitted = self.admit(&request).map(|target| (target, Turn::queue(&self.provisions.http.turns)));
        let exchange = Exchange {
            provisions: Arc::clone(&self.provisions),
            stand_ins: self.stand_ins.clone(),
            log: Arc::clone(&self.log),
            spent: Arc::clone(&self.spent),
            denied: self.denied.clone(),
            options: options.unwrap_or_default(),
        };
        let unanswered = Arc::clone(&self.unanswered);
        Box::new(async move {
            let _unanswered = unanswered;
            let answer = match admitted {
                Ok((target, turn)) => exchange.run(&target, request, turn).await,
                Err(failure) => Err(exchange.report(failure)),
            }?;
            let nothing_left: Box<dyn Future<Output = Result<(), Error>> + Send> = Box::new(async { Ok(()) });
            Ok((answer, nothing_left))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_about_the_connection_are_not_a_plugins_to_set() {
        for name in [
            "Host",
            "connection",
            "Keep-Alive",
            "Proxy-Authorization",
            "proxy-connection",
            "proxy-anything",
            "Transfer-Encoding",
            "upgrade",
            "TE",
            "trailer",
            "expect",
            "http2-settings",
        ] {
            assert!(is_forbidden(&name.parse().unwrap()), "{name}");
        }
        for name in ["authorization", "content-type", "content-length", "user-agent", "x-proxy", "hostname"] {
            assert!(!is_forbidden(&name.parse().unwrap()), "{name}");
        }
    }
}
