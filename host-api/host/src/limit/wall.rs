//! Time on the clock of one call.

use std::future::Future;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use futures::poll;
use tokio::time::error::Elapsed;
use tokio::time::timeout;

/// What the future comes to, if it does so in time. One that is ready at once costs no timer.
///
/// # Errors
/// [`Elapsed`] when it does not.
pub(crate) async fn within<F: Future>(limit: Duration, future: F) -> Result<F::Output, Elapsed> {
    let mut future = pin!(future);
    match poll!(future.as_mut()) {
        Poll::Ready(output) => Ok(output),
        Poll::Pending => timeout(limit, future).await,
    }
}
