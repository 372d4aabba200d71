//! Runs one program within bounds: time, and bytes of each stream.
//!
//! Output is read while the program runs and kept up to the bound; a program that writes more is
//! killed, with everything it started. What a program left running in the background is killed when
//! the program itself ends.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::{Child, Command};

use crate::capability::v1::teleport::host::process::{Ending, Failure, Outcome};
use crate::group::Group;

/// How long output that was already written may take to arrive after the program has ended, when
/// something it started still holds the pipe.
const GRACE: Duration = Duration::from_millis(200);

/// Where a program runs.
const FOLDER: &str = "/";

/// How much a program may use.
pub(super) struct Bounds {
    /// Bytes kept of each stream.
    pub(super) output_max: usize,
    /// Time on the clock.
    pub(super) time: Duration,
}

/// Runs a program that may be run.
pub(super) async fn run(
    argv: &[String],
    environment: &BTreeMap<String, String>,
    bounds: Bounds,
) -> Result<Outcome, Failure> {
    let mut group = Group::new(spawn(argv, environment)?);
    let (_, stdout, stderr) = group.streams();
    let mut stdout = Kept::new(stdout, bounds.output_max);
    let mut stderr = Kept::new(stderr, bounds.output_max);
    let reading = async {
        tokio::select! {
            // Ends when both streams have, or when one is full.
            () = read_both(&mut stdout, &mut stderr) => {}
            () = group.ended() => {
                // Whatever it wrote is in the pipes; what it left running may hold them open for ever.
                let rest = read_both(&mut stdout, &mut stderr);
                let _late = tokio::time::timeout(GRACE, rest).await;
            }
        }
        if stdout.full || stderr.full {
            return;
        }
        // A program may close its output and work on.
        group.ended().await;
    };
    let in_time = tokio::time::timeout(bounds.time, reading).await.is_ok();
    let flooded = stdout.full || stderr.full;
    let status = group
        .end()
        .await
        .map_err(|error| Failure::Unavailable(format!("the program could not be waited for: {error}")))?;
    if !in_time && !flooded {
        return Err(Failure::TimedOut(u64::try_from(bounds.time.as_millis()).unwrap_or(u64::MAX)));
    }
    Ok(Outcome {
        ending: if flooded { Ending::Flooded } else { ending(status) },
        stdout: stdout.bytes,
        stderr: stderr.bytes,
        stdout_truncated: stdout.full,
        stderr_truncated: stderr.full,
    })
}

fn spawn(argv: &[String], environment: &BTreeMap<String, String>) -> Result<Child, Failure> {
    let (program, arguments) =
        argv.split_first().ok_or_else(|| Failure::Invalid("the command is empty".to_owned()))?;
    let mut command = Command::new(program);
    command
        .args(arguments)
        .env_clear()
        .envs(environment)
        .current_dir(FOLDER)
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command.spawn().map_err(|error| match error.kind() {
        ErrorKind::NotFound => Failure::NotFound(format!(
            "there is no program {program:?} on this machine (PATH is {path})",
            path = environment.get("PATH").map_or("not set", String::as_str)
        )),
        ErrorKind::PermissionDenied => Failure::NotFound(format!("{program:?} may not be executed: {error}")),
        _ => Failure::Unavailable(format!("{program:?} could not be started: {error}")),
    })
}

fn ending(status: ExitStatus) -> Ending {
    match (status.code(), status.signal()) {
        (Some(code), _) => Ending::Exited(u32::try_from(code).unwrap_or(u32::MAX)),
        (None, signal) => Ending::Signalled(signal.and_then(|s| u32::try_from(s).ok()).unwrap_or_default()),
    }
}

/// Reads until both streams have ended, or one has more than may be kept.
async fn read_both<A, B>(stdout: &mut Kept<A>, stderr: &mut Kept<B>)
where
    A: AsyncRead + Unpin,
    B: AsyncRead + Unpin,
{
    loop {
        tokio::select! {
            () = stdout.read_more(), if stdout.open() => {}
            () = stderr.read_more(), if stderr.open() => {}
            else => return,
        }
        if stdout.full || stderr.full {
            return;
        }
    }
}

/// The beginning of a stream.
struct Kept<S> {
    stream: Option<S>,
    bytes: Vec<u8>,
    max: usize,
    full: bool,
}

impl<S: AsyncRead + Unpin> Kept<S> {
    fn new(stream: Option<S>, max: usize) -> Self {
        Self { stream, bytes: Vec::new(), max, full: false }
    }

    fn open(&self) -> bool {
        self.stream.is_some()
    }

    /// Reads once. Safe to drop half-way: nothing has been read then.
    async fn read_more(&mut self) {
        let Some(stream) = &mut self.stream else { return };
        let mut buffer = [0; 8192];
        // A stream that cannot be read is as good as ended.
        let read = stream.read(&mut buffer).await.unwrap_or(0);
        let piece = buffer.get(..read).unwrap_or_default();
        let room = self.max - self.bytes.len();
        self.bytes.extend_from_slice(piece.get(..room).unwrap_or(piece));
        if piece.is_empty() {
            self.stream = None;
        }
        if piece.len() > room {
            self.full = true;
            self.stream = None;
        }
    }
}

#[cfg(test)]
mod tests;
