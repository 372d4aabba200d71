//! Real sessions, through the real helper, as root and as `nobody`.
//!
//! They run as whoever runs the tests. What needs root says loudly that it was skipped when it is not
//! there. No user is made; the homes are temporary folders.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "a test that cannot go on has failed, and one that is skipped says so"
)]

mod crowd;
mod identity;
mod operation;
mod refusal;
mod stream;
mod terminal;

use std::path::Path;
use std::time::Duration;

use port::host_user::{HostUser, HostUsers};
use teleport_sys::launch::{Launcher, Settings};
use teleport_sys::session::{ExitStatus, Process, Program, Session, SpawnError, SpawnRequest, Streams};
use teleport_sys::users::SystemUsers;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Longer than anything here takes, so that a hang is a failure.
const PATIENCE: Duration = Duration::from_secs(60);

fn settings() -> Settings {
    Settings { program: env!("CARGO_BIN_EXE_sys-fixture").into(), ..Settings::default() }
}

fn launcher() -> Launcher {
    Launcher::new(settings())
}

/// Whether the tests run as root; says so when they do not.
fn is_root(test: &str) -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        eprintln!("SKIPPED {test}: only root can become another user; run the tests as root");
    }
    root
}

/// Whoever runs the tests, with a shell that is everywhere.
fn me() -> HostUser {
    HostUser { shell: "/bin/sh".into(), ..teleport_sys::users::current().unwrap() }
}

/// `nobody`, with a shell and a home folder of its own.
fn nobody() -> (HostUser, TempDir) {
    let home = tempfile::tempdir().unwrap();
    let user = SystemUsers.find("nobody").unwrap();
    std::os::unix::fs::chown(home.path(), Some(user.uid), Some(user.gid)).unwrap();
    (HostUser { home: home.path().into(), shell: "/bin/sh".into(), ..user }, home)
}

fn command(user: &HostUser, line: &str) -> SpawnRequest {
    SpawnRequest {
        user: user.clone(),
        program: Program::Command(line.into()),
        env: Vec::new(),
        terminal: None,
        read_user_env: false,
    }
}

/// What a session without a terminal said, and how it ended.
#[derive(Debug)]
struct Output {
    stdout: String,
    stderr: String,
    status: ExitStatus,
}

/// Runs a session to its end with this input.
async fn run_with(request: SpawnRequest, input: &[u8]) -> Result<Output, SpawnError> {
    let Session { streams, process, .. } = launcher().spawn(request).await?;
    let Streams::Pipes { mut stdin, mut stdout, mut stderr } = streams else {
        panic!("no terminal was asked for")
    };
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let feed = async {
        // A program may end without reading all of it.
        _ = stdin.write_all(input).await;
        drop(stdin);
    };
    let all = async { tokio::join!(feed, stdout.read_to_end(&mut out), stderr.read_to_end(&mut err)) };
    let ((), read_out, read_err) = tokio::time::timeout(PATIENCE, all).await.unwrap();
    read_out.and(read_err).unwrap();
    let status = ended(&process).await;
    Ok(Output { stdout: text(out), stderr: text(err), status })
}

async fn run(request: SpawnRequest) -> Result<Output, SpawnError> {
    run_with(request, b"").await
}

async fn ended(process: &Process) -> ExitStatus {
    tokio::time::timeout(PATIENCE, process.wait()).await.unwrap().unwrap()
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap()
}

/// Waits until something holds. What it waits for is another process, so there is no clock to pause.
async fn until(what: &str, holds: impl Fn() -> bool) {
    let waiting = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(tokio::time::timeout(PATIENCE, waiting).await.is_ok(), "{what} never happened");
}

fn is_alive(pid: u32) -> bool {
    Path::new(&format!("/proc/{pid}")).exists()
}
