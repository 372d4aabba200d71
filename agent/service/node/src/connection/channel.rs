//! Session channels: opened, told what they are for, then running.

use std::sync::Arc;

use domain::access::SessionPermit;
use russh::server::{Handle, Msg};
use russh::{Channel, Sig};
use sys::session::Terminal;
use tokio::sync::mpsc;

use super::Connection;
use super::signed_in::SignedIn;
use crate::session::environment::{VARIABLES_MAX, about, is_allowed};
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

impl Connection {
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
        let (cluster, host) = (service.deps.view.cluster_name().to_owned(), service.settings.host_id);
        env.extend(about(&self.origin, permit.user(), &cluster, host, &sid));
        let context = domain::audit::Context { sid, ..self.entrance.context() };
        let (sender, control) = mpsc::channel(CONTROLS);
        let backlog = self.known.backlog().clone();
        let plan = Plan {
            service,
            permit,
            context,
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
