//! Bodies, counted: a request's is gathered before anything is sent, an answer's is handed on as it comes.
//!
//! Counted twice: what a call sends and receives ([`Spent`]), and what of all requests of a plugin is in
//! memory ([`Room`]), whichever call began them and whether or not it has ended since.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep, timeout_at};
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

    /// Counts anew, from the requests of earlier calls that have not been answered yet.
    pub(super) fn renew(&self, unanswered: u64) {
        self.requests.store(unanswered, Relaxed);
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

    /// The bytes that may still come and go.
    fn left(&self) -> u64 {
        self.bytes_max.saturating_sub(self.bytes.load(Relaxed))
    }

    /// Whether so many bytes more would fit.
    pub(super) fn fits(&self, bytes: u64) -> bool {
        self.bytes.load(Relaxed).saturating_add(bytes) <= self.bytes_max
    }
}

/// What a body may have without asking for room, in bytes: most have less, and the requests under way at
/// one time are counted anyhow.
const SMALL: u64 = 64 * 1024;

/// The memory that the larger bodies of a plugin's requests may take together, over all its instances. A
/// body gives back what it took when the last of those who send it lets go of it.
pub(super) struct Room {
    permits: Arc<Semaphore>,
    small: u64,
}

impl Room {
    pub(super) fn new(bytes_max: u64) -> Self {
        Self::with(bytes_max, SMALL)
    }

    fn with(bytes_max: u64, small: u64) -> Self {
        let most = usize::try_from(bytes_max).unwrap_or(Semaphore::MAX_PERMITS);
        Self { permits: Arc::new(Semaphore::new(most.min(Semaphore::MAX_PERMITS))), small }
    }

    /// Takes so many bytes of it, as soon as others have given them back.
    ///
    /// # Errors
    /// [`Error::ConnectionLimitReached`] when they have not in time.
    async fn take(&self, bytes: u64, deadline: Instant) -> Result<OwnedSemaphorePermit, Error> {
        let bytes = u32::try_from(bytes).map_err(|_| Error::ConnectionLimitReached)?;
        let taking = Arc::clone(&self.permits).acquire_many_owned(bytes);
        match timeout_at(deadline, taking).await {
            Ok(Ok(taken)) => Ok(taken),
            _ => Err(Error::ConnectionLimitReached),
        }
    }
}

