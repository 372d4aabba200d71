//! Programs run to their end, never for ever.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;
use tokio::time::timeout;

/// Longer than anything here takes on a busy machine, so that a hang is a failure.
pub const PATIENCE: Duration = Duration::from_secs(90);

/// How a program ended, and what it said.
#[derive(Debug, Clone)]
pub struct Output {
    /// How it ended.
    pub status: ExitStatus,
    /// What it wrote.
    pub stdout: Vec<u8>,
    /// What it complained of.
    pub stderr: String,
}

impl Output {
    /// What it wrote, as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Its exit code; none when a signal ended it.
    pub fn code(&self) -> Option<i32> {
        self.status.code()
    }

    /// What it wrote, when it went well.
    ///
    /// # Panics
    /// When it did not, with everything it said.
    pub fn good(self) -> String {
        assert!(self.status.success(), "{}\n{}{}", self.status, self.text(), self.stderr);
        self.text()
    }
}

/// Runs a program without input.
pub async fn run(command: &mut Command) -> Output {
    run_with(command, b"").await
}

/// Runs a program with this input.
///
/// # Panics
/// When it cannot be started, or does not end in time.
pub async fn run_with(command: &mut Command, input: &[u8]) -> Output {
    let stdin = if input.is_empty() { Stdio::null() } else { Stdio::piped() };
    command.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let shown = format!("{command:?}");
    let mut child = command.spawn().unwrap_or_else(|error| panic!("cannot start {shown}: {error}"));
    let (stdin, mut stdout, mut stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let feed = async {
        if let Some(mut stdin) = stdin {
            // A program may end without reading all of it.
            let _ = stdin.write_all(input).await;
        }
    };
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let read_out = async { stdout.as_mut().unwrap().read_to_end(&mut out).await };
    let read_err = async { stderr.as_mut().unwrap().read_to_end(&mut err).await };
    let all = async { tokio::join!(feed, read_out, read_err, child.wait()) };
    let ended = timeout(PATIENCE, all).await;
    let Ok(((), _, _, status)) = ended else {
        let said = String::from_utf8_lossy(&err).into_owned();
        panic!("{shown} did not end in time; so far it said:\n{said}");
    };
    Output { status: status.unwrap(), stdout: out, stderr: String::from_utf8_lossy(&err).into_owned() }
}

/// Waits until the closure gives something. What it waits for is another process, so there is no clock
/// to pause.
///
/// # Panics
/// When it does not happen in time.
pub async fn eventually<T, F: Future<Output = Option<T>>>(what: &str, mut look: impl FnMut() -> F) -> T {
    let look = || {
        let looking = look();
        async { looking.await.ok_or_else(String::new) }
    };
    eventually_or(what, look).await
}

/// The same, of something that says how it is instead.
///
/// # Panics
/// With what it said last, when it does not happen in time.
pub(crate) async fn eventually_or<T, F>(what: &str, mut look: impl FnMut() -> F) -> T
where
    F: Future<Output = Result<T, String>>,
{
    let mut last = String::new();
    let looking = async {
        loop {
            match look().await {
                Ok(found) => return found,
                Err(how) => last = how,
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let found = timeout(PATIENCE, looking).await;
    found.unwrap_or_else(|_| panic!("it never happened: {what}\n{last}"))
}

/// The folder of this build: `target/<profile>`.
pub(crate) fn build_folder() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    // target/<profile>/deps/<test>
    test.ancestors().nth(2).unwrap().to_owned()
}

/// One of the project's programs, built beside the tests.
///
/// # Panics
/// When it is not there.
pub fn program(name: &str) -> PathBuf {
    let path = build_folder().join(name);
    assert!(path.exists(), "{} is missing; run: cargo xtask test", path.display());
    path
}

/// The Python with the SSH libraries in it.
///
/// # Panics
/// When it is not there.
pub fn python() -> PathBuf {
    let path = build_folder().parent().unwrap().join("venv/bin/python");
    assert!(path.exists(), "{} is missing; run: cargo xtask test", path.display());
    path
}

/// A script of the tests, run by that Python.
pub fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("python").join(name)
}
