//! A program and everything it started, ended together.
//!
//! The program leads a process group of its own. A group can be signalled safely only while its
//! leader has not been reaped: after that the number may belong to somebody else. So the leader's
//! end is learned without reaping it, the group is killed, and only then is the leader waited for.

use std::process::ExitStatus;
use std::time::Duration;

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout};
use tokio::signal::unix::{SignalKind, signal};

/// How often the leader is asked for where the machine gives no signal of its end.
const ASK_AGAIN: Duration = Duration::from_millis(10);

/// A running program, and what it started. Dropping it kills all of it.
pub(crate) struct Group {
    // Declared before the child, so that the group is killed before the child's own drop can reap
    // its leader.
    leader: Leader,
    child: Child,
}

/// The leader's number, as long as it is safe to use.
struct Leader(Option<Pid>);

impl Drop for Leader {
    fn drop(&mut self) {
        if let Some(leader) = self.0.take() {
            // Gone already, or of another user after a setuid program: nothing more can be done.
            let _killed = kill_process_group(leader, Signal::KILL);
        }
    }
}

impl Group {
    /// Takes charge of a child that was started as the leader of its own group.
    pub(crate) fn new(child: Child) -> Self {
        let leader = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        Self { leader: Leader(leader), child }
    }

    /// The ends of the child's standard streams that were piped, once.
    pub(crate) fn streams(&mut self) -> (Option<ChildStdin>, Option<ChildStdout>, Option<ChildStderr>) {
        (self.child.stdin.take(), self.child.stdout.take(), self.child.stderr.take())
    }

    /// Waits until the program itself has ended, without reaping it.
    pub(crate) async fn ended(&self) {
        let Some(leader) = self.leader.0 else { return };
        // Listening begins before the first look, so that no end falls between the two.
        let mut ends = signal(SignalKind::child()).ok();
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG;
        while let Ok(None) = waitid(WaitId::Pid(leader), options) {
            match &mut ends {
                Some(ends) => drop(ends.recv().await),
                None => tokio::time::sleep(ASK_AGAIN).await,
            }
        }
    }

    /// Kills what is left of the group, then reaps the leader.
    ///
    /// # Errors
    /// The machine's, when the leader cannot be waited for.
    pub(crate) async fn end(mut self) -> std::io::Result<ExitStatus> {
        if let Some(leader) = self.leader.0.take() {
            let _killed = kill_process_group(leader, Signal::KILL);
        }
        self.child.wait().await
    }
}
