//! Starting things as users of this host.
//!
//! The daemon never becomes anyone. It hands each request to its helper ([`crate::child`]), which it
//! starts when first needed and ends when nobody has asked for a while, so an idle agent has none.
//! Refuses, before anything is started, what could not work: a daemon that is not root has no other
//! users. Called by the node.

mod exchange;
mod helper;

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use port::host_user::HostUser;
use rustix::pipe::{PipeFlags, pipe_with};
use tokio::net::unix::pipe;
use tokio::time::timeout;

pub(crate) use self::exchange::{Exchange, Outcome};
use self::helper::Helpers;
use crate::session::{Program, Pty, Session, SpawnError, SpawnRequest, Streams};
use crate::turns::Turns;
use crate::users;
use crate::wire::{Identity, MESSAGE_MAX, ProgramTask, Request, SessionTask, Task, TerminalTask};

/// How long a user's program may take to begin; a home folder on a server that does not answer takes
/// longer.
const START_TIMEOUT: Duration = Duration::from_secs(30);

/// How sessions are started.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The program that calls [`crate::child::main_if_child`]: this one, unless a test says otherwise.
    pub program: PathBuf,
    /// How long the helper stays when nobody asks for anything.
    pub idle: Duration,
    /// Files that close the host to everyone but root while they exist.
    pub nologin: Vec<PathBuf>,
    /// Lists the shells that restrict nobody, as shells(5): whose shell is another gets no built-in
    /// program. Root does.
    pub shells: PathBuf,
    /// Variables of the daemon that sessions start with; `LANG` and `TZ` are passed on, others are not.
    pub inherited: Vec<(OsString, OsString)>,
}

impl Default for Settings {
    /// This very program, even when its file has been replaced since; the language and time zone this
    /// process was started with.
    fn default() -> Self {
        Self {
            program: "/proc/self/exe".into(),
            idle: Duration::from_secs(60),
            nologin: vec!["/etc/nologin".into(), "/run/nologin".into()],
            shells: "/etc/shells".into(),
            inherited: ["LANG", "TZ"]
                .into_iter()
                .filter_map(|name| Some((name.into(), std::env::var_os(name)?)))
                .collect(),
        }
    }
}

/// Starts sessions and small operations as users. Clones share one helper.
#[derive(Debug, Clone)]
pub struct Launcher {
    settings: Arc<Settings>,
    helpers: Arc<Helpers>,
    pub(crate) turns: Arc<Turns>,
}

impl Launcher {
    /// A launcher; nothing is started yet. All its calls must come from one runtime.
    pub fn new(settings: Settings) -> Self {
        let settings = Arc::new(settings);
        Self { helpers: Arc::new(Helpers::new(Arc::clone(&settings))), turns: Arc::default(), settings }
    }

    /// Starts the helper if there is none, so that the next session need not wait for it. Worth
    /// calling when a client has connected and is still proving who it is.
    ///
    /// # Errors
    /// [`SpawnError::Helper`].
    pub async fn warm(&self) -> Result<(), SpawnError> {
        self.helpers.warm().await
    }

    /// Runs a program as a user. Returns when the user's shell (or the built-in program) has taken
    /// over. A call that is given up leaves nothing running.
    ///
    /// # Errors
    /// [`SpawnError`] says what failed and what to do.
    pub async fn spawn(&self, request: SpawnRequest) -> Result<Session, SpawnError> {
        check_privilege(&request.user)?;
        let (launcher, login) = (self.clone(), request.user.name.clone());
        // A task of its own: a caller that gives up half-way must not lose track of the process.
        let task = tokio::spawn(async move { launcher.start(request).await });
        match task.await {
            Ok(session) => session,
            Err(error) => {
                tracing::warn!(%login, %error, "a session was dropped while it started");
                Err(SpawnError::HelperGone(io::Error::other(error)))
            }
        }
    }

    async fn start(self, request: SpawnRequest) -> Result<Session, SpawnError> {
        let login = request.user.name.clone();
        let started = timeout(START_TIMEOUT, self.start_session(request)).await;
        started.unwrap_or(Err(SpawnError::Timeout { login, seconds: START_TIMEOUT.as_secs() }))
    }

    async fn start_session(self, request: SpawnRequest) -> Result<Session, SpawnError> {
        let (identity, tty_group) = (identity_of(&request.user), tty_group().await);
        let SpawnRequest { user, program, env, terminal, read_user_env } = request;
        let has_report = matches!(program, Program::Builtin(_));
        let ends = Ends::make(terminal.as_ref(), &user, tty_group, has_report)?;
        let task = SessionTask {
            program: match program {
                Program::Shell => ProgramTask::Shell,
                Program::Command(line) => command(line)?,
                Program::Builtin(name) => ProgramTask::Builtin(name.to_owned()),
            },
            login: user.name.clone(),
            home: user.home.clone(),
            shell: user.shell.clone(),
            env: check_variables(env)?,
            read_user_env,
            terminal: match (terminal, &ends.streams) {
                (Some(terminal), Streams::Pty(pty)) => Some(TerminalTask {
                    term: no_nul(terminal.term, "the terminal's name")?,
                    name: pty.name().to_owned(),
                }),
                _ => None,
            },
            nofile: crate::process::original_nofile_limit(),
            nologin: self.settings.nologin.clone(),
            shells: self.settings.shells.clone(),
            has_report,
        };
        let request = Request { identity, task: Task::Session(Box::new(task)) };
        let exchange = self.begin(&request, &ends.child, &user.name).await?;
        drop(ends.child);
        let process = exchange.running(&user).await?;
        Ok(Session { streams: ends.streams, process, report: ends.report })
    }

