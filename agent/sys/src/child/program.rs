//! From the helper's child to the user's program: streams, terminal, limits, user, folder, program.
//!
//! The order is the point. Everything that needs root comes first, everything the user has a say in
//! (home folder, variables, shell) after root is given up.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::sync::PoisonError;

use rustix::fs::Mode;
use rustix::process::{Resource, Rlimit, chdir, ioctl_tiocsctty, setrlimit, setsid, umask};
use rustix::stdio::{dup2_stderr, dup2_stdin, dup2_stdout};

use super::{Builtin, REPORT, environment, privilege, shell};
use crate::wire::{Failure, Identity, ProgramTask, SessionTask, Step};

/// As much of `/etc/nologin` as is told, in bytes.
const NOLOGIN_MAX: u64 = 1024;

/// What became of the child, when it is no other program.
pub(super) enum Entered {
    /// It is ready to be this part of ours.
    Builtin(fn() -> ExitCode),
}

/// Becomes the user's program. Returns only for a built-in one, or when it failed.
pub(super) fn enter(
    identity: &Identity,
    task: &SessionTask,
    descriptors: Vec<OwnedFd>,
    builtins: &[Builtin],
) -> Result<Entered, Failure> {
    check_open(identity, &task.nologin)?;
    let builtin = find_builtin(identity, task, builtins)?;
    setsid().map_err(|error| Failure::system(Step::Session, error))?;
    let report = take_streams(descriptors, task.has_report)?;
    if task.terminal.is_some() {
        ioctl_tiocsctty(std::io::stdin()).map_err(|error| Failure::system(Step::Terminal, error))?;
    }
    if let Some((soft, hard)) = task.nofile {
        let limit = Rlimit { current: Some(soft), maximum: Some(hard) };
        setrlimit(Resource::Nofile, limit).map_err(|error| Failure::system(Step::Limits, error))?;
    }
    privilege::become_user(identity)?;
    umask(Mode::WGRP | Mode::WOTH);
    go_home(&task.home);
    if let Some(main) = builtin {
        *REPORT.lock().unwrap_or_else(PoisonError::into_inner) = report.map(File::from);
        return Ok(Entered::Builtin(main));
    }
    Err(execute(identity, task))
}

/// Root may always log in, to open the host again.
fn check_open(identity: &Identity, nologin: &[std::path::PathBuf]) -> Result<(), Failure> {
    if identity.uid == 0 {
        return Ok(());
    }
    let Some((path, file)) = nologin.iter().find_map(|path| Some((path, File::open(path).ok()?))) else {
        return Ok(());
    };
    let mut text = Vec::new();
    _ = file.take(NOLOGIN_MAX).read_to_end(&mut text);
    let text = String::from_utf8_lossy(&text).trim().to_owned();
    let message = if text.is_empty() { format!("{} exists", path.display()) } else { text };
    Err(Failure::rule(Step::NoLogin, message))
}

fn find_builtin(
    identity: &Identity,
    task: &SessionTask,
    builtins: &[Builtin],
) -> Result<Option<fn() -> ExitCode>, Failure> {
    let ProgramTask::Builtin(name) = &task.program else { return Ok(None) };
    shell::check(identity, task)?;
    match builtins.iter().find(|(known, _)| known == name) {
        Some((_, main)) => Ok(Some(*main)),
        None => Err(Failure::rule(Step::Builtin, format!("this program has no part named {name:?}"))),
    }
}

/// Puts the first three descriptors where programs expect them. The fourth is the report. All of them
/// close when another program takes over; the three copies do not.
fn take_streams(descriptors: Vec<OwnedFd>, has_report: bool) -> Result<Option<OwnedFd>, Failure> {
    let failed = |error| Failure::system(Step::Descriptors, error);
    let mut descriptors = descriptors.into_iter();
    let (Some(stdin), Some(stdout), Some(stderr)) =
        (descriptors.next(), descriptors.next(), descriptors.next())
    else {
        return Err(Failure::rule(Step::Descriptors, "the standard streams did not come with the request"));
    };
    dup2_stdin(stdin).map_err(failed)?;
    dup2_stdout(stdout).map_err(failed)?;
    dup2_stderr(stderr).map_err(failed)?;
    Ok(if has_report { descriptors.next() } else { None })
}

/// A home folder that is not there is no reason to keep someone out; sshd says and does the same.
fn go_home(home: &Path) {
    if let Err(error) = chdir(home) {
        let error = std::io::Error::from(error);
        _ = writeln!(std::io::stderr(), "Could not chdir to home directory {}: {error}", home.display());
        _ = chdir("/");
    }
}

/// Puts the shell in the place of this process; returns only why it could not.
fn execute(identity: &Identity, task: &SessionTask) -> Failure {
    if !task.shell.is_absolute() {
        return Failure::system(Step::Shell, rustix::io::Errno::NOENT);
    }
    let name = task.shell.file_name().unwrap_or_default();
    let mut command = Command::new(&task.shell);
    match &task.program {
        ProgramTask::Command(line) => _ = command.arg0(name).arg("-c").arg(line),
        ProgramTask::RawCommand(line) => _ = command.arg0(name).arg("-c").arg(OsStr::from_bytes(line)),
        // A dash before its name makes a shell a login shell.
        ProgramTask::Shell | ProgramTask::Builtin(_) => {
            let mut dashed = OsString::from("-");
            dashed.push(name);
            command.arg0(dashed);
        }
    }
    command.env_clear();
    command.envs(environment::variables(task, identity.uid, environment::inherited()));
    if task.read_user_env {
        command.envs(environment::user_variables(&task.home));
    }
    Failure::system(Step::Shell, command.exec())
}
