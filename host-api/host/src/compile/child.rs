//! The child's side: limits on itself first, then the component from standard input, the result to
//! standard output, a reason to standard error.

use std::ffi::OsString;
use std::io::{Read as _, Write as _};
use std::process::ExitCode;

use rustix::process::{Resource, Rlimit, nice, setrlimit};

use super::{CODE_MAX, Task, WASM_MAX};

/// Exit code for a component that is refused; the reason is on standard error.
pub(super) const REFUSED: u8 = 3;

/// Address space, in bytes: what compiling the largest component takes, with room.
const ADDRESS_SPACE: u64 = 8 << 30;

/// Processor time, in seconds, over all threads.
const PROCESSOR_TIME: u64 = 1200;

/// What the program does when it was started to inspect or compile a plugin: `main` calls this with
/// the arguments after [`CHILD_ARGUMENT`](super::CHILD_ARGUMENT) and returns its result, having
/// done nothing else.
pub fn child_main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let reason = match run(arguments) {
        Ok(()) => return ExitCode::SUCCESS,
        Err(Failure::Refused(reason)) => (REFUSED, reason),
        Err(Failure::Broken(reason)) => (1, reason),
    };
    let (code, reason) = reason;
    // With standard error gone there is nobody left to tell.
    let _told = std::io::stderr().write_all(reason.as_bytes());
    ExitCode::from(code)
}

enum Failure {
    /// The component is at fault.
    Refused(String),
    /// The machine, or whoever started this.
    Broken(String),
}

fn run(arguments: impl IntoIterator<Item = OsString>) -> Result<(), Failure> {
    let broken = |what: &str, error: std::io::Error| Failure::Broken(format!("{what}: {error}"));
    let argument = arguments.into_iter().next().unwrap_or_default();
    let task = Task::ALL.into_iter().find(|task| argument == task.argument());
    let task = task.ok_or_else(|| Failure::Broken("started without a task it knows".to_owned()))?;
    confine().map_err(|error| broken("limits could not be set", error.into()))?;
    let mut wasm = Vec::new();
    let read = std::io::stdin().lock().take(WASM_MAX + 1).read_to_end(&mut wasm);
    read.map_err(|error| broken("the component could not be read", error))?;
    if wasm.len() as u64 > WASM_MAX {
        return Err(Failure::Refused(format!("it is larger than {WASM_MAX} bytes")));
    }
    let result = task.run(&wasm).map_err(Failure::Refused)?;
    let mut out = std::io::stdout().lock();
    out.write_all(&result)
        .and_then(|()| out.flush())
        .map_err(|error| broken("the result could not be written", error))
}

/// Gives up what compiling does not need. The soft and the hard limit are lowered, so only a process
/// with root's capabilities could raise them again.
fn confine() -> rustix::io::Result<()> {
    // Descriptors beyond the three standard ones: no file, no socket, no pipe.
    limit(Resource::Nofile, 3)?;
    limit(Resource::Core, 0)?;
    limit(Resource::Fsize, CODE_MAX)?;
    limit(Resource::As, ADDRESS_SPACE)?;
    limit(Resource::Cpu, PROCESSOR_TIME)?;
    rustix::thread::set_no_new_privs(true)?;
    // A compilation that takes seconds must not slow down the sessions of the same machine.
    nice(10)?;
    Ok(())
}

fn limit(resource: Resource, value: u64) -> rustix::io::Result<()> {
    let hard = rustix::process::getrlimit(resource).maximum;
    let value = hard.map_or(value, |hard| hard.min(value));
    setrlimit(resource, Rlimit { current: Some(value), maximum: Some(value) })
}
