//! One session: a shell, a command or a file transfer, from its first event to its last.
//!
//! The order is fixed. The beginning is recorded before anything starts, so no session is without a
//! trace; what happened is recorded when it ended. The program runs in a process of its own that is
//! the user's from the first instruction on; nothing of ours stays beside it.

use std::ffi::OsString;
use std::sync::Arc;
use std::time::Duration;

use domain::access::SessionPermit;
use domain::audit::Detail;
use port::host_user::HostUser;
use russh::server::Msg;
use russh::{Channel, ChannelWriteHalf};
use ssh::ahead::AheadReader;
use ssh::ahead::backlog::Backlog;
use sys::session::{ExitStatus, SpawnRequest, Terminal};
use tokio::sync::mpsc;

use crate::connection::signed_in::SignedIn;
use crate::service::NodeService;

pub(crate) mod agent;
mod end;
pub(crate) mod environment;
mod error;
pub(crate) mod journal;
mod report;
pub(crate) mod scp;
mod streams;

use end::{CANNOT_START, send_end};
use error::SessionError;
use journal::Journal;
use scp::Copying;

/// How long what a file transfer has reported may take to be written down after it ended. Later than
/// that it still is, behind the session's end.
const LAST_REPORTS: Duration = Duration::from_secs(10);

/// What a client does to a session while it runs.
#[derive(Debug)]
pub(crate) enum Control {
    /// Its terminal has another size.
    Resize(sys::session::WindowSize),
    /// It sends a signal.
    Signal(sys::session::Signal),
}

/// What to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// The login shell.
    Shell,
    /// A command line.
    Command(OsString),
    /// The SFTP server.
    Sftp,
}

impl Wanted {
    /// The command line, where there is one.
    fn command_line(&self) -> Vec<String> {
        match self {
            Self::Command(command) => vec![command.to_string_lossy().into_owned()],
            Self::Shell | Self::Sftp => Vec::new(),
        }
    }
}

/// Everything about a session that is about to start.
pub(crate) struct Plan {
    pub(crate) service: Arc<NodeService>,
    pub(crate) permit: SessionPermit,
    pub(crate) journal: Arc<Journal>,
    pub(crate) wanted: Wanted,
    pub(crate) env: Vec<(String, String)>,
    pub(crate) terminal: Option<Terminal>,
    pub(crate) channel: Channel<Msg>,
    /// The client's connection.
    pub(crate) client: russh::server::Handle,
    /// Whose agent is forwarded, if it is.
    pub(crate) agent: Option<SignedIn>,
    pub(crate) control: mpsc::Receiver<Control>,
    /// What waits on the client's connection.
    pub(crate) backlog: Backlog,
}

impl Plan {
    /// Runs the session to its end.
    pub(crate) async fn run(self) {
        let metrics = self.service.deps.metrics.clone();
        metrics.sessions.inc();
        let _counted = scopeguard(move || {
            metrics.sessions.dec();
        });
        let Self {
            service,
            permit,
            journal,
            wanted,
            env,
            terminal,
            channel,
            client,
            agent,
            control,
            backlog,
        } = self;
        let (read, write) = channel.split();
        let started = service.deps.clock.now();
        let interactive = terminal.is_some();
        let size = terminal.as_ref().map(|terminal| format!("{}:{}", terminal.size.cols, terminal.size.rows));
        let start = Detail::SessionStart { size, interactive, initial_command: wanted.command_line() };
        if let Err(error) = journal.record(start).await {
            refuse(&client, &write, SessionError::NotRecorded(error)).await;
            return;
        }
        let begin = Begin {
            service: &service,
            permit: &permit,
            journal: &journal,
            wanted: &wanted,
            backlog: &backlog,
        };
        let agent = agent.map(|who| (who, client.clone()));
        let outcome = begin.session(env, terminal, agent, control, (read, &write)).await;
        let detail = ended(&wanted, &outcome);
        match outcome {
            Ok(status) => send_end(&client, &write, &status).await,
            Err(error) => refuse(&client, &write, error).await,
        }
        if let Some(detail) = detail {
            journal.note(detail).await;
        }
        let end = Detail::SessionEnd {
            interactive,
            participants: vec![permit.user().to_owned()],
            session_start: started,
            session_stop: service.deps.clock.now(),
            enhanced_recording: false,
            reason: None,
        };
        journal.note(end).await;
    }
}

/// What is needed to begin.
struct Begin<'a> {
    service: &'a Arc<NodeService>,
    permit: &'a SessionPermit,
    journal: &'a Arc<Journal>,
    wanted: &'a Wanted,
    backlog: &'a Backlog,
}

