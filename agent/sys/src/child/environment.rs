//! The variables a program starts with.
//!
//! Built from nothing: what the daemon itself was started with stays with it, save language and time
//! zone. Pure but for reading the user's own file, which happens as the user.

use std::ffi::{OsStr, OsString};
use std::io::{self, Read};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

use rustix::fs::{FileType, Mode, OFlags};

use crate::wire::SessionTask;

/// The user's own variables, below the home folder.
const USER_FILE: &str = ".tsh/environment";
/// As much of it as is read, in bytes.
const USER_FILE_MAX: u64 = 64 * 1024;
const PATH: &str = "/usr/local/bin:/usr/bin:/bin:/usr/games";
const ROOT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A variable.
pub(super) type Variable = (OsString, OsString);

/// All variables in order; later ones win.
pub(super) fn variables(task: &SessionTask, uid: u32, inherited: Vec<Variable>) -> Vec<Variable> {
    let mut all = inherited;
    let client = task.env.iter().filter(|(name, _)| is_name(OsStr::new(name)));
    all.extend(client.map(|(name, value)| (name.into(), value.into())));
    let mut set = |name: &str, value: &OsStr| all.push((name.into(), value.to_owned()));
    set("HOME", task.home.as_os_str());
    set("USER", task.login.as_ref());
    set("LOGNAME", task.login.as_ref());
    set("SHELL", task.shell.as_os_str());
    set("PATH", if uid == 0 { ROOT_PATH } else { PATH }.as_ref());
    set("MAIL", Path::new("/var/mail").join(&task.login).as_os_str());
    if let Some(terminal) = &task.terminal {
        set("TERM", terminal.term.as_ref());
        set("SSH_TTY", terminal.name.as_ref());
    }
    all
}

/// Language and time zone, as the daemon had them.
pub(super) fn inherited() -> Vec<Variable> {
    std::env::vars_os().filter(|(name, _)| name == "LANG" || name == "TZ").collect()
}

/// The user's own variables. Call as the user. A file that is not there, is no plain file or cannot
/// be read is no variables: a login must not fail over it.
pub(super) fn user_variables(home: &Path) -> Vec<Variable> {
    read_file(&home.join(USER_FILE)).map(|text| parse(&text)).unwrap_or_default()
}

fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    // Not blocking: the user may have put a pipe there, and nobody waits for its other end.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = rustix::fs::open(path, flags, Mode::empty())?;
    if FileType::from_raw_mode(rustix::fs::fstat(&file)?.st_mode) != FileType::RegularFile {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let mut text = Vec::new();
    std::fs::File::from(file).take(USER_FILE_MAX).read_to_end(&mut text)?;
    Ok(text)
}

/// Lines `NAME=value`, as sshd reads `~/.ssh/environment`: empty lines and those that begin with `#`
/// are nothing, as are those that are no assignment.
fn parse(text: &[u8]) -> Vec<Variable> {
    text.split(|byte| *byte == b'\n')
        .map(<[u8]>::trim_ascii)
        .filter(|line| !line.starts_with(b"#"))
        .filter_map(|line| {
            let at = line.iter().position(|byte| *byte == b'=')?;
            let (name, value) = (line.get(..at)?, line.get(at + 1..)?);
            (is_name(OsStr::from_bytes(name)) && !value.contains(&0))
                .then(|| (OsString::from_vec(name.to_vec()), OsString::from_vec(value.to_vec())))
        })
        .collect()
}

/// Whether the system takes it as a name.
fn is_name(name: &OsStr) -> bool {
    !name.is_empty() && !name.as_bytes().iter().any(|byte| matches!(byte, b'=' | 0))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::wire::{ProgramTask, TerminalTask};

    fn task() -> SessionTask {
        SessionTask {
            program: ProgramTask::Shell,
            login: "joe".into(),
            home: "/home/joe".into(),
            shell: "/bin/bash".into(),
            env: vec![],
            read_user_env: false,
            terminal: None,
            nofile: None,
            nologin: vec![],
            shells: "/etc/shells".into(),
            has_report: false,
        }
    }

    /// The value that counts.
    fn value<'a>(all: &'a [Variable], name: &str) -> Option<&'a str> {
        all.iter().rev().find(|(known, _)| known == name)?.1.to_str()
    }

    #[test]
    fn the_login_wins_over_the_client_and_the_client_over_the_daemon() {
        let mut task = task();
        task.env = [("HOME", "/evil"), ("LANG", "C"), ("", "x"), ("A=B", "x"), ("SSH_CLIENT", "::1 5 22")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .to_vec();
        let all = variables(&task, 1000, vec![("LANG".into(), "de_AT".into()), ("TZ".into(), "UTC".into())]);
        assert_eq!(value(&all, "HOME"), Some("/home/joe"));
        assert_eq!(value(&all, "LANG"), Some("C"));
        assert_eq!(value(&all, "TZ"), Some("UTC"));
        assert_eq!(value(&all, "MAIL"), Some("/var/mail/joe"));
        assert_eq!(value(&all, "PATH"), Some(PATH));
        assert_eq!(value(&all, "SSH_CLIENT"), Some("::1 5 22"));
        assert_eq!(value(&all, "TERM"), None);
        assert!(all.iter().all(|(name, _)| is_name(name)));
    }

    #[test]
    fn a_terminal_has_a_kind_and_a_name() {
        let mut task = task();
        task.terminal = Some(TerminalTask { term: "xterm".into(), name: "/dev/pts/3".into() });
        let all = variables(&task, 0, vec![]);
        assert_eq!(value(&all, "TERM"), Some("xterm"));
        assert_eq!(value(&all, "SSH_TTY"), Some("/dev/pts/3"));
        assert_eq!(value(&all, "PATH"), Some(ROOT_PATH));
    }

    #[test]
    fn the_users_file_is_read_like_sshd_reads_its_own() {
        let read = parse(b"# note\nA=1\n\n  B = two \n=x\nnone\nC=a=b\nD=");
        let expected = [("A", "1"), ("B ", " two"), ("C", "a=b"), ("D", "")];
        assert_eq!(read, expected.map(|(name, value)| (name.into(), value.into())));
    }

    #[test]
    fn a_pipe_in_place_of_the_users_file_does_not_hold_the_login_up() {
        let home = tempfile::tempdir().unwrap();
        assert_eq!(user_variables(home.path()), []);
        std::fs::create_dir(home.path().join(".tsh")).unwrap();
        let path = home.path().join(USER_FILE);
        rustix::fs::mkfifoat(rustix::fs::CWD, &path, Mode::RUSR | Mode::WUSR).unwrap();
        assert_eq!(user_variables(home.path()), []);
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, "A=1").unwrap();
        assert_eq!(user_variables(home.path()), [("A".into(), "1".into())]);
    }

    proptest! {
        #[test]
        fn no_file_gives_a_name_the_system_refuses(text in prop::collection::vec(any::<u8>(), 0..200)) {
            for (name, value) in parse(&text) {
                prop_assert!(is_name(&name) && !value.as_bytes().contains(&0));
            }
        }
    }
}
