//! A program that runs as a user of this host: its streams, its terminal, its end.
//!
//! [`crate::launch::Launcher::spawn`] makes one from a [`SpawnRequest`]. What the child does between
//! is in [`crate::child`].

mod error;
pub mod exit;
pub mod modes;
pub mod process;
pub mod pty;
pub mod signal;

use std::ffi::OsString;

use port::host_user::HostUser;
use tokio::net::unix::pipe;

pub use self::error::SpawnError;
pub use self::exit::ExitStatus;
pub use self::process::Process;
pub use self::pty::{Pty, WindowSize};
pub use self::signal::Signal;

/// What to run, as whom, with what.
#[derive(Debug, Clone)]
pub struct SpawnRequest {
    /// Whom to become.
    pub user: HostUser,
    /// What to run.
    pub program: Program,
    /// Variables from the client and the node (`SSH_CLIENT`, `SSH_AUTH_SOCK`, …). What the login
    /// defines itself (`HOME`, `USER`, `LOGNAME`, `SHELL`, `PATH`, `MAIL`, `TERM`, `SSH_TTY`) wins.
    pub env: Vec<(String, String)>,
    /// The terminal to give, where one was asked for.
    pub terminal: Option<Terminal>,
    /// Whether `~/.tsh/environment` is read, as the user; it wins over all other variables. This
    /// lets users decide how programs are loaded, so it is off unless the operator says otherwise.
    pub read_user_env: bool,
}

/// What a session runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Program {
    /// The user's login shell.
    Shell,
    /// A command line, by the user's shell: bytes, of which none is a NUL.
    Command(OsString),
    /// A part of this program, by the name under which it was handed to
    /// [`crate::child::main_if_child`]. The only program that has a report to write.
    Builtin(&'static str),
}

/// A terminal as a client asks for one (RFC 4254 section 6.2).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Terminal {
    /// The value of `TERM`.
    pub term: String,
    /// How large it is.
    pub size: WindowSize,
    /// Encoded terminal modes, opcode and argument, in the client's order (RFC 4254 section 8).
    pub modes: Vec<(u8, u32)>,
}

/// A running session.
///
/// Dropping its [`Process`] hangs it up, as sshd hangs up a terminal.
#[derive(Debug)]
pub struct Session {
    /// Its streams.
    pub streams: Streams,
    /// The process itself: signals and its end.
    pub process: Process,
    /// What a built-in program reports, one JSON document per line; none for other programs. The
    /// program waits when nobody reads it.
    pub report: Option<pipe::Receiver>,
}

/// Where a session's bytes go.
#[derive(Debug)]
pub enum Streams {
    /// One terminal.
    Pty(Pty),
    /// Three pipes.
    Pipes {
        /// Written to by the daemon; dropping it is the end of input.
        stdin: pipe::Sender,
        /// Read by the daemon.
        stdout: pipe::Receiver,
        /// Read by the daemon.
        stderr: pipe::Receiver,
    },
}
