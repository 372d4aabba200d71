//! Whether a login shell is one whose user may do as they like with their files.
//!
//! A built-in program runs without the user's shell. For a user whose shell lets nobody in, or is made
//! to let them do a few things only, it would be a way past it; so the shell is asked about here. Root
//! passes with every shell that lets anybody in, as with sshd, so that the host can be mended.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::wire::{Failure, Identity, SessionTask, Step};

/// Shells that mean "may not log in".
const REFUSING: [&str; 2] = ["nologin", "false"];
/// The shells there are where no file lists them: those of getusershell(3).
const USUAL: &[u8] = b"/bin/sh\n/bin/csh\n";

/// Refuses users whose shell restricts them.
pub(super) fn check(identity: &Identity, task: &SessionTask) -> Result<(), Failure> {
    let name = task.shell.file_name().unwrap_or_default();
    if REFUSING.iter().any(|refusing| name == *refusing) {
        return Err(Failure::rule(Step::ShellRefuses, ""));
    }
    if identity.uid == 0 {
        return Ok(());
    }
    // As for the C library, a file that cannot be read is none.
    let list = std::fs::read(&task.shells).unwrap_or_else(|_| USUAL.to_vec());
    if listed(&list).any(|shell| shell == task.shell) {
        return Ok(());
    }
    Err(Failure::rule(Step::ShellNotListed, task.shells.display().to_string()))
}

/// The shells of a shells(5) file: on each line what begins with a slash, up to a blank or a `#`.
fn listed(text: &[u8]) -> impl Iterator<Item = &Path> {
    text.split(|byte| *byte == b'\n').filter_map(|line| {
        let line = line.split(|byte| *byte == b'#').next()?;
        let begin = line.iter().position(|byte| *byte == b'/')?;
        let shell = line.get(begin..)?.split(u8::is_ascii_whitespace).next()?;
        (shell.len() > 1).then(|| Path::new(OsStr::from_bytes(shell)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shells(text: &str) -> Vec<String> {
        listed(text.as_bytes()).map(|shell| shell.display().to_string()).collect()
    }

    #[test]
    fn a_list_is_read_as_the_c_library_does() {
        let text = "# /etc/shells: valid login shells\n/bin/sh\n  /bin/bash # best\n/bin/zsh#x\n\n/\n\
                    #/bin/rbash\nrelative\n/usr/bin/fish -l\r\n/bin/last";
        assert_eq!(shells(text), ["/bin/sh", "/bin/bash", "/bin/zsh", "/usr/bin/fish", "/bin/last"]);
        assert!(shells("").is_empty());
        assert_eq!(listed(USUAL).count(), 2);
    }

    proptest::proptest! {
        #[test]
        fn whatever_the_file_holds_only_absolute_paths_come_out(
            text in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200),
        ) {
            for shell in listed(&text) {
                proptest::prop_assert!(shell.is_absolute());
            }
        }
    }
}
