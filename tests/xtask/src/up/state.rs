//! `target/up`: what a cluster keeps between runs, so that a second `up` finds its authority, its node
//! and its user again.
//!
//! Used by one `up` at a time, by one user, in one layout. What is something else is named and left
//! alone, except an older layout of our own, which is removed.

use std::ffi::OsStr;
use std::fs::{DirBuilder, File, Permissions, TryLockError};
use std::io::{Seek, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::failure::{During, Failure};
use crate::run::Runner;
use crate::say;

/// How the folder is laid out. A change that older states do not fit gets another number.
const LAYOUT: &str = "cargo xtask up, layout 1\n";
/// How long daemons of an `up` that was killed may take to stop.
const LEFT_OVER: Duration = Duration::from_secs(20);

/// The folder, held by this process.
#[derive(Debug)]
pub(crate) struct State {
    folder: PathBuf,
    /// Whether an earlier run has made the cluster.
    pub(crate) is_new: bool,
    _lock: File,
}

impl State {
    /// Takes the folder, or makes it.
    pub(crate) fn open(runner: &Runner<'_>) -> Result<Self, Failure> {
        let folder = runner.place.target.join("up");
        let shown = runner.place.shown(&folder);
        make_private(&folder, &shown)?;
        let lock = lock(&folder, &shown)?;
        let is_new = !has_layout(&folder, &shown)?;
        let state = Self { folder, is_new, _lock: lock };
        for name in ["node", "cluster"] {
            state.wait_for_left_over(runner, &shown, name)?;
        }
        std::fs::write(state.file("layout"), LAYOUT).during(format!("cannot write into {shown}"))?;
        Ok(state)
    }

    /// The folder.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// A file in it.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Daemons end with the `up` that started them, though not at once when that was killed.
    fn wait_for_left_over(&self, runner: &Runner<'_>, shown: &str, name: &str) -> Result<(), Failure> {
        let Ok(text) = std::fs::read_to_string(self.file(&format!("{name}.pid"))) else { return Ok(()) };
        let Ok(pid) = text.trim().parse::<u32>() else { return Ok(()) };
        let gone = || Ok((!runs_in(pid, shown)).then_some(()));
        match runner.interrupts.wait_for(LEFT_OVER, gone)? {
            Some(()) => Ok(()),
            None => Err(Failure::new(format!("a daemon of an earlier run still works on {name}"))
                .because(format_args!("process {pid} does not stop"))
                .next(format!("run: kill -9 {pid}"))),
        }
    }
}

/// Whether a process was started with a file of this folder as an argument.
fn runs_in(pid: u32, folder: &str) -> bool {
    let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    line.split(|byte| *byte == 0).any(|argument| Path::new(OsStr::from_bytes(argument)).starts_with(folder))
}

fn make_private(folder: &Path, shown: &str) -> Result<(), Failure> {
    match DirBuilder::new().mode(0o700).create(folder) {
        Ok(()) => return Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(Failure::new(format!("cannot make {shown}")).because(error)),
    }
    let metadata = std::fs::symlink_metadata(folder).during(format!("cannot look at {shown}"))?;
    let (owner, own) = (metadata.uid(), rustix::process::geteuid().as_raw());
    if !metadata.is_dir() {
        return Err(Failure::new(format!("{shown} is not a folder")).next(format!("run: rm {shown}")));
    }
    if owner != own {
        return Err(Failure::new(format!("{shown} belongs to another user"))
            .because(format_args!("its owner has the number {owner}, this user {own}"))
            .next(format!("run this as that user, or have it removed: sudo rm -r {shown}")));
    }
    std::fs::set_permissions(folder, Permissions::from_mode(0o700))
        .during(format!("cannot make {shown} private"))
}

fn lock(folder: &Path, shown: &str) -> Result<File, Failure> {
    let path = folder.join("lock");
    let mut file = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .during(format!("cannot open {shown}/lock"))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let holder = std::fs::read_to_string(&path).unwrap_or_default();
            return Err(Failure::new("a cluster is up already")
                .because(format_args!("process {} holds {shown}", holder.trim()))
                .next("use that one, or stop it with Ctrl-C where it runs"));
        }
        Err(TryLockError::Error(error)) => {
            return Err(Failure::new(format!("cannot lock {shown}")).because(error));
        }
    }
    let written =
        file.set_len(0).and_then(|()| file.rewind()).and_then(|()| writeln!(file, "{}", std::process::id()));
    written.during(format!("cannot write {shown}/lock"))?;
    Ok(file)
}

