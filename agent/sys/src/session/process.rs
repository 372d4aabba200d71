//! One child process: its signals, its end, and that it never stays behind as a zombie.
//!
//! The lock around the status makes sure that nothing is sent to a process number after the process
//! was reaped, when the number may be someone else's.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::io::Errno;
use rustix::process::{
    Pid, PidfdFlags, Signal as Number, WaitOptions, kill_process, kill_process_group, pidfd_open, waitpid,
};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::runtime::Handle;
use tokio::signal::unix::{SignalKind, signal};

use crate::descriptor;
use crate::turns::Turn;

use super::exit::ExitStatus;
use super::signal::Signal;

/// A session's process. Dropping it hangs the session up: the process group gets `HUP`, and the
/// process is reaped in the background whenever it ends.
#[derive(Debug)]
pub struct Process {
    child: Option<Child>,
    runtime: Handle,
    /// What is given back when it has been reaped, and in part as soon as this is dropped.
    turn: Option<Turn>,
}

#[derive(Debug)]
struct Child {
    pid: Pid,
    status: Mutex<Option<ExitStatus>>,
    end: End,
}

/// How the end of the process is noticed.
#[derive(Debug)]
enum End {
    Descriptor(AsyncFd<OwnedFd>),
    /// Kernels before 5.3 give no descriptor for a process; there, every child's end is looked at.
    ChildSignal(tokio::sync::Mutex<tokio::signal::unix::Signal>),
}

impl Process {
    /// Takes over a child of this process. Needs a runtime.
    pub(crate) fn adopt(pid: u32) -> io::Result<Self> {
        let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or(Errno::SRCH)?;
        let child = Some(Child::watch(pid, watch_descriptor(pid)?));
        Ok(Self { child, runtime: Handle::current(), turn: None })
    }

    /// Keeps this until the process has been reaped. Of a process that is dropped before, only what
    /// counts against its user is kept.
    pub(crate) fn hold(&mut self, turn: Turn) {
        self.turn = Some(turn);
    }

    /// Its process number.
    pub fn id(&self) -> u32 {
        self.child.as_ref().map_or(0, |child| child.pid.as_raw_nonzero().get().unsigned_abs())
    }

    /// Waits for its end. May be asked again and from several tasks, and may be given up.
    ///
    /// # Errors
    /// Only when the system loses track of the process, which means a defect of ours.
    pub async fn wait(&self) -> io::Result<ExitStatus> {
        match &self.child {
            Some(child) => child.wait().await,
            None => Err(Errno::CHILD.into()),
        }
    }

    /// Its status, if it has ended.
    ///
    /// # Errors
    /// Those of [`Process::wait`].
    pub fn try_wait(&self) -> io::Result<Option<ExitStatus>> {
        self.child.as_ref().map_or(Ok(None), Child::try_wait)
    }

    /// Sends a signal to its process group; nothing happens when it has ended.
    ///
    /// # Errors
    /// When the daemon may not, as for programs that run with the rights of someone else.
    pub fn signal(&self, signal: Signal) -> io::Result<()> {
        self.child.as_ref().map_or(Ok(()), |child| child.signal(signal.number()))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let Some(child) = self.child.take() else { return };
        if matches!(child.try_wait(), Ok(None)) {
            // Nobody is left to hear of an error. A stopped program must go on to see the signal.
            _ = child.signal(Number::HUP);
            _ = child.signal(Number::CONT);
            let remnant = self.turn.take().map(Turn::give_up);
            self.runtime.spawn(async move {
                _ = child.wait().await;
                drop(remnant);
            });
        }
    }
}

impl Child {
    fn watch(pid: Pid, end: End) -> Self {
        Self { pid, status: Mutex::new(None), end }
    }

    async fn wait(&self) -> io::Result<ExitStatus> {
        match &self.end {
            End::Descriptor(descriptor) => loop {
                let mut ready = descriptor.ready(Interest::READABLE).await?;
                if let Some(status) = self.try_wait()? {
                    return Ok(status);
                }
                ready.clear_ready();
            },
            End::ChildSignal(signals) => {
                let mut signals = signals.lock().await;
                loop {
                    // The stream was made before this look, so no end falls between.
                    if let Some(status) = self.try_wait()? {
                        return Ok(status);
                    }
                    signals.recv().await;
                }
            }
        }
    }

    fn try_wait(&self) -> io::Result<Option<ExitStatus>> {
        let mut status = self.lock();
        if status.is_none() {
            let ended = rustix::io::retry_on_intr(|| waitpid(Some(self.pid), WaitOptions::NOHANG))?;
            *status = ended.map(|(_, ended)| ExitStatus::of(ended));
        }
        Ok(status.clone())
    }

