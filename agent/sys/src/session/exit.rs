//! How a program ended.

use rustix::process::WaitStatus;

use super::signal::Signal;

/// How a session's program ended (RFC 4254 section 6.10).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExitStatus {
    /// By itself.
    Code(u32),
    /// By a signal.
    Signal {
        /// Its name as SSH writes it, without `SIG`; `SIG@openssh.com` for one SSH does not know.
        name: &'static str,
        /// Its number on this system.
        number: i32,
        /// Whether it left a memory image.
        core_dumped: bool,
    },
}

impl ExitStatus {
    /// Whether it ended by itself with code 0.
    pub fn success(&self) -> bool {
        *self == Self::Code(0)
    }

    pub(crate) fn of(status: WaitStatus) -> Self {
        if let Some(number) = status.terminating_signal() {
            // wait(2): the bit above the signal number tells of a memory image.
            let core_dumped = status.as_raw() & 0x80 != 0;
            return Self::Signal { name: Signal::name_of(number), number, core_dumped };
        }
        Self::Code(status.exit_status().and_then(|code| u32::try_from(code).ok()).unwrap_or(u32::MAX))
    }
}
