//! Why nothing could be run as a user.

use std::io;
use std::path::PathBuf;

use crate::wire::{Failure, Step};

/// Why a session or an operation as a user did not start.
#[derive(Debug, thiserror::Error)]
pub enum SpawnError {
    /// The daemon is not root and the user is someone else.
    #[error(
        "cannot act as login {login:?}: this daemon runs as user id {daemon}, and only root may become \
         someone else; start teleport as root, or log in as the user it runs as"
    )]
    NotPrivileged {
        /// Who was asked for.
        login: String,
        /// The daemon's user id.
        daemon: u32,
    },
    /// The host is closed to everyone but root.
    #[error("logins are closed on this host: {message}; remove /etc/nologin to open them")]
    NoLogin {
        /// What the file says, or its path.
        message: String,
    },
    /// The shell is not there or cannot be run.
    #[error(
        "cannot run the shell {shell:?} of login {login:?}; set one that exists with: usermod --shell /bin/sh {login}"
    )]
    Shell {
        /// Whose.
        login: String,
        /// Which.
        shell: PathBuf,
        /// What happened.
        #[source]
        source: io::Error,
    },
    /// The shell is one that lets nobody in, and what was asked for would go past it.
    #[error("login {login:?} may not log in: its shell is {shell:?}")]
    ShellRefuses {
        /// Whose.
        login: String,
        /// Which.
        shell: PathBuf,
    },
    /// The shell may be one that restricts its users, and what was asked for would go past it.
    #[error(
        "cannot copy files as login {login:?}: its shell {shell:?} is not listed in {list}; add the shell there if \
         it lets its users do what they like, or set another with: usermod --shell /bin/sh {login}"
    )]
    ShellNotListed {
        /// Whose.
        login: String,
        /// Which.
        shell: PathBuf,
        /// The file that does not list it.
        list: String,
    },
    /// No terminal was to be had.
    #[error(
        "cannot make a terminal; check that /dev/pts is mounted and `sysctl kernel.pty.max` is not reached"
    )]
    Terminal(#[source] io::Error),
    /// No pipe was to be had.
    #[error("cannot make the pipes of a session; check the limit of open files (ulimit -n)")]
    Pipe(#[source] io::Error),
    /// The process that becomes sessions cannot be started.
    #[error("cannot start the session helper {program:?}; check that the teleport program may be executed")]
    Helper {
        /// What was to be executed.
        program: PathBuf,
        /// What happened.
        #[source]
        source: io::Error,
    },
    /// It ended while it was asked.
    #[error("the session helper ended before the session began; try again")]
    HelperGone(#[source] io::Error),
    /// The system gives no further process.
    #[error(
        "cannot make a process for login {login:?}; check the limits of processes (ulimit -u, cgroup pids.max)"
    )]
    NoProcess {
        /// For whom.
        login: String,
        /// What happened.
        #[source]
        source: io::Error,
    },
    /// The command and its variables are too long.
    #[error("the command and its variables are {bytes} bytes long, more than {max}")]
    TooLarge {
        /// How long they are, in bytes.
        bytes: usize,
        /// How long they may be, in bytes.
        max: usize,
    },
    /// A text that the system cannot take.
    #[error("{what} holds a NUL byte or is no UTF-8 text; programs cannot be given that")]
    Text {
        /// Which.
        what: &'static str,
    },
    /// The child could not become the user or run the program.
    #[error("cannot {step} for login {login:?}")]
    Child {
        /// Whose.
        login: String,
        /// What it was doing.
        step: &'static str,
        /// What happened.
        #[source]
        source: io::Error,
    },
    /// It took too long.
    #[error("login {login:?} did not start within {seconds} s; check that its home folder answers")]
    Timeout {
        /// Whose.
        login: String,
        /// How long was waited.
        seconds: u64,
    },
}

impl SpawnError {
    /// What the child said, as an error about this login.
    pub(crate) fn of(failure: Failure, login: &str, shell: &std::path::Path) -> Self {
        let login = login.to_owned();
        match failure.step {
            Step::NoLogin => Self::NoLogin { message: failure.detail },
            Step::Shell => Self::Shell { login, shell: shell.to_owned(), source: failure.into_io() },
            Step::ShellRefuses => Self::ShellRefuses { login, shell: shell.to_owned() },
            Step::ShellNotListed => {
                Self::ShellNotListed { login, shell: shell.to_owned(), list: failure.detail }
            }
            step => Self::Child { login, step: describe(step), source: failure.into_io() },
        }
    }
}

/// What the child was doing, to follow "cannot".
fn describe(step: Step) -> &'static str {
    match step {
        Step::Request => "read the request",
        Step::NoLogin => "read /etc/nologin",
        Step::Session => "begin a process session",
        Step::Terminal => "take the terminal",
        Step::Descriptors => "arrange the standard streams",
        Step::Limits => "restore the limit of open files",
        Step::Groups => "set the supplementary groups",
        Step::Group => "set the group id",
        Step::User => "set the user id",
        Step::Capabilities => "give up capabilities",
        Step::StillPrivileged => "give up root",
        Step::Shell | Step::ShellRefuses | Step::ShellNotListed => "run the shell",
        Step::Builtin => "find the built-in program",
        Step::Operation => "do what was asked",
    }
}