    /// Hands a request and its descriptors to the helper.
    pub(crate) async fn begin(
        &self,
        request: &Request,
        descriptors: &[OwnedFd],
        login: &str,
    ) -> Result<Exchange, SpawnError> {
        let message = serde_json::to_vec(request).map_err(|_| SpawnError::Text { what: "a path" })?;
        if message.len() > MESSAGE_MAX {
            return Err(SpawnError::TooLarge { bytes: message.len(), max: MESSAGE_MAX });
        }
        let (control, theirs) = crate::socket::pair().map_err(SpawnError::Pipe)?;
        let mut all: Vec<BorrowedFd<'_>> = vec![theirs.as_fd()];
        all.extend(descriptors.iter().map(AsFd::as_fd));
        self.helpers.send(&message, &all).await?;
        // The helper has its own now; ours would keep the socket from ever ending.
        drop(theirs);
        Exchange::begin(control, login).await
    }
}

/// Whether this daemon can become the user at all.
pub(crate) fn check_privilege(user: &HostUser) -> Result<(), SpawnError> {
    let daemon = rustix::process::geteuid();
    if daemon.is_root() || daemon.as_raw() == user.uid {
        return Ok(());
    }
    Err(SpawnError::NotPrivileged { login: user.name.clone(), daemon: daemon.as_raw() })
}

/// Whom the child becomes.
pub(crate) fn identity_of(user: &HostUser) -> Identity {
    Identity { uid: user.uid, gid: user.gid, groups: user.groups.clone() }
}

/// The group of terminals. Asks the user database once, which may block.
async fn tty_group() -> Option<u32> {
    static FOUND: tokio::sync::OnceCell<Option<u32>> = tokio::sync::OnceCell::const_new();
    let find = || async { tokio::task::spawn_blocking(|| users::group_id("tty")).await.ok().flatten() };
    *FOUND.get_or_init(find).await
}

/// Both sides of a session's streams.
struct Ends {
    streams: Streams,
    report: Option<pipe::Receiver>,
    /// Standard input, output, error, and the report where there is one.
    child: Vec<OwnedFd>,
}

impl Ends {
    fn make(
        terminal: Option<&crate::session::Terminal>,
        user: &HostUser,
        tty_group: Option<u32>,
        has_report: bool,
    ) -> Result<Self, SpawnError> {
        let (streams, mut child) = match terminal {
            Some(terminal) => terminal_ends(terminal, user, tty_group).map_err(SpawnError::Terminal)?,
            None => pipe_ends().map_err(SpawnError::Pipe)?,
        };
        let mut report = None;
        if has_report {
            let (read, write) = readable_pipe().map_err(SpawnError::Pipe)?;
            report = Some(read);
            child.push(write);
        }
        Ok(Self { streams, report, child })
    }
}

fn terminal_ends(
    terminal: &crate::session::Terminal,
    user: &HostUser,
    tty_group: Option<u32>,
) -> io::Result<(Streams, Vec<OwnedFd>)> {
    let (pty, slave) = Pty::open(terminal, user, tty_group)?;
    let child = vec![slave.try_clone()?, slave.try_clone()?, slave];
    Ok((Streams::Pty(pty), child))
}

fn pipe_ends() -> io::Result<(Streams, Vec<OwnedFd>)> {
    let (child_in, write) = pipe_with(PipeFlags::CLOEXEC)?;
    let stdin = pipe::Sender::from_owned_fd(write)?;
    let (stdout, child_out) = readable_pipe()?;
    let (stderr, child_err) = readable_pipe()?;
    Ok((Streams::Pipes { stdin, stdout, stderr }, vec![child_in, child_out, child_err]))
}

/// A pipe the daemon reads without blocking and the child writes to as programs expect.
fn readable_pipe() -> io::Result<(pipe::Receiver, OwnedFd)> {
    let (read, write) = pipe_with(PipeFlags::CLOEXEC)?;
    Ok((pipe::Receiver::from_owned_fd(read)?, write))
}

fn command(line: OsString) -> Result<ProgramTask, SpawnError> {
    let what = "the command";
    match line.into_string() {
        Ok(text) => Ok(ProgramTask::Command(no_nul(text, what)?)),
        Err(line) if line.as_bytes().contains(&0) => Err(SpawnError::Text { what }),
        Err(line) => Ok(ProgramTask::RawCommand(line.into_vec())),
    }
}

fn no_nul(text: String, what: &'static str) -> Result<String, SpawnError> {
    if text.contains('\0') { Err(SpawnError::Text { what }) } else { Ok(text) }
}

fn check_variables(env: Vec<(String, String)>) -> Result<Vec<(String, String)>, SpawnError> {
    match env.iter().any(|(name, value)| name.contains('\0') || value.contains('\0')) {
        true => Err(SpawnError::Text { what: "a variable" }),
        false => Ok(env),
    }
}
