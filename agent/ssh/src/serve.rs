//! One SSH connection from its first byte to its last.

use std::sync::Arc;

use net::gate::Stranger;
use russh::server::{Config, Handler};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Notify;

/// Tells the connection's keeper that the stranger proved who they are.
#[derive(Debug, Clone, Default)]
pub struct Known(Arc<Notify>);

impl Known {
    /// The stranger is one no longer.
    pub fn mark(&self) {
        self.0.notify_one();
    }
}

/// How a connection ended.
#[derive(Debug)]
pub enum End {
    /// Either side closed it.
    Closed,
    /// The stranger was turned out.
    TurnedOut(net::gate::TurnedOut),
    /// The protocol was broken, or the network was.
    Failed(russh::Error),
}

/// Speaks SSH on a stream until it ends. Until `known` is marked the client is a stranger and may be
/// turned out; dropping this future ends the connection.
pub async fn serve<H, S>(config: Arc<Config>, stream: S, handler: H, stranger: Stranger, known: Known) -> End
where
    H: Handler<Error = russh::Error> + Send + 'static,
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let session = async {
        let session = russh::server::run_stream(config, stream, handler).await?;
        // russh runs the connection in a task of its own; it must not outlive this future.
        let closing = CloseOnDrop(session.handle());
        let ended = session.await;
        drop(closing);
        ended
    };
    tokio::pin!(session);
    let early = tokio::select! {
        ended = &mut session => Some(ended),
        why = stranger.turned_out() => return End::TurnedOut(why),
        () = known.0.notified() => None,
    };
    drop(stranger);
    let ended = match early {
        Some(ended) => ended,
        None => session.await,
    };
    match ended {
        Ok(()) => End::Closed,
        Err(error) => End::Failed(error),
    }
}

/// Ends a connection whose keeper is gone.
struct CloseOnDrop(russh::server::Handle);

impl Drop for CloseOnDrop {
    fn drop(&mut self) {
        let handle = self.0.clone();
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                let bye = russh::Disconnect::ByApplication;
                // Already closed is as good.
                let _ = handle.disconnect(bye, "closed by the server".to_owned(), String::new()).await;
            });
        }
    }
}
