//! Why a session does not start. The user sees it on their terminal.

use port::audit::AuditError;
use port::host_user::HostUserError;
use sys::session::SpawnError;

/// Why a session does not start, or is lost.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SessionError {
    /// No session without a record of it.
    #[error("the session cannot be recorded, so it is not started; tell the administrator")]
    NotRecorded(#[source] AuditError),
    /// There is no such user.
    #[error(transparent)]
    User(#[from] HostUserError),
    /// The look-up itself failed.
    #[error("cannot look the login up")]
    Lookup(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The program cannot be started.
    #[error(transparent)]
    Spawn(#[from] SpawnError),
    /// The client went away before the program ended, which was hung up then.
    #[error("the client went away")]
    HungUp,
    /// The system lost track of the process.
    #[error("the session was lost")]
    Lost(#[source] std::io::Error),
}
