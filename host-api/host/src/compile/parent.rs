//! The daemon's side: starts the child, feeds it, takes what it may give, and never waits for ever.

use std::ffi::OsString;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{ChildStdin, Command};

use super::child::REFUSED;
use super::{CODE_MAX, CompileError, INSPECTION_MAX, Task};
use crate::group::Group;

/// The most that is kept of what the child says when it fails, in bytes.
const SAID_MAX: u64 = 4096;

/// A child to be started.
pub(super) struct Child<'a> {
    pub(super) program: &'a Path,
    pub(super) arguments: &'a [OsString],
    pub(super) time: Duration,
}

impl Child<'_> {
    /// Inspects; the result is small and comes through a pipe.
    pub(super) async fn inspect(&self, wasm: Bytes) -> Result<Vec<u8>, CompileError> {
        self.run(Task::Inspect, wasm, Stdio::piped()).await
    }

    /// Compiles into a file. The child writes into it directly, so the daemon never holds the code.
    pub(super) async fn compile(
        &self,
        task: Task,
        wasm: Bytes,
        code: std::fs::File,
    ) -> Result<(), CompileError> {
        let file = code.try_clone().map_err(CompileError::Talk)?;
        self.run(task, wasm, Stdio::from(file)).await?;
        let size = code.metadata().map_err(CompileError::Talk)?.len();
        if size > CODE_MAX { Err(CompileError::TooLarge(CODE_MAX)) } else { Ok(()) }
    }

    async fn run(&self, task: Task, wasm: Bytes, out: Stdio) -> Result<Vec<u8>, CompileError> {
        let child = self
            .command(task, out)
            .spawn()
            .map_err(|source| CompileError::Start { program: self.program.to_owned(), source })?;
        let mut child = Group::new(child);
        let (stdin, stdout, stderr) = child.streams();
        let talk = async {
            let (fed, result, said) =
                tokio::join!(feed(stdin, wasm), bounded(stdout, INSPECTION_MAX), bounded(stderr, SAID_MAX));
            child.ended().await;
            // A child that refuses early closes its input: its own reason says more than the broken
            // pipe.
            let status = child.end().await.map_err(CompileError::Talk)?;
            Ok((status, fed, result?, said?))
        };
        // Dropped when the time is up, and with it the child, which dies with its group.
        let outcome = tokio::time::timeout(self.time, talk).await;
        let (status, fed, result, said) = outcome.map_err(|_| CompileError::TimedOut(self.time))??;
        if !status.success() {
            let said = String::from_utf8_lossy(&said).trim().to_owned();
            return Err(match status.code() {
                Some(code) if code == i32::from(REFUSED) => CompileError::Refused(said),
                _ => CompileError::Died { status: status.to_string(), said },
            });
        }
        fed.map_err(CompileError::Talk)?;
        if result.len() as u64 > INSPECTION_MAX {
            return Err(CompileError::TooLarge(INSPECTION_MAX));
        }
        Ok(result)
    }

    fn command(&self, task: Task, out: Stdio) -> Command {
        let mut command = Command::new(self.program);
        command
            .args(self.arguments)
            .arg(task.argument())
            .env_clear()
            .current_dir("/")
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(out)
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }
}

async fn feed(stdin: Option<ChildStdin>, wasm: Bytes) -> std::io::Result<()> {
    let Some(mut stdin) = stdin else { return Ok(()) };
    stdin.write_all(&wasm).await?;
    stdin.shutdown().await
}

/// Reads up to one byte more than the bound, so that the caller can tell "full" from "too much";
/// what is over is read and thrown away, so that the child is not held up by it.
async fn bounded(stream: Option<impl AsyncRead + Unpin>, max: u64) -> Result<Vec<u8>, CompileError> {
    let Some(mut stream) = stream else { return Ok(Vec::new()) };
    let mut kept = Vec::new();
    (&mut stream).take(max + 1).read_to_end(&mut kept).await.map_err(CompileError::Talk)?;
    tokio::io::copy(&mut stream, &mut tokio::io::sink()).await.map_err(CompileError::Talk)?;
    Ok(kept)
}