impl Begin<'_> {
    /// Runs the session with what belongs to it: a forwarded agent is there before the program and
    /// goes with it, however it ends.
    async fn session(
        &self,
        mut env: Vec<(String, String)>,
        terminal: Option<Terminal>,
        agent: Option<(SignedIn, russh::server::Handle)>,
        control: mpsc::Receiver<Control>,
        channel: (russh::ChannelReadHalf, &ChannelWriteHalf<Msg>),
    ) -> Result<ExitStatus, SessionError> {
        let user = self.find_user().await?;
        let agent = match agent {
            Some((who, client)) => {
                agent::Forwarded::start(who, &user, client, self.backlog, self.journal).await
            }
            None => None,
        };
        env.extend(agent.as_ref().map(|agent| ("SSH_AUTH_SOCK".to_owned(), agent.path())));
        let request = SpawnRequest {
            user,
            program: program(self.wanted),
            env,
            terminal,
            read_user_env: self.service.settings.permit_user_env,
        };
        let outcome = self.program(request, control, channel).await;
        if let Some(agent) = agent {
            agent.end().await;
        }
        outcome
    }

    /// Runs the program. What was copied is written down also when the client went away meanwhile.
    async fn program(
        &self,
        request: SpawnRequest,
        control: mpsc::Receiver<Control>,
        (read, write): (russh::ChannelReadHalf, &ChannelWriteHalf<Msg>),
    ) -> Result<ExitStatus, SessionError> {
        let home = request.user.home.clone();
        let session = self.service.deps.launcher.spawn(request).await?;
        self.service.deps.metrics.started.inc();
        let reporting =
            session.report.map(|report| tokio::spawn(report::follow(report, Arc::clone(self.journal))));
        let mut copying = match self.wanted {
            Wanted::Command(command) => Copying::of(&command.to_string_lossy()),
            _ => None,
        };
        let client = (AheadReader::new(read, self.backlog), write);
        let obeying = (control, |size| self.resized(size));
        let tap = Copying::tap(copying.as_mut());
        let outcome = streams::carry(&session.process, session.streams, client, obeying, tap).await;
        if outcome.is_err() {
            // Hung up first: what it has to say then is still waited for below.
            drop(session.process);
        }
        if let Some(copying) = copying {
            let success = outcome.as_ref().is_ok_and(ExitStatus::success);
            copying.record(self.journal, &home, success).await;
        }
        if let Some(reporting) = reporting {
            // It ends with the program's last word, unless something of the user's keeps that back.
            let _ = tokio::time::timeout(LAST_REPORTS, reporting).await;
        }
        outcome
    }

    async fn find_user(&self) -> Result<HostUser, SessionError> {
        let (users, login) = (Arc::clone(&self.service.deps.users), self.permit.login().to_owned());
        let found = tokio::task::spawn_blocking(move || users.find(&login)).await;
        Ok(found.map_err(|error| SessionError::Lookup(Box::new(error)))??)
    }

    fn resized(&self, size: sys::session::WindowSize) {
        let detail = Detail::Resize { size: format!("{}:{}", size.cols, size.rows) };
        let journal = Arc::clone(self.journal);
        tokio::spawn(async move { journal.note(detail).await });
    }
}

fn program(wanted: &Wanted) -> sys::session::Program {
    match wanted {
        Wanted::Shell => sys::session::Program::Shell,
        Wanted::Command(command) => sys::session::Program::Command(command.clone()),
        Wanted::Sftp => sys::session::Program::Builtin(crate::sftp::BUILTIN),
    }
}

/// The event of a command's end; shells and transfers have events of their own.
fn ended(wanted: &Wanted, outcome: &Result<ExitStatus, SessionError>) -> Option<Detail> {
    let Wanted::Command(command) = wanted else { return None };
    let (exit_code, exit_error) = match outcome {
        Ok(ExitStatus::Code(code)) => (Some(*code), None),
        Ok(ExitStatus::Signal { name, .. }) => (None, Some(format!("killed by SIG{name}"))),
        Err(error) => (None, Some(ssh::refuse::chain(error))),
    };
    // The log is text: bytes that are none are shown as such.
    let command = command.to_string_lossy().into_owned();
    Some(Detail::Exec { command, exit_code, exit_error })
}

/// A session that does not start: why, on standard error, and an exit status that says so.
async fn refuse(client: &russh::server::Handle, write: &ChannelWriteHalf<Msg>, error: SessionError) {
    let line: String = ssh::refuse::chain(&error).chars().filter(|c| !c.is_control()).collect();
    // A client that is gone need not be told.
    let _ = write.extended_data_bytes(1, format!("{line}\r\n").into_bytes()).await;
    send_end(client, write, &ExitStatus::Code(CANNOT_START)).await;
}

/// Runs the closure when dropped, also when the task is cancelled.
pub(crate) fn scopeguard(undo: impl FnMut()) -> impl Drop {
    struct Guard<F: FnMut()>(F);
    impl<F: FnMut()> Drop for Guard<F> {
        fn drop(&mut self) {
            (self.0)();
        }
    }
    Guard(undo)
}
