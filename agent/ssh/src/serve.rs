//! One SSH connection from its first byte to its last.

use std::sync::Arc;
use std::time::Duration;

use net::gate::Stranger;
use net::read_ahead::{Allowance, ReadAhead};
use net::severable::{Knife, Severable};
use russh::server::{Config, Handler};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Notify;

use crate::ahead::backlog::{Backlog, Patient};
use crate::offer::Heard;

/// How many bytes of a client are read ahead while it takes nothing, once it is known: what two or three of its channels
/// may have under way. Of a stranger, none.
pub const CLIENT_AHEAD: usize = 8 * 1024 * 1024;
/// The same at either end of a link, where one channel is one whole connection.
pub const LINK_AHEAD: usize = 64 * 1024 * 1024;

/// How long a client may take to go after it was told to.
const GOODBYE: Duration = Duration::from_secs(1);

/// Tells the connection's keeper that the stranger proved who they are.
#[derive(Debug, Clone, Default)]
pub struct Known {
    notify: Arc<Notify>,
    backlog: Backlog,
    heard: Heard,
}

impl Known {
    /// The stranger is one no longer.
    pub fn mark(&self) {
        self.notify.notify_one();
    }

    /// What waits to be taken on this connection.
    pub fn backlog(&self) -> &Backlog {
        &self.backlog
    }

    /// What the client has sent on this connection.
    pub fn heard(&self) -> &Heard {
        &self.heard
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
/// turned out; from then on `ahead_max` bytes of it may be read ahead. Dropping this future ends the connection.
pub async fn serve<H, S>(
    config: Arc<Config>,
    stream: S,
    handler: H,
    stranger: Stranger,
    known: Known,
    ahead_max: usize,
) -> End
where
    H: Handler<Error = russh::Error> + Send + 'static,
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let ahead = Allowance::default();
    let stream = ReadAhead::new(stream, ahead.clone());
    let (stream, knife) = Severable::new(Patient::new(stream, known.backlog.clone(), known.heard.clone()));
    let cut = knife.clone();
    let session = async {
        // The beginning needs more room than the rest, which lasts.
        let session = Box::pin(russh::server::run_stream(config, stream, handler)).await?;
        // russh runs the connection in a task of its own; it must not outlive this future.
        let closing = CloseOnDrop(session.handle(), cut);
        let ended = session.await;
        closing.1.cut();
        ended
    };
    tokio::pin!(session);
    let early = tokio::select! {
        ended = &mut session => Some(ended),
        why = stranger.turned_out() => {
            // Without a word: before keys are agreed there is no way to say one.
            knife.cut();
            return End::TurnedOut(why);
        }
        () = known.notify.notified() => None,
    };
    drop(stranger);
    ahead.set(ahead_max);
    let ended = match early {
        Some(ended) => ended,
        None => session.await,
    };
    match ended {
        Ok(()) => End::Closed,
        Err(error) => End::Failed(error),
    }
}

/// Ends a connection whose keeper is gone: with a goodbye, and soon after in any case.
struct CloseOnDrop(russh::server::Handle, Knife);

impl Drop for CloseOnDrop {
    fn drop(&mut self) {
        let (handle, knife) = (self.0.clone(), self.1.clone());
        if knife.has_cut() {
            return;
        }
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return knife.cut() };
        runtime.spawn(async move {
            let saying = handle.disconnect(
                russh::Disconnect::ByApplication,
                "closed by the server".to_owned(),
                String::new(),
            );
            // Already closed is as good, and a client that does not listen need not hear it.
            let _ = tokio::time::timeout(GOODBYE, saying).await;
            tokio::time::sleep(GOODBYE).await;
            knife.cut();
        });
    }
}
