//! Forwarding: `-L` and `-D` (the client names a target: [`outgoing`]), `-R` (the client names a place
//! to listen: [`listening`]), for ports and for socket files.
//!
//! Connections are made and places are listened on as the user, so nobody gets at anything through a
//! forward that they could not get at from a shell. Only names are looked up by the daemon.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use domain::audit::{Context, Detail, Outcome};
use port::host_user::HostUser;
use port::stream::BoxedStream;
use russh::Channel;
use russh::server::Msg;
use ssh::ahead::Ahead;
use ssh::ahead::backlog::Backlog;

use crate::service::NodeService;

mod listening;
mod outgoing;

use listening::Places;

/// Forwarded connections of one SSH connection at once.
const CONNECTIONS_MAX: usize = 1024;
/// Bytes carried at a time, each way.
const COPY: usize = 32 * 1024;

/// Where a client wants a connection to go, or us to listen.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Target {
    /// Host and port.
    Tcp(String, u32),
    /// A socket file.
    Unix(PathBuf),
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tcp(host, port) if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp(host, port) => write!(f, "{host}:{port}"),
            Self::Unix(path) => path.display().fmt(f),
        }
    }
}

/// The forwards of one connection. Dropping it stops the listening ones.
pub(super) struct Forwards {
    service: Arc<NodeService>,
    open: Arc<AtomicUsize>,
    backlog: Backlog,
    listeners: Places,
}

impl Forwards {
    pub(super) fn new(service: Arc<NodeService>, backlog: Backlog) -> Self {
        Self { service, open: Arc::default(), backlog, listeners: Places::default() }
    }
}

impl NodeService {
    async fn host_user(&self, login: &str) -> Result<HostUser, String> {
        let (users, login) = (Arc::clone(&self.deps.users), login.to_owned());
        let found = tokio::task::spawn_blocking(move || users.find(&login)).await;
        found.map_err(|error| error.to_string())?.map_err(|error| error.to_string())
    }

    /// Writes down how a forward went.
    async fn note_forward(&self, context: Context, target: &Target, failed: Option<&String>) {
        let outcome = failed.map_or_else(Outcome::ok, Outcome::failed);
        self.door.note(context, Detail::PortForward { addr: target.to_string(), outcome }).await;
    }
}

async fn carry(mut near: BoxedStream, channel: Channel<Msg>, backlog: &Backlog) {
    let mut far = Ahead::new(channel, backlog);
    // How it ends is the business of the two ends.
    let _ = tokio::io::copy_bidirectional_with_sizes(&mut near, &mut far, COPY, COPY).await;
}

/// One of the connections that are counted.
struct Counted(Arc<AtomicUsize>);

impl Counted {
    fn enter(open: &Arc<AtomicUsize>) -> Option<Self> {
        let entered = Self(Arc::clone(open));
        // The place is given back by dropping it, also when there was none.
        (open.fetch_add(1, Ordering::Relaxed) < CONNECTIONS_MAX).then_some(entered)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_given_back_also_when_there_was_none() {
        let open = Arc::new(AtomicUsize::new(CONNECTIONS_MAX - 1));
        let last = Counted::enter(&open).unwrap();
        assert!(Counted::enter(&open).is_none());
        drop(last);
        assert_eq!(open.load(Ordering::Relaxed), CONNECTIONS_MAX - 1);
    }
}