/// A body, with the room it takes.
struct Held {
    bytes: Bytes,
    _room: Option<OwnedSemaphorePermit>,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// A request's body, whole; `announced` is its length, where the request says one.
///
/// A large one takes its room whole, and before it has any: two that each had a part, and waited for the
/// other's, would wait in vain. Where the length is not known, that is what the call may still send, and what
/// it did not need is given back.
///
/// # Errors
/// [`Error::HttpRequestBodySize`] when it is larger than announced, or than the call may send;
/// [`Error::ConnectionLimitReached`] when others of the plugin took the room for it until then; the guest's
/// own, when it left the body unfinished.
pub(super) async fn gather(
    mut body: WasiBody,
    announced: Option<u64>,
    spent: &Spent,
    room: &Room,
    deadline: Instant,
) -> Result<Bytes, Error> {
    let announced = body.size_hint().exact().or(announced);
    let most = announced.unwrap_or_else(|| spent.left());
    if !spent.fits(most) {
        return Err(Error::HttpRequestBodySize(Some(spent.bytes_max)));
    }
    let mut taken = match announced {
        Some(bytes) if bytes > room.small => Some(room.take(bytes, deadline).await?),
        _ => None,
    };
    let (mut first, mut rest, mut length) = (Bytes::new(), BytesMut::new(), 0);
    while let Some(frame) = body.frame().await {
        // Trailers of requests are sent by nobody.
        let Ok(data) = frame?.into_data() else { continue };
        length += data.len();
        if !spent.take(data.len()) || length as u64 > most {
            return Err(Error::HttpRequestBodySize(Some(spent.bytes_max.min(most))));
        }
        if taken.is_none() && length as u64 > room.small {
            taken = Some(room.take(most, deadline).await?);
        }
        if length == data.len() {
            first = data;
            continue;
        }
        // Most bodies are of one piece, and that one is not copied.
        if rest.is_empty() {
            rest.reserve(announced.and_then(|bytes| usize::try_from(bytes).ok()).unwrap_or(length));
            rest.extend_from_slice(&std::mem::take(&mut first));
        }
        rest.extend_from_slice(&data);
    }
    // Of what has grown, more may be held than is filled.
    let held = first.len().max(rest.capacity());
    let bytes = if rest.is_empty() { first } else { rest.freeze() };
    if let Some(taken) = &mut taken {
        drop(taken.split(taken.num_permits().saturating_sub(held)));
    }
    Ok(Bytes::from_owner(Held { bytes, _room: taken }))
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

    use futures::StreamExt as _;

    use super::*;

    fn body(text: &'static str) -> WasiBody {
        Full::new(Bytes::from(text)).map_err(Error::from).boxed_unsync()
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(1)
    }

    #[tokio::test]
    async fn bodies_of_a_call_are_counted_together() {
        let (spent, room) = (Spent::new(10), Room::with(1000, 0));
        let gather = |text| gather(body(text), None, &spent, &room, soon());
        assert_eq!(gather("123456").await.unwrap(), "123456");
        assert!(spent.fits(4) && !spent.fits(5));
        let error = gather("12345").await.unwrap_err();
        assert!(matches!(error, Error::HttpRequestBodySize(Some(10))), "{error}");
        spent.renew(0);
        assert_eq!(gather("12345").await.unwrap(), "12345", "the next call begins anew");
    }

    #[tokio::test(start_paused = true)]
    async fn bodies_that_are_held_take_room_from_those_of_later_calls() {
        let (spent, room) = (Spent::new(10), Room::with(10, 0));
        let gather = |text| {
            spent.renew(0);
            gather(body(text), None, &spent, &room, soon())
        };
        let held = gather("123456").await.unwrap();
        let sending = held.clone();
        drop(held);
        let error = gather("12345").await.unwrap_err();
        assert!(matches!(error, Error::ConnectionLimitReached), "{error}");
        let small = gather("1234").await.unwrap();
        drop(sending);
        assert_eq!(gather("123456").await.unwrap(), "123456", "there is room again");
        drop(small);
    }

    /// A body that comes piece by piece, of a length nobody knows before.
    fn pieces(pieces: [&'static str; 3]) -> WasiBody {
        let pieces = futures::stream::iter(pieces).then(|piece| async move {
            tokio::time::sleep(Duration::from_millis(1)).await;
            Ok::<_, Error>(Frame::data(Bytes::from(piece)))
        });
        http_body_util::StreamBody::new(pieces).boxed_unsync()
    }

    #[tokio::test(start_paused = true)]
    async fn bodies_that_need_more_than_half_the_room_each_come_one_after_the_other() {
        let (spent, other, room) = (Spent::new(10), Spent::new(10), Room::with(10, 0));
        for announced in [None, Some(7)] {
            spent.renew(0);
            other.renew(0);
            let first = async {
                let held = gather(pieces(["123", "45", "67"]), announced, &spent, &room, soon()).await;
                assert_eq!(held.unwrap(), "1234567");
            };
            let second = async {
                let held = gather(pieces(["abc", "d", "efg"]), announced, &other, &room, soon()).await;
                assert_eq!(held.unwrap(), "abcdefg");
            };
            tokio::join!(first, second);
        }
    }

    #[tokio::test]
    async fn what_a_body_did_not_need_is_given_back() {
        let (spent, other, room) = (Spent::new(1000), Spent::new(1000), Room::with(1000, 0));
        let held = gather(pieces(["1", "2", "3"]), None, &spent, &room, soon()).await.unwrap();
        let beside = gather(body("1234567"), None, &other, &room, soon()).await.unwrap();
        assert_eq!((held.len(), beside.len()), (3, 7));
        assert!(room.permits.available_permits() > 800, "{}", room.permits.available_permits());
    }

    #[tokio::test(start_paused = true)]
    async fn small_bodies_wait_for_nobody() {
        let (spent, other, room) = (Spent::new(100), Spent::new(100), Room::with(10, 6));
        let held = gather(body("1234567890"), None, &spent, &room, soon()).await.unwrap();
        for announced in [None, Some(6)] {
            let beside = gather(pieces(["12", "34", "56"]), announced, &other, &room, soon()).await;
            assert_eq!(beside.unwrap(), "123456");
        }
        let error = gather(pieces(["12", "34", "567"]), None, &other, &room, soon()).await.unwrap_err();
        assert!(matches!(error, Error::ConnectionLimitReached), "{error}");
        drop(held);
    }

    #[tokio::test]
    async fn a_body_is_no_longer_than_announced() {
        let (spent, room) = (Spent::new(10), Room::with(10, 0));
        let error = gather(pieces(["12", "34", "56"]), Some(5), &spent, &room, soon()).await.unwrap_err();
        assert!(matches!(error, Error::HttpRequestBodySize(Some(5))), "{error}");
        spent.renew(0);
        let error = gather(pieces(["1", "2", "3"]), Some(11), &spent, &room, soon()).await.unwrap_err();
        assert!(
            matches!(error, Error::HttpRequestBodySize(Some(10))),
            "more than the call may send: {error}"
        );
    }
}
