//! `xtask guard`: becomes another program that ends when the one that started it is gone, whatever
//! ended it.
//!
//! An orderly end stops what it started; a SIGKILL cannot. So the kernel is asked to send SIGTERM when
//! the parent dies, a request that outlives `exec` (prctl(2), `PR_SET_PDEATHSIG`). Asking is safe only
//! in a process of one's own, hence this command between `up` and the daemons it starts.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::Command;

use crate::failure::Failure;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The process whose end is ours too.
    parent: u32,
    /// The program and its arguments.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
    command: Vec<OsString>,
}

/// Becomes the program; comes back only with a reason why not.
pub(crate) fn run(arguments: &Arguments) -> Failure {
    let Some((program, words)) = arguments.command.split_first() else {
        return Failure::new("there is no program to become");
    };
    if let Err(failure) = follow(arguments.parent) {
        return failure;
    }
    let error = Command::new(program).args(words).exec();
    Failure::new(format!("cannot run {}", program.display())).because(error)
}

#[cfg(target_os = "linux")]
fn follow(parent: u32) -> Result<(), Failure> {
    use crate::failure::During;
    use rustix::process::{Signal, getppid, set_parent_process_death_signal};

    set_parent_process_death_signal(Some(Signal::TERM)).during("cannot follow the parent process")?;
    // It may have died before the kernel was asked.
    let now = getppid().map(|pid| pid.as_raw_nonzero().get().unsigned_abs());
    if now == Some(parent) { Ok(()) } else { Err(Failure::new("the process to follow is gone")) }
}

/// Elsewhere only the orderly end stops what was started.
#[cfg(not(target_os = "linux"))]
fn follow(_parent: u32) -> Result<(), Failure> {
    Ok(())
}
