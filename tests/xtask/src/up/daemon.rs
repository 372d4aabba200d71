//! A `teleport` process: started behind a guard, with its output in a log, stopped when dropped.

use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::kill_process;

use super::health::{self, Health};
use crate::failure::{During, Failure};
use crate::run::{self, Runner};

/// How long a daemon may take to be ready. The first start of a node compiles a plugin.
const READY: Duration = Duration::from_secs(90);
/// How many lines of a log are shown when something failed.
const TAIL: usize = 30;

/// A running daemon.
pub(crate) struct Daemon {
    name: &'static str,
    child: Child,
    log: PathBuf,
}

impl Daemon {
    /// Starts `teleport` with these arguments, in the repository, logging to `log`.
    pub(crate) fn start(
        runner: &Runner<'_>,
        name: &'static str,
        command: &Command,
        log: &Path,
    ) -> Result<Self, Failure> {
        let file = std::fs::File::create(log).during(format!("cannot write {}", runner.place.shown(log)))?;
        let copy = file.try_clone().during("cannot share the log")?;
        let xtask = std::env::current_exe().during("cannot tell where this program is")?;
        let mut guarded = Command::new(xtask);
        guarded.arg("guard").arg(std::process::id().to_string()).arg("--");
        guarded.arg(command.get_program()).args(command.get_args()).current_dir(&runner.place.root);
        // What an operator set for another cluster has no say here, and loopback needs no proxy.
        for variable in ["TELEPORT_CONFIG", "HTTPS_PROXY", "HTTP_PROXY", "https_proxy", "http_proxy"] {
            guarded.env_remove(variable);
        }
        // A group of its own: Ctrl-C reaches this program, which stops the daemons in order.
        guarded.process_group(0).stdin(Stdio::null()).stdout(file).stderr(copy);
        let child = guarded.spawn().during(format!("cannot start {name}"))?;
        Ok(Self { name, child, log: log.to_owned() })
    }

    /// Waits until it says that all of it works, and returns how long that took.
    pub(crate) fn ready(&mut self, runner: &Runner<'_>, address: SocketAddr) -> Result<Duration, Failure> {
        let started = Instant::now();
        let mut last = String::new();
        let ready = runner.interrupts.wait_for(READY, || {
            self.check()?;
            match health::ask(address) {
                Health::Ready => Ok(Some(())),
                Health::NotReady(reason) => {
                    last = reason;
                    Ok(None)
                }
            }
        })?;
        match ready {
            Some(()) => Ok(started.elapsed()),
            None => Err(Failure::new(format!("{} is not ready after {READY:?}", self.name)).because(last)),
        }
    }

    /// Looks whether it still runs.
    ///
    /// # Errors
    /// When it has ended.
    pub(crate) fn check(&mut self) -> Result<(), Failure> {
        let ended = self.child.try_wait().during(format!("cannot look after {}", self.name))?;
        ended.map_or(Ok(()), |status| Err(Failure::new(format!("{} ended", self.name)).because(status)))
    }

    /// The end of its log.
    pub(crate) fn tail(&self) -> String {
        let text = std::fs::read(&self.log).unwrap_or_default();
        last_lines(&String::from_utf8_lossy(&text), TAIL)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        run::end(&mut self.child, kill_process);
    }
}

fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<_> = text.lines().collect();
    lines.iter().skip(lines.len().saturating_sub(count)).copied().collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_are_the_last() {
        assert_eq!(last_lines("a\nb\nc\n", 2), "b\nc");
        assert_eq!(last_lines("a\n", 2), "a");
        assert_eq!(last_lines("", 2), "");
    }
}
