//! Running other programs, never without end.
//!
//! Each gets a process group of its own: when this program is told to stop, the whole group is told, so
//! that a compiler or a test that a tool has started does not stay behind. None of them may ask anything:
//! their standard input is empty.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{Read, Seek};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};

use crate::failure::{During, Failure};
use crate::interrupt::Interrupts;
use crate::place::Place;
use crate::say;

/// How long a program may take to end when told to, before it is killed.
const END: Duration = Duration::from_secs(10);
/// How much output is kept of a program.
const OUTPUT_MAX: u64 = 4 << 20;

/// What every command of this program works with.
pub(crate) struct Runner<'a> {
    pub(crate) interrupts: &'a Interrupts,
    pub(crate) place: &'a Place,
    scratch: PathBuf,
    files: AtomicU32,
}

/// What a program printed and how it ended.
#[derive(Debug)]
pub(crate) struct Output {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl<'a> Runner<'a> {
    /// Programs run in the repository; what they print is kept for a moment below the target folder.
    pub(crate) fn new(interrupts: &'a Interrupts, place: &'a Place) -> Result<Self, Failure> {
        let scratch = place.target.join("xtask");
        std::fs::create_dir_all(&scratch).during(format!("cannot make {}", scratch.display()))?;
        Ok(Self { interrupts, place, scratch, files: AtomicU32::new(0) })
    }

    /// Runs a program that prints for people, and waits until it has succeeded.
    ///
    /// # Errors
    /// When it cannot be started, fails, takes longer than `limit`, or this program is told to stop.
    pub(crate) fn visibly(&self, command: &mut Command, limit: Duration) -> Result<(), Failure> {
        say::note(format_args!("$ {}", shown(command)));
        let status = self.to_the_end(command.stdin(Stdio::null()), limit)?;
        if status.success() { Ok(()) } else { Err(failed(command).because(status)) }
    }

    /// Runs a program for what it prints. Its failure is an answer, too.
    ///
    /// # Errors
    /// When it cannot be started, takes longer than `limit`, or this program is told to stop.
    pub(crate) fn quietly(&self, command: &mut Command, limit: Duration) -> Result<Output, Failure> {
        let (mut stdout, mut stderr) = (self.file()?, self.file()?);
        let share = |file: &File| file.try_clone().map(Stdio::from).during("cannot share a file");
        command.stdin(Stdio::null()).stdout(share(&stdout)?).stderr(share(&stderr)?);
        let status = self.to_the_end(command, limit).map_err(|failure| {
            let said =
                read_back(&mut stdout).unwrap_or_default() + &read_back(&mut stderr).unwrap_or_default();
            let worth_it = !said.is_empty() && !failure.is_interrupted();
            if worth_it { failure.attach("what it printed", &said) } else { failure }
        })?;
        Ok(Output { status, stdout: read_back(&mut stdout)?, stderr: read_back(&mut stderr)? })
    }

    /// Whether a program runs and succeeds. One that is not there does not.
    pub(crate) fn succeeds(&self, command: &mut Command) -> bool {
        self.quietly(command, Duration::from_secs(30)).is_ok_and(|output| output.status.success())
    }

    fn to_the_end(&self, command: &mut Command, limit: Duration) -> Result<ExitStatus, Failure> {
        self.interrupts.check()?;
        let mut child = command.process_group(0).spawn().map_err(|error| failed(command).because(error))?;
        let waited = self.interrupts.wait_for(limit, || child.try_wait().during("cannot wait for a program"));
        match waited {
            Ok(Some(status)) => return Ok(status),
            Ok(None) => {}
            Err(failure) => {
                end_group(&mut child);
                return Err(failure);
            }
        }
        end_group(&mut child);
        Err(failed(command).because(format_args!("it took longer than {}", say::span(limit))))
    }

    /// A file without a name.
    fn file(&self) -> Result<File, Failure> {
        let number = self.files.fetch_add(1, Ordering::Relaxed);
        let path = self.scratch.join(format!("output-{}-{number}", std::process::id()));
        let file = File::options().read(true).write(true).create_new(true).open(&path);
        let file = file.during(format!("cannot make {}", path.display()))?;
        std::fs::remove_file(&path).during(format!("cannot remove {}", path.display()))?;
        Ok(file)
    }
}

fn read_back(file: &mut File) -> Result<String, Failure> {
    let mut bytes = Vec::new();
    let read = file.rewind().and_then(|()| file.take(OUTPUT_MAX).read_to_end(&mut bytes));
    read.during("cannot read what a program printed")?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn failed(command: &Command) -> Failure {
    Failure::new(format!("`{}` failed", shown(command)))
}

/// Ends a program and what it started.
fn end_group(child: &mut Child) {
    end(child, kill_process_group);
}

/// Asks a child to end, waits, then makes it. What a signal meant here must not stop: no interrupts.
pub(crate) fn end(child: &mut Child, send: fn(Pid, Signal) -> rustix::io::Result<()>) {
    let Some(pid) = Pid::from_raw(child.id().cast_signed()) else { return };
    if child.try_wait().is_ok_and(|status| status.is_some()) {
        return;
    }
    // Already gone is as good.
    let _ = send(pid, Signal::TERM);
    let deaf = Interrupts::default();
    let ended = deaf.wait_for(END, || child.try_wait().during("cannot wait for a program"));
    if !matches!(ended, Ok(Some(_))) {
        let _ = send(pid, Signal::KILL);
        let _ = child.wait();
    }
}

/// A command as it would be typed into a shell.
pub(crate) fn shown(command: &Command) -> String {
    let program = Path::new(command.get_program());
    // Cargo tells where it is; everybody knows it by name.
    let cargo = program.file_name().filter(|name| *name == "cargo");
    let words = std::iter::once(cargo.unwrap_or(program.as_os_str())).chain(command.get_args());
    words.map(word).collect::<Vec<_>>().join(" ")
}

/// A word that a shell reads as this word.
pub(crate) fn word(text: &OsStr) -> String {
    let text = text.to_string_lossy();
    let plain = |c: char| c.is_ascii_alphanumeric() || "%+,-./:=@_".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text.into_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests;
