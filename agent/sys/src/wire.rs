//! What the daemon asks of its helper and what comes back: one JSON document per message.
//!
//! Both ends are the same program, so there is no version. The daemon builds requests and checks
//! them; the child trusts them, because nobody else holds the other end of its socket.

use std::net::SocketAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// The name a helper is started under, and how the program knows that it is one.
pub(crate) const HELPER_NAME: &str = "teleport-session-helper";

/// The largest message, in bytes. Linux refuses longer single arguments to a program anyway.
pub(crate) const MESSAGE_MAX: usize = 128 * 1024;

/// One thing to do as a user.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Request {
    pub(crate) identity: Identity,
    pub(crate) task: Task,
}

/// Whom to become.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Identity {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    /// All groups, looked up by the daemon: the child never asks a user database.
    pub(crate) groups: Vec<u32>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Task {
    Session(Box<SessionTask>),
    ConnectUnix(PathBuf),
    ListenUnix {
        path: PathBuf,
        unlink_existing: bool,
    },
    ListenAgent,
    RemoveAgent(PathBuf),
    ListenTcp(SocketAddr),
    /// Begins a connection; the daemon waits for it.
    ConnectTcp(SocketAddr),
}

/// A session. Its descriptors come beside it: standard input, output, error, then the report.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct SessionTask {
    pub(crate) program: ProgramTask,
    pub(crate) login: String,
    pub(crate) home: PathBuf,
    pub(crate) shell: PathBuf,
    /// From the client and the node; what the login itself defines wins over it.
    pub(crate) env: Vec<(String, String)>,
    pub(crate) read_user_env: bool,
    pub(crate) terminal: Option<TerminalTask>,
    /// Soft and hard limit of open files to go back to.
    pub(crate) nofile: Option<(u64, u64)>,
    /// Files whose existence closes the host to everyone but root.
    pub(crate) nologin: Vec<PathBuf>,
    /// Lists the shells that restrict nobody.
    pub(crate) shells: PathBuf,
    pub(crate) has_report: bool,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum ProgramTask {
    Shell,
    Command(String),
    /// One that is no UTF-8, and so no JSON text.
    RawCommand(Vec<u8>),
    Builtin(String),
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct TerminalTask {
    /// `TERM`; may be empty.
    pub(crate) term: String,
    /// `/dev/pts/N`.
    pub(crate) name: String,
}

/// What comes back. A session that runs says nothing: its end of the socket closes when the user's
/// program takes the child's place.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Answer {
    /// From the helper: this process is the child.
    Started(u32),
    /// From the helper: the system would not give a process.
    NoProcess(i32),
    /// From the child: an operation is done; a descriptor may come beside it.
    Done(Option<PathBuf>),
    /// From the child.
    Failed(Failure),
}

/// The step of the child that failed.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Failure {
    pub(crate) step: Step,
    /// The system's error number; zero when it was no system call that failed.
    pub(crate) errno: i32,
    /// What more is known, such as the text of `/etc/nologin`.
    pub(crate) detail: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Step {
    Request,
    NoLogin,
    Session,
    Terminal,
    Descriptors,
    Limits,
    Groups,
    Group,
    User,
    Capabilities,
    StillPrivileged,
    Shell,
    ShellRefuses,
    ShellNotListed,
    Builtin,
    Operation,
}

impl Failure {
    /// A system call failed.
    pub(crate) fn system(step: Step, error: impl Into<std::io::Error>) -> Self {
        let error = error.into();
        let detail = if error.raw_os_error().is_some() { String::new() } else { error.to_string() };
        Self { step, errno: error.raw_os_error().unwrap_or(0), detail }
    }

    /// A rule was broken.
    pub(crate) fn rule(step: Step, detail: impl Into<String>) -> Self {
        Self { step, errno: 0, detail: detail.into() }
    }

    /// The failure as an error of the system.
    pub(crate) fn into_io(self) -> std::io::Error {
        if self.errno == 0 {
            std::io::Error::other(self.detail)
        } else {
            std::io::Error::from_raw_os_error(self.errno)
        }
    }
}
