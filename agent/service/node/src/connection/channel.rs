//! Session channels: opened, told what they are for, then running.

use std::sync::Arc;

use domain::access::SessionPermit;
use domain::audit::{Context, CopyProtocol, Detail, Outcome};
use russh::server::{Handle, Msg, Session};
use russh::{Channel, ChannelId, Sig};
use sys::session::Terminal;
use tokio::sync::mpsc;

use super::Connection;
use super::signed_in::SignedIn;
use crate::session::environment::{VARIABLES_MAX, about, is_allowed};
use crate::session::journal::Journal;
use crate::session::scp::Copying;
use crate::session::{Control, Plan, Wanted};

/// Resizes and signals that may wait for a session's task.
const CONTROLS: usize = 16;

/// A session channel.
pub(super) enum Slot {
    /// It was opened, and perhaps given a terminal or variables.
    Waiting(Waiting),
    /// It runs a program, which is reached here. Dropping this hangs it up.
    Running(mpsc::Sender<Control>),
}

/// A channel that has yet to be told what to run.
pub(super) struct Waiting {
    channel: Channel<Msg>,
    env: Vec<(String, String)>,
    pub(super) terminal: Option<Terminal>,
    /// Whose agent is forwarded, if it is.
    pub(super) agent: Option<SignedIn>,
}

impl Waiting {
    pub(super) fn new(channel: Channel<Msg>) -> Self {
        Self { channel, env: Vec::new(), terminal: None, agent: None }
    }

    /// Keeps a variable of the client, if it may set it.
    pub(super) fn set_variable(&mut self, name: &str, value: &str) -> bool {
        if self.env.len() >= VARIABLES_MAX || !is_allowed(name, value) {
            return false;
        }
        self.env.push((name.to_owned(), value.to_owned()));
        true
    }

    /// Says why nothing starts, and ends the channel. A client that is gone need not be told.
    pub(super) async fn refuse(self, reason: String) {
        let line: String = reason.chars().filter(|c| !c.is_control()).collect();
        let _ = self.channel.extended_data_bytes(1, format!("access denied: {line}\r\n").into_bytes()).await;
        let _ = self.channel.exit_status(255).await;
        let _ = self.channel.eof().await;
        let _ = self.channel.close().await;
    }
}

/// Why a session does not begin: for the client, and for the log.
struct Refused {
    reason: String,
    detail: Box<Detail>,
}

impl Refused {
    fn session(reason: String) -> Self {
        Self { detail: Box::new(Detail::SessionRejected { reason: reason.clone() }), reason }
    }
}

fn sftp_disallowed(outcome: Outcome) -> Detail {
    Detail::CopyDisallowed { protocol: CopyProtocol::Sftp, path: None, action: None, outcome }
}

impl Connection {
    /// Starts a session on a waiting channel; the answer tells the client whether it begins.
    pub(super) fn start(
        &mut self,
        channel: ChannelId,
        wanted: Wanted,
        session: &mut Session,
    ) -> Result<(), russh::Error> {
        let refused = match self.check_start(&wanted) {
            Ok(permit) => match self.slots.remove(&channel) {
                Some(Slot::Waiting(waiting)) => {
                    session.channel_success(channel)?;
                    let control = self.spawn_session(waiting, permit, wanted, session.handle());
                    self.slots.insert(channel, Slot::Running(control));
                    return Ok(());
                }
                // A channel runs one program in its life (RFC 4254 section 6.5).
                Some(running) => {
                    self.slots.insert(channel, running);
                    return session.channel_failure(channel);
                }
                None => return session.channel_failure(channel),
            },
            Err(refused) => refused,
        };
        let Refused { reason, detail } = refused;
        self.note(*detail);
        if let Some(Slot::Waiting(waiting)) = self.slots.remove(&channel) {
            session.channel_success(channel)?;
            tokio::spawn(waiting.refuse(reason));
            return Ok(());
        }
        session.channel_failure(channel)
    }

    fn check_start(&self, wanted: &Wanted) -> Result<SessionPermit, Refused> {
        let permit = self.signed_in().and_then(|who| who.permit()).map_err(Refused::session)?;
        let reason = "copying files is not allowed here";
        let disallowed = match wanted {
            _ if self.service.settings.file_copy && permit.options().ssh_file_copy => None,
            Wanted::Sftp => Some(sftp_disallowed(Outcome::failed(reason))),
            Wanted::Command(command) => Copying::of(&command.to_string_lossy())
                .map(|copying| copying.disallowed(Outcome::failed(reason))),
            Wanted::Shell => None,
        };
        match disallowed {
            Some(detail) => Err(Refused { reason: reason.to_owned(), detail: Box::new(detail) }),
            None => Ok(permit),
        }
    }

    /// Starts a session's task and returns the way to reach it.
    pub(super) fn spawn_session(
        &self,
        waiting: Waiting,
        permit: SessionPermit,
        wanted: Wanted,
        client: Handle,
    ) -> mpsc::Sender<Control> {
        let Waiting { channel, mut env, terminal, agent } = waiting;
        let service = Arc::clone(&self.service);
        let sid = service.deps.random.uuid().to_string();
        let cluster = service.deps.view.cluster_name();
        env.extend(about(&self.origin, permit.user(), cluster, &service.settings, &sid));
        let context = Context { sid, ..self.entrance.context() };
        let labels = service.labels.borrow().merged(&service.settings.labels);
        let journal = Arc::new(Journal::new(Arc::clone(&service.door), context, labels));
        let (sender, control) = mpsc::channel(CONTROLS);
        let backlog = self.known.backlog().clone();
        let plan = Plan {
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
        };
        tokio::spawn(plan.run());
        sender
    }
}

/// A signal's name as SSH writes it.
pub(super) fn signal_name(signal: &Sig) -> String {
    match signal {
        Sig::ABRT => "ABRT",
        Sig::ALRM => "ALRM",
        Sig::FPE => "FPE",
        Sig::HUP => "HUP",
        Sig::ILL => "ILL",
        Sig::INT => "INT",
        Sig::KILL => "KILL",
        Sig::PIPE => "PIPE",
        Sig::QUIT => "QUIT",
        Sig::SEGV => "SEGV",
        Sig::TERM => "TERM",
        Sig::USR1 => "USR1",
        Sig::Custom(name) => name,
    }
    .to_owned()
}
