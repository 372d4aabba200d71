//! Bodies, counted: a request's is gathered before anything is sent, an answer's is handed on as it comes.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt as _;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, Sleep};
use wasmtime_wasi_http::{Error, WasiBody};

use super::failure;

/// What one call has sent and received.
pub(super) struct Spent {
    requests: AtomicU64,
    bytes: AtomicU64,
    bytes_max: u64,
}

impl Spent {
    pub(super) fn new(bytes_max: u64) -> Self {
        Self { requests: AtomicU64::new(0), bytes: AtomicU64::new(0), bytes_max }
    }

    pub(super) fn renew(&self) {
        self.requests.store(0, Relaxed);
        self.bytes.store(0, Relaxed);
    }

    /// Counts a request, and says how many it is by now.
    pub(super) fn request(&self) -> u64 {
        self.requests.fetch_add(1, Relaxed).saturating_add(1)
    }

    /// Counts bytes of a body, and says whether they fit.
    fn take(&self, bytes: usize) -> bool {
        let bytes = bytes as u64;
        self.bytes.fetch_add(bytes, Relaxed).saturating_add(bytes) <= self.bytes_max
    }

    /// Whether so many bytes more would fit.
    pub(super) fn fits(&self, bytes: u64) -> bool {
        self.bytes.load(Relaxed).saturating_add(bytes) <= self.bytes_max
    }
}

/// A request's body, whole.
///
/// # Errors
/// [`Error::HttpRequestBodySize`] when it is larger than the call may send; the guest's own, when it left
/// the body unfinished.
pub(super) async fn gather(mut body: WasiBody, spent: &Spent) -> Result<Bytes, Error> {
    let mut first = Bytes::new();
    let mut rest = BytesMut::new();
    while let Some(frame) = body.frame().await {
        // Trailers of requests are sent by nobody.
        let Ok(data) = frame?.into_data() else { continue };
        if !spent.take(data.len()) {
            return Err(Error::HttpRequestBodySize(Some(spent.bytes_max)));
        }
        if first.is_empty() {
            first = data;
        } else {
            rest.extend_from_slice(&data);
        }
    }
    if rest.is_empty() {
        return Ok(first);
    }
    Ok([first, rest.freeze()].concat().into())
}

/// What is said when an answer's body breaks off.
pub(super) type Complain = Box<dyn Fn(&Error, String) + Send>;

/// An answer's body on its way to the guest. As long as it is read, its request is one of those that are
/// under way.
pub(super) struct Answer {
    pub(super) body: reqwest::Body,
    pub(super) spent: Arc<Spent>,
    /// The longest pause between two pieces, where the guest set one.
    pub(super) between: Option<Duration>,
    pub(super) pause: Option<Pin<Box<Sleep>>>,
    pub(super) complain: Complain,
    /// Until the end.
    pub(super) turn: Option<OwnedSemaphorePermit>,
}

impl Answer {
    fn end(&mut self, code: Error, text: String) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        (self.complain)(&code, text);
        self.turn = None;
        // Nothing more is received for it.
        self.body = reqwest::Body::default();
        Poll::Ready(Some(Err(code)))
    }

    /// Whether the pause has been too long. Its clock runs while somebody waits.
    fn is_late(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(between) = self.between else { return false };
        let pause = self.pause.get_or_insert_with(|| Box::pin(tokio::time::sleep(between)));
        pause.as_mut().poll(cx).is_ready()
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let answer = &mut *self;
        if answer.turn.is_none() {
            return Poll::Ready(None);
        }
        let Poll::Ready(frame) = Pin::new(&mut answer.body).poll_frame(cx) else {
            if answer.is_late(cx) {
                return answer.end(Error::ConnectionReadTimeout, "its answer stopped coming".to_owned());
            }
            return Poll::Pending;
        };
        if let (Some(between), Some(pause)) = (answer.between, answer.pause.as_mut()) {
            pause.as_mut().reset(Instant::now() + between);
        }
        match frame {
            Some(Ok(frame)) => {
                let bytes = frame.data_ref().map_or(0, Bytes::len);
                if answer.spent.take(bytes) {
                    return Poll::Ready(Some(Ok(frame)));
                }
                let most = answer.spent.bytes_max;
                answer.end(Error::HttpResponseBodySize(Some(most)), String::new())
            }
            Some(Err(error)) => answer.end(failure::code(&error), failure::words(&error)),
            None => {
                answer.turn = None;
                Poll::Ready(None)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.turn.is_none() || self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::Full;

    use super::*;

    fn body(text: &'static str) -> WasiBody {
        Full::new(Bytes::from(text)).map_err(Error::from).boxed_unsync()
    }

    #[tokio::test]
    async fn bodies_of_a_call_are_counted_together() {
        let spent = Spent::new(10);
        assert_eq!(gather(body("123456"), &spent).await.unwrap(), "123456");
        assert!(spent.fits(4) && !spent.fits(5));
        let error = gather(body("12345"), &spent).await.unwrap_err();
        assert!(matches!(error, Error::HttpRequestBodySize(Some(10))), "{error}");
        spent.renew();
        assert_eq!(gather(body("12345"), &spent).await.unwrap(), "12345", "the next call begins anew");
    }
}
