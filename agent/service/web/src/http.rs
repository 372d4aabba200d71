//! HTTP on a connection: bounded in time before, between and during requests, in size always.
//!
//! A client is a stranger until its first request: finishing a TLS handshake proves nothing. After
//! that it may be silent for a while, as browsers are, but not for ever.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use net::gate::Stranger;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

/// How long a client may take to send the head of a request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// The most bytes of a request's head.
const HEAD_MAX: usize = 64 * 1024;
/// Requests at once on one HTTP/2 connection.
const STREAMS: u32 = 100;

/// How long a connection may be without a request before it is closed, at least; at most twice that.
const IDLE: Duration = Duration::from_secs(60);

/// The requests of one connection.
#[derive(Debug, Default)]
struct Activity {
    begun: AtomicUsize,
    ended: AtomicUsize,
    first: Notify,
}

impl Activity {
    /// A request, for as long as what is returned lives.
    fn request(self: &Arc<Self>) -> Ongoing {
        if self.begun.fetch_add(1, Ordering::Relaxed) == 0 {
            self.first.notify_one();
        }
        Ongoing(Arc::clone(self))
    }

    /// Ends when the client is not worth its connection: a stranger turned out, or one that asks for
    /// nothing any more.
    async fn wasted(&self, stranger: Stranger) {
        tokio::select! {
            _ = stranger.turned_out() => return,
            () = self.first.notified() => drop(stranger),
        }
        loop {
            let before = self.begun.load(Ordering::Relaxed);
            tokio::time::sleep(IDLE).await;
            let begun = self.begun.load(Ordering::Relaxed);
            if begun == before && begun == self.ended.load(Ordering::Relaxed) {
                return;
            }
        }
    }
}

/// A request under way.
struct Ongoing(Arc<Activity>);

impl Drop for Ongoing {
    fn drop(&mut self) {
        self.0.ended.fetch_add(1, Ordering::Relaxed);
    }
}

/// Serves one connection until it ends, is not worth keeping, or the service stops.
pub(crate) async fn serve<S>(stream: S, router: Router, stranger: Stranger, shutdown: CancellationToken)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT).max_buf_size(HEAD_MAX);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS)
        .max_header_list_size(64 * 1024)
        .keep_alive_interval(Some(Duration::from_secs(60)));
    let activity = Arc::new(Activity::default());
    let requests = Arc::clone(&activity);
    let service = TowerToHyperService::new(tower::service_fn(move |request: Request<_>| {
        let (router, ongoing) = (router.clone(), requests.request());
        async move {
            let answer = router.oneshot(request).await;
            drop(ongoing);
            answer
        }
    }));
    let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), service);
    tokio::pin!(connection);
    tokio::select! {
        // A client that breaks the protocol or goes away is its own affair.
        _ = connection.as_mut() => {}
        () = activity.wasted(stranger) => {}
        () = shutdown.cancelled() => {
            connection.as_mut().graceful_shutdown();
            let _ = tokio::time::timeout(HEAD_TIMEOUT, connection).await;
        }
    }
}

/// What a client is told that speaks HTTP where TLS is wanted.
pub(crate) const WANTS_TLS: &[u8] = b"HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain\r\nconnection: close\r\ncontent-length: 53\r\n\r\nthis port speaks HTTPS; use https:// instead of http\n";