    fn signal(&self, number: Number) -> io::Result<()> {
        let status = self.lock();
        if status.is_some() {
            return Ok(());
        }
        match kill_process_group(self.pid, number) {
            // It has not made its own group yet, or has ended and waits to be reaped.
            Err(Errno::SRCH) => Ok(kill_process(self.pid, number)?),
            sent => Ok(sent?),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<ExitStatus>> {
        self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn watch_descriptor(pid: Pid) -> io::Result<End> {
    match pidfd_open(pid, PidfdFlags::empty()) {
        Ok(descriptor) => Ok(End::Descriptor(descriptor::watch(descriptor, Interest::READABLE)?)),
        Err(Errno::NOSYS | Errno::PERM) => watch_signals(),
        Err(error) => Err(error.into()),
    }
}

fn watch_signals() -> io::Result<End> {
    Ok(End::ChildSignal(tokio::sync::Mutex::new(signal(SignalKind::child())?)))
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader};
    use std::os::unix::process::CommandExt;
    use std::process::Command;
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;
    use crate::turns::{Turns, USER_MAX};

    /// A shell that reads its script, in its own process group, without a handle that reaps it.
    fn shell(script: &str) -> u32 {
        Command::new("/bin/sh").args(["-c", script]).process_group(0).spawn().unwrap().id()
    }

    fn with_signals(pid: u32) -> Process {
        let pid = Pid::from_raw(pid.cast_signed()).unwrap();
        let child = Some(Child::watch(pid, watch_signals().unwrap()));
        Process { child, runtime: Handle::current(), turn: None }
    }

    #[tokio::test]
    async fn the_end_is_told_as_often_as_it_is_asked_for() {
        let process = Process::adopt(shell("exit 7")).unwrap();
        assert_eq!(process.wait().await.unwrap(), ExitStatus::Code(7));
        assert_eq!(process.wait().await.unwrap(), ExitStatus::Code(7));
        assert_eq!(process.try_wait().unwrap(), Some(ExitStatus::Code(7)));
        process.signal(Signal::from_name("KILL").unwrap()).unwrap();
    }

    #[tokio::test]
    async fn a_signal_ends_the_whole_group_and_is_named() {
        let process = Process::adopt(shell("sleep 1000 & wait")).unwrap();
        assert_eq!(process.try_wait().unwrap(), None);
        process.signal(Signal::from_name("TERM").unwrap()).unwrap();
        let ended = process.wait().await.unwrap();
        assert_eq!(ended, ExitStatus::Signal { name: "TERM", number: 15, core_dumped: false });
        let group = Pid::from_raw(process.id().cast_signed()).unwrap();
        // The background program is reaped by whoever inherits it, at a moment of its own.
        while rustix::process::test_kill_process_group(group).is_ok() {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn kernels_without_process_descriptors_are_served_by_signals() {
        let one = with_signals(shell("exit 3"));
        let other = with_signals(shell("kill -USR1 $$"));
        assert_eq!(one.wait().await.unwrap(), ExitStatus::Code(3));
        let ended = other.wait().await.unwrap();
        assert_eq!(ended, ExitStatus::Signal { name: "USR1", number: 10, core_dumped: false });
    }

    #[tokio::test]
    async fn a_dropped_process_is_hung_up_and_reaped() {
        let pid = shell("sleep 1000");
        drop(Process::adopt(pid).unwrap());
        // A process that is gone or a zombie has no command line; one that is reaped has no folder.
        while std::path::Path::new(&format!("/proc/{pid}")).exists() {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn a_process_that_does_not_end_has_its_users_turn_although_nobody_waits_for_it() {
        let turns = Turns::default();
        let mut others = Vec::new();
        for _ in 1..USER_MAX {
            others.push(turns.take(1).await.unwrap());
        }
        let script = "trap '' HUP; echo ready; read end";
        let (input, end) = io::pipe().unwrap();
        let (said, output) = io::pipe().unwrap();
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", script]).process_group(0).stdin(input).stdout(output);
        let pid = shell.spawn().unwrap().id();
        let mut line = String::new();
        BufReader::new(said).read_line(&mut line).unwrap();
        let mut process = Process::adopt(pid).unwrap();
        process.hold(turns.take(1).await.unwrap());
        // All the others there are, of other users.
        let mut rest = Vec::new();
        for uid in 2.. {
            let Ok(turn) = timeout(Duration::ZERO, turns.take(uid)).await else { break };
            rest.push(turn.unwrap());
        }
        drop(process);
        assert!(timeout(Duration::ZERO, turns.take(0)).await.is_ok(), "it is in nobody else's way");
        for _ in 0..100 {
            tokio::task::yield_now().await;
            assert!(timeout(Duration::ZERO, turns.take(1)).await.is_err(), "it is still there");
        }
        drop(end);
        assert!(timeout(Duration::from_secs(60), turns.take(1)).await.unwrap().is_some());
    }
}