/// Whether the folder holds a cluster of this layout; if of an older one, it holds nothing afterwards.
fn has_layout(folder: &Path, shown: &str) -> Result<bool, Failure> {
    match std::fs::read_to_string(folder.join("layout")) {
        Ok(text) if text == LAYOUT => return Ok(true),
        Ok(text) if text.starts_with("cargo xtask up, layout ") => {
            say::note(format_args!("{shown} was made by another version of this command; starting anew"));
            empty(folder).during(format!("cannot empty {shown}"))?;
            return Ok(false);
        }
        Ok(_) | Err(_) => {}
    }
    let mut entries = std::fs::read_dir(folder).during(format!("cannot read {shown}"))?;
    if entries.any(|entry| entry.is_ok_and(|entry| entry.file_name() != "lock")) {
        return Err(Failure::new(format!("{shown} holds something that this command did not make"))
            .next(format!("move it away, or remove it: rm -r {shown}")));
    }
    Ok(false)
}

fn empty(folder: &Path) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name() == "lock" {
            continue;
        }
        if entry.file_type()?.is_dir() {
            std::fs::remove_dir_all(entry.path())?;
        } else {
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::process::{Command, Stdio};

    use super::*;
    use crate::interrupt::Interrupts;
    use crate::place::Place;

    fn open(target: &Path) -> Result<State, Failure> {
        let place = Place { root: target.into(), target: target.into() };
        let interrupts = Interrupts::default();
        State::open(&Runner::new(&interrupts, &place).unwrap())
    }

    #[test]
    fn a_state_is_private_kept_and_held_by_one() {
        let target = tempfile::tempdir().unwrap();
        let first = open(target.path()).unwrap();
        assert!(first.is_new);
        assert_eq!(first.folder().metadata().unwrap().mode() & 0o777, 0o700);
        let second = open(target.path()).unwrap_err().to_string();
        assert!(second.contains(&format!("process {} holds up", std::process::id())), "{second}");
        std::fs::write(first.file("kept"), "").unwrap();
        drop(first);
        let third = open(target.path()).unwrap();
        assert!(!third.is_new && third.file("kept").exists());
    }

    #[test]
    fn something_else_in_its_place_is_left_alone() {
        let target = tempfile::tempdir().unwrap();
        let folder = target.path().join("up");
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(folder.join("thesis.txt"), "").unwrap();
        let failure = open(target.path()).unwrap_err().to_string();
        assert!(failure.contains("did not make") && failure.contains("rm -r up"), "{failure}");
        assert!(folder.join("thesis.txt").exists());
    }

    #[test]
    fn an_older_layout_is_started_anew() {
        let target = tempfile::tempdir().unwrap();
        let folder = target.path().join("up");
        std::fs::create_dir_all(folder.join("cluster")).unwrap();
        std::fs::write(folder.join("layout"), "cargo xtask up, layout 0\n").unwrap();
        let state = open(target.path()).unwrap();
        assert!(state.is_new && !folder.join("cluster").exists());
        assert_eq!(std::fs::read_to_string(folder.join("layout")).unwrap(), LAYOUT);
    }

    #[test]
    fn a_number_of_an_earlier_run_that_another_program_has_now_is_no_daemon_of_ours() {
        let target = tempfile::tempdir().unwrap();
        let state = open(target.path()).unwrap();
        std::fs::write(state.file("node.pid"), std::process::id().to_string()).unwrap();
        drop(state);
        assert!(open(target.path()).is_ok());
    }

    #[test]
    fn a_daemon_is_known_by_a_file_of_the_folder_among_its_arguments() {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", "echo started; read end", "sh"]).arg(folder.path().join("node.yaml"));
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        // A process has its arguments a moment after it has its number.
        child.stdout.as_mut().unwrap().read_exact(&mut [0; 7]).unwrap();
        let runs = |folder: &Path| runs_in(child.id(), folder.to_str().unwrap());
        let (ours, other) = (runs(folder.path()), runs(&folder.path().join("up")));
        drop(child.stdin.take());
        child.wait().unwrap();
        assert!(ours && !other);
    }
}
