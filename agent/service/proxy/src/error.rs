//! Why a user does not get through. Each is one sentence the user sees.

use domain::access::Denied;
use domain::route::RouteError;
use port::dial::DialError;
use ssh::user::NotAdmitted;

/// Why a connection to a node was not made.
#[derive(Debug, thiserror::Error)]
pub enum ProxyError {
    /// The target means no node, or several.
    #[error(transparent)]
    Route(#[from] RouteError),
    /// The roles do not open the node.
    #[error("access denied: {0}")]
    Denied(#[from] Denied),
    /// The user was locked since they signed in, or the node is.
    #[error("access denied: {0}")]
    NotAdmitted(#[from] NotAdmitted),
    /// The node does not answer.
    #[error("{}", ssh::refuse::chain(.0))]
    Dial(#[from] DialError),
    /// Too many connections at once over one SSH connection.
    #[error("too many connections over one SSH connection (at most {0})")]
    TooMany(usize),
}
