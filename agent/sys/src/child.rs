//! The other life of the program: the helper that becomes sessions.
//!
//! The daemon runs its own program once more under another name. That helper has done nothing yet:
//! no runtime, no threads, no keys in memory, a few pages of its own. For each request it makes one
//! child, which becomes the user and then the user's program. The child is made as the daemon's own
//! (`CLONE_PARENT`), so the daemon sees it end, and nothing of ours stays beside a session.
//!
//! Why not execute the program anew for each session: relocating and linking an executable of this
//! size costs more than the whole session otherwise (`cargo run -p teleport-sys --bin sys-fixture --
//! measure` prints what a session costs and what executing a program does).
//!
//! The helper refuses to run when it was not started by [`crate::launch`]; it ends when the daemon
//! closes its socket or dies.

mod environment;
mod operation;
mod privilege;
mod program;
mod shell;
mod system;

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};

use crate::socket;
use crate::wire::{Answer, Failure, HELPER_NAME, MESSAGE_MAX, Request, Step, Task};

/// A part of the program that runs as a user: its name and what it does. Standard input and output
/// are the client's. Nothing of the daemon is there: no runtime, no log, no settings.
pub type Builtin = (&'static str, fn() -> ExitCode);

/// Does the work of a helper or of its child and returns the exit code, if this process is one;
/// returns nothing in the daemon and in the tools.
///
/// Must be the first call of `main`: a process with threads cannot become a session.
pub fn main_if_child(builtins: &[Builtin]) -> Option<ExitCode> {
    let name = std::env::args_os().next()?;
    if name != HELPER_NAME || !system::stdin_is_socket() {
        return None;
    }
    Some(serve(builtins))
}

/// Where the running built-in program reports to; none when nobody asked, and none the second time.
///
/// Whoever writes there is stopped by a signal when the daemon is gone.
pub fn take_report() -> Option<File> {
    REPORT.lock().unwrap_or_else(PoisonError::into_inner).take()
}

static REPORT: Mutex<Option<File>> = Mutex::new(None);

/// The helper: one child per message, until the daemon is gone.
fn serve(builtins: &[Builtin]) -> ExitCode {
    system::begin_clean();
    let mut buffer = vec![0; MESSAGE_MAX];
    loop {
        let (length, descriptors) = match socket::receive(std::io::stdin().as_fd(), &mut buffer) {
            Ok(Some(message)) => message,
            Ok(None) => return ExitCode::SUCCESS,
            Err(error) if error.kind() == std::io::ErrorKind::InvalidData => continue,
            Err(_) => return ExitCode::FAILURE,
        };
        let mut descriptors = descriptors.into_iter();
        let Some(control) = descriptors.next() else { continue };
        match system::make_sibling() {
            Ok(None) => {
                let message = buffer.get(..length).unwrap_or_default();
                return become_child(control, descriptors.collect(), message, builtins);
            }
            // Nobody may be listening any more; then nobody misses the answer.
            Ok(Some(pid)) => answer(&control, &Answer::Started(pid)),
            Err(error) => answer(&control, &Answer::NoProcess(error.raw_os_error().unwrap_or(0))),
        }
    }
}

/// The child: does its task and ends.
fn become_child(
    control: OwnedFd,
    descriptors: Vec<OwnedFd>,
    message: &[u8],
    builtins: &[Builtin],
) -> ExitCode {
    let failure = match serde_json::from_slice(message) {
        Ok(Request { identity, task: Task::Session(task) }) => {
            match program::enter(&identity, &task, descriptors, builtins) {
                Ok(program::Entered::Builtin(main)) => {
                    // The daemon reads the end of this socket as "it runs".
                    drop(control);
                    return main();
                }
                Err(failure) => failure,
            }
        }
        Ok(Request { identity, task }) => match operation::perform(&identity, task) {
            Ok(done) => {
                let descriptors: Vec<_> = done.descriptor.iter().map(AsFd::as_fd).collect();
                return match send(&control, &Answer::Done(done.path), &descriptors) {
                    Ok(()) => ExitCode::SUCCESS,
                    Err(_) => ExitCode::FAILURE,
                };
            }
            Err(failure) => failure,
        },
        Err(error) => Failure::rule(Step::Request, error.to_string()),
    };
    answer(&control, &Answer::Failed(failure));
    ExitCode::FAILURE
}

fn answer(control: &OwnedFd, answer: &Answer) {
    // The daemon notices a missing answer by the end of the socket.
    _ = send(control, answer, &[]);
}

fn send(
    control: &OwnedFd,
    answer: &Answer,
    descriptors: &[std::os::fd::BorrowedFd<'_>],
) -> std::io::Result<()> {
    socket::send(control, &serde_json::to_vec(answer)?, descriptors)
}
