//! The users of this host's operating system.

use std::path::PathBuf;

/// One operating-system user.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct HostUser {
    /// Login name.
    pub name: String,
    /// User id.
    pub uid: u32,
    /// Primary group id.
    pub gid: u32,
    /// All its groups, the primary one with them. None where this process could not give them to anybody.
    pub groups: Vec<u32>,
    /// Home folder.
    pub home: PathBuf,
    /// Login shell.
    pub shell: PathBuf,
}

/// Why a user cannot be looked up.
#[derive(Debug, thiserror::Error)]
pub enum HostUserError {
    /// No such user.
    #[error("login {0:?} does not exist on this host; create it with: useradd --create-home {0}")]
    Unknown(String),
    /// The system's user database does not answer.
    #[error("cannot look up login {login:?}")]
    Lookup {
        /// Who was asked for.
        login: String,
        /// What happened.
        #[source]
        source: std::io::Error,
    },
    /// Its groups cannot be looked up.
    #[error("cannot look up the groups of login {login:?}")]
    Groups {
        /// Whose.
        login: String,
        /// What happened.
        #[source]
        source: std::io::Error,
    },
}

/// Looks users up.
pub trait HostUsers: Send + Sync + 'static {
    /// The user of this name. May block for as long as the system's user database takes.
    ///
    /// # Errors
    /// [`HostUserError`] when there is none.
    fn find(&self, login: &str) -> Result<HostUser, HostUserError>;
}
