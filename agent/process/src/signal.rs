//! Signals of the operator.

use tokio::signal::unix::{Signal, SignalKind, signal};

/// What an operator asks for by a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// INT or TERM: stop now.
    Stop,
    /// QUIT: take no more, let what runs end, then stop.
    Drain,
    /// USR1: write diagnostics to the log.
    Diagnostics,
    /// HUP: open the log files anew, after they were rotated.
    ReopenLog,
}

/// The signals, from the moment this is made.
pub struct Signals {
    interrupt: Signal,
    terminate: Signal,
    quit: Signal,
    usr1: Signal,
    hangup: Signal,
}

impl Signals {
    /// Starts to take signals instead of dying of them.
    ///
    /// # Errors
    /// Those of the system; none are known to happen.
    pub fn take() -> std::io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            quit: signal(SignalKind::quit())?,
            usr1: signal(SignalKind::user_defined1())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// The next signal.
    pub async fn next(&mut self) -> Asked {
        tokio::select! {
            _ = self.interrupt.recv() => Asked::Stop,
            _ = self.terminate.recv() => Asked::Stop,
            _ = self.quit.recv() => Asked::Drain,
            _ = self.usr1.recv() => Asked::Diagnostics,
            _ = self.hangup.recv() => Asked::ReopenLog,
        }
    }
}
