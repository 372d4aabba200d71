//! The client's agent, forwarded: a socket that only the user can reach, every connection to which
//! becomes a channel to the client, for as long as the user may have that.

use std::path::PathBuf;
use std::sync::Arc;

use domain::audit::{Detail, Outcome};
use port::host_user::HostUser;
use russh::server::Handle;
use ssh::ahead::Ahead;
use ssh::ahead::backlog::Backlog;
use sys::launch::Launcher;
use tokio::net::UnixListener;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use super::journal::Journal;
use crate::connection::signed_in::SignedIn;

/// Connections to the agent at once. Programs ask it one question each.
const CONNECTIONS: usize = 16;

/// A forwarded agent. Dropping it stops forwarding at once; the socket is removed in the background
/// then, while there is a background: [`Forwarded::end`] waits for it.
pub(crate) struct Forwarded {
    path: PathBuf,
    accepting: JoinHandle<()>,
    /// Who removes the socket; none when that is done.
    removal: Option<Removal>,
}

impl Forwarded {
    /// Starts forwarding; without it a session goes on, as with OpenSSH.
    pub(super) async fn start(
        who: SignedIn,
        user: &HostUser,
        client: Handle,
        backlog: &Backlog,
        journal: &Arc<Journal>,
    ) -> Option<Self> {
        let launcher = who.service().deps.launcher.clone();
        match launcher.listen_agent(user).await {
            Ok((listener, path)) => {
                let removal = Removal { launcher, user: user.clone(), path: path.clone() };
                let accepting = accept_all(listener, who, client, backlog.clone(), Arc::clone(journal));
                let forwarded = Self { path, accepting: tokio::spawn(accepting), removal: Some(removal) };
                journal.note(Detail::AgentForward { outcome: Outcome::ok() }).await;
                Some(forwarded)
            }
            Err(error) => {
                tracing::warn!(login = %user.name, error = &error as &dyn std::error::Error, "the agent is not forwarded");
                let outcome = Outcome::failed(ssh::refuse::chain(&error));
                journal.note(Detail::AgentForward { outcome }).await;
                None
            }
        }
    }

    /// The socket's path, for `SSH_AUTH_SOCK`.
    pub(super) fn path(&self) -> String {
        self.path.to_string_lossy().into_owned()
    }

    /// Stops forwarding and removes the socket.
    pub(super) async fn end(mut self) {
        self.accepting.abort();
        if let Some(removal) = self.removal.take() {
            removal.run().await;
        }
    }
}

impl Drop for Forwarded {
    fn drop(&mut self) {
        self.accepting.abort();
        if let (Some(removal), Ok(runtime)) = (self.removal.take(), tokio::runtime::Handle::try_current()) {
            runtime.spawn(removal.run());
        }
    }
}

/// Removes a socket and its folder, as the user.
struct Removal {
    launcher: Launcher,
    user: HostUser,
    path: PathBuf,
}

impl Removal {
    async fn run(self) {
        if let Err(error) = self.launcher.remove_agent(&self.user, &self.path).await {
            tracing::debug!(%error, "an agent's socket was left behind");
        }
    }
}

async fn accept_all(
    listener: UnixListener,
    who: SignedIn,
    client: Handle,
    backlog: Backlog,
    journal: Arc<Journal>,
) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let next =
            who.service().patience.accept("a program that asks the forwarded agent", || listener.accept());
        let mut local = match next.await {
            Ok((local, _)) => local,
            Err(error) => {
                tracing::warn!(%error, "an agent is not forwarded any more");
                return;
            }
        };
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        if let Err(reason) = who.agent_permit() {
            // The waiting connection ends at once, and nobody gets another.
            drop((local, listener));
            journal.note(Detail::AgentForward { outcome: Outcome::failed(reason) }).await;
            return;
        }
        let (client, backlog) = (client.clone(), backlog.clone());
        tokio::spawn(async move {
            if let Ok(channel) = client.channel_open_agent().await {
                let mut remote = Ahead::new(channel, &backlog);
                let _ = tokio::io::copy_bidirectional(&mut local, &mut remote).await;
            }
            drop(place);
        });
    }
}
