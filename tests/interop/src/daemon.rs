//! `teleport` as a process.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};

use rustix::process::{Pid, kill_process};
use serde_json::Value;
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::command::{PATIENCE, eventually, program};
use crate::http::get;
use crate::port::Port;

pub use rustix::process::Signal;

/// A running daemon. Dropping it kills it.
#[derive(Debug)]
pub struct Daemon {
    child: Child,
    diagnostics: Port,
    log: PathBuf,
    /// Its configuration.
    pub config: PathBuf,
}

impl Daemon {
    /// Starts a daemon from its configuration and waits until it is ready.
    pub async fn start(folder: &Path, name: &str, yaml: &str) -> Self {
        let mut daemon = Self::spawn(folder, name, yaml);
        daemon.ready().await;
        daemon
    }

    /// Starts a daemon from its configuration.
    pub fn spawn(folder: &Path, name: &str, yaml: &str) -> Self {
        let config = folder.join(format!("{name}.yaml"));
        std::fs::write(&config, yaml).unwrap();
        let mut command = Command::new(program("teleport"));
        command.args(["start", "-c"]).arg(&config);
        Self::spawn_command(folder, name, command)
    }

    /// Starts a daemon by a command of the test's own; the address of its diagnostics is added.
    pub fn spawn_command(folder: &Path, name: &str, mut command: Command) -> Self {
        let diagnostics = Port::free();
        let log = folder.join(format!("{name}.stderr"));
        let file = std::fs::OpenOptions::new().create(true).append(true).open(&log).unwrap();
        command
            .args(["--diag-addr", &diagnostics.address().to_string()])
            .env_remove("SSH_AUTH_SOCK")
            .stdin(Stdio::null())
            .stdout(file.try_clone().unwrap())
            .stderr(file)
            .kill_on_drop(true);
        let config = folder.join(format!("{name}.yaml"));
        Self { child: command.spawn().unwrap(), diagnostics, log, config }
    }

    /// Waits until every component works.
    ///
    /// # Panics
    /// When it ends instead, with its log.
    pub async fn ready(&mut self) {
        let looking = async {
            loop {
                if self.state().await.is_some_and(|(status, _)| status == 200) {
                    return;
                }
                if let Ok(Some(status)) = self.child.try_wait() {
                    panic!("the daemon ended with {status}:\n{}", self.log());
                }
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
        };
        let ready = timeout(PATIENCE, looking).await.is_ok();
        assert!(ready, "the daemon is not ready: {:?}\n{}", self.state().await, self.log());
    }

    /// What `/readyz` says.
    pub async fn state(&self) -> Option<(u16, Value)> {
        let (status, body) = get(self.diagnostics.address(), "/readyz").await?;
        Some((status, serde_json::from_str(&body).unwrap_or_default()))
    }

    /// Waits until `/readyz` answers with this status.
    pub async fn until_state(&self, wanted: u16) -> Value {
        let what = format!("/readyz with {wanted}");
        eventually(&what, || async {
            self.state().await.filter(|(status, _)| *status == wanted).map(|(_, body)| body)
        })
        .await
    }

    /// The address of its diagnostics.
    pub fn diagnostics(&self) -> SocketAddr {
        self.diagnostics.address()
    }

    /// The value of a metric, given as it is written before the value.
    pub async fn metric(&self, name: &str) -> Option<f64> {
        let (_, text) = get(self.diagnostics.address(), "/metrics").await?;
        let line = text.lines().find(|line| line.rsplit_once(' ').is_some_and(|(key, _)| key == name))?;
        line.rsplit_once(' ')?.1.parse().ok()
    }

    /// Its number.
    pub fn pid(&self) -> u32 {
        self.child.id().unwrap_or_default()
    }

    /// What it wrote to its log so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Waits until its log holds a text.
    pub async fn logged(&self, text: &str) -> String {
        let found = |log: String| log.lines().find(|line| line.contains(text)).map(str::to_owned);
        eventually(&format!("{text:?} in the log"), || async { found(self.log()) }).await
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.pid()).unwrap()).expect("the daemon runs");
        kill_process(pid, signal).unwrap();
    }

    /// Waits until it has ended.
    pub async fn ended(&mut self) -> ExitStatus {
        let waiting = timeout(PATIENCE, self.child.wait()).await;
        waiting.unwrap_or_else(|_| panic!("the daemon does not end:\n{}", self.log())).unwrap()
    }

    /// Starts it anew from the same configuration, once it has ended.
    pub fn respawn(&mut self) {
        let yaml = std::fs::read_to_string(&self.config).unwrap();
        let name = self.config.file_stem().and_then(|name| name.to_str()).unwrap().to_owned();
        let folder = self.config.parent().unwrap().to_owned();
        *self = Self::spawn(&folder, &name, &yaml);
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Kills it at once, as a power failure would.
    pub async fn kill(mut self) {
        self.signal(Signal::KILL);
        self.ended().await;
    }

    /// Stops it in order.
    pub async fn stop(mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        self.ended().await
    }

    /// Resident memory, in bytes.
    pub fn memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
    }

    /// Open descriptors.
    pub fn descriptors(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.pid())).unwrap().count()
    }
}
