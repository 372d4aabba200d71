//! Copies made with scp's old protocol (`scp -O`, and every client before OpenSSH 9).
//!
//! Such a copy is a command, `scp -t PATH` or `scp -f PATH`, that the user's shell runs. To write down
//! which files went where, the control lines of the protocol are read along: `C0644 12 name`, then
//! twelve bytes and a NUL. Newer clients use SFTP, whose server tells by itself.

use std::path::{Path, PathBuf};
use std::time::Duration;

use domain::audit::{CopyProtocol, Detail, FileAction, Outcome};

use tokio::sync::{Semaphore, oneshot};
use tokio::time::timeout;

use super::journal::Journal;

/// The most files of one copy that are written down one by one.
const FILES_MAX: usize = 1000;
/// Looks at paths at one time: one that hangs may hang for ever.
static LOOKS: Semaphore = Semaphore::const_new(4);
/// How long it may take to see what a path is: its disk may hang.
const LOOK_MAX: Duration = Duration::from_secs(1);
/// The longest control line, in bytes.
const LINE_MAX: usize = 4096;

/// A copy under way.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Copying {
    action: FileAction,
    path: String,
    /// Whether files go into a folder of that path, as the client says or the path itself.
    into_folder: bool,
    along: Along,
}

/// Looks at bytes on their way.
type Look<'a> = Box<dyn FnMut(&[u8]) + Send + 'a>;

/// Looks at the bytes of a session as they pass.
pub(super) struct Tap<'a> {
    /// From the client to the program.
    pub(super) up: Look<'a>,
    /// From the program to the client.
    pub(super) down: Look<'a>,
}

impl Copying {
    /// The copy a command makes, if it is one.
    pub(crate) fn of(command: &str) -> Option<Self> {
        let mut words = command.split_whitespace();
        let program = words.next()?;
        if program.rsplit('/').next() != Some("scp") {
            return None;
        }
        let words: Vec<&str> = words.collect();
        let options = words.iter().take_while(|word| word.starts_with('-') && **word != "--");
        let flag = |flag: char| options.clone().any(|word| word.trim_start_matches('-').contains(flag));
        let action = match (flag('t'), flag('f')) {
            (true, false) => FileAction::Upload,
            (false, true) => FileAction::Download,
            _ => return None,
        };
        let path = (*words.last()?).trim_matches(['\'', '"']).to_owned();
        let into_folder = flag('d') || matches!(path.rsplit('/').next(), Some("" | "." | ".."));
        Some(Self { action, path, into_folder, along: Along::default() })
    }

    /// The event of a copy that is not allowed.
    pub(crate) fn disallowed(self, outcome: Outcome) -> Detail {
        let (path, action) = (Some(self.path), Some(self.action));
        Detail::CopyDisallowed { protocol: CopyProtocol::Scp, path, action, outcome }
    }

    /// Looks at the direction that carries the files.
    pub(super) fn tap(copying: Option<&mut Self>) -> Tap<'_> {
        let (mut up, mut down) = (None, None);
        match copying {
            Some(copying) if copying.action == FileAction::Upload => up = Some(&mut copying.along),
            Some(copying) => down = Some(&mut copying.along),
            None => {}
        }
        Tap { up: look(up), down: look(down) }
    }

    /// Writes down every file that was seen, or the copy itself when none was. Paths begin at the user's `home`.
    pub(super) async fn record(self, journal: &Journal, home: &Path, success: bool) {
        let outcome = || if success { Outcome::ok() } else { Outcome::failed("scp failed") };
        let event = |path: String, len: Option<u64>| Detail::Scp {
            path,
            len,
            action: self.action,
            outcome: outcome(),
        };
        if self.along.files.is_empty() {
            journal.note(event(self.path.clone(), None)).await;
        }
        let goes_into =
            self.action == FileAction::Upload && (self.into_folder || !is_file(home.join(&self.path)).await);
        for (name, len) in &self.along.files {
            let path = match goes_into {
                true => format!("{}/{name}", self.path.trim_end_matches('/')),
                false => self.path.clone(),
            };
            journal.note(event(path, Some(*len))).await;
        }
    }
}

/// Whether a file is there, and no folder: a client that sends one file does not know, so there has to be a look. What
/// cannot be seen, or not in time, is taken for a folder: the name of the file is told then.
async fn is_file(path: PathBuf) -> bool {
    let Ok(turn) = LOOKS.try_acquire() else { return false };
    let (tell, told) = oneshot::channel();
    // On no thread of the runtime, which would keep the daemon from ending.
    let look = move || {
        let _turn = turn;
        // Whoever asked may have gone.
        let _ = tell.send(std::fs::metadata(path).is_ok_and(|found| !found.is_dir()));
    };
    let looks = std::thread::Builder::new().name("scp-look".to_owned()).spawn(look).is_ok();
    looks && matches!(timeout(LOOK_MAX, told).await, Ok(Ok(true)))
}

fn look(along: Option<&mut Along>) -> Look<'_> {
    match along {
        Some(along) => Box::new(|bytes| along.look(bytes)),
        None => Box::new(|_| {}),
    }
}

/// Reads the control lines along with the stream and skips the files' bytes.
#[derive(Debug, Default, PartialEq, Eq)]
struct Along {
    line: Vec<u8>,
    skip: u64,
    lost: bool,
    files: Vec<(String, u64)>,
}

impl Along {
    fn look(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() && !self.lost {
            if self.skip > 0 {
                let skipped = usize::try_from(self.skip).unwrap_or(usize::MAX).min(bytes.len());
                self.skip -= skipped as u64;
                bytes = bytes.get(skipped..).unwrap_or_default();
                continue;
            }
            let Some((first, rest)) = bytes.split_first() else { return };
            bytes = rest;
            self.byte(*first);
        }
    }

    fn byte(&mut self, byte: u8) {
        match byte {
            b'\n' => {
                let line = std::mem::take(&mut self.line);
                self.control(&line);
            }
            // Acknowledgements between the lines.
            0 if self.line.is_empty() => {}
            _ if self.line.len() >= LINE_MAX => self.lost = true,
            byte => self.line.push(byte),
        }
    }

    /// `C<mode> <size> <name>` begins a file; its bytes are followed by a NUL.
    fn control(&mut self, line: &[u8]) {
        let text = String::from_utf8_lossy(line);
        let Some(file) = text.strip_prefix('C') else { return };
        let mut fields = file.splitn(3, ' ');
        let (_mode, size, name) = (fields.next(), fields.next(), fields.next());
        let (Some(Ok(size)), Some(name)) = (size.map(str::parse::<u64>), name) else {
            self.lost = true;
            return;
        };
        self.skip = size.saturating_add(1);
        if self.files.len() < FILES_MAX {
            self.files.push((name.to_owned(), size));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn commands_of_clients_are_recognised() {
        let of = |command| Copying::of(command).map(|copying| (copying.action, copying.path));
        assert_eq!(of("scp -t /tmp/x"), Some((FileAction::Upload, "/tmp/x".into())));
        assert_eq!(of("scp -v -r -p -f -- 'a'"), Some((FileAction::Download, "a".into())));
        assert_eq!(of("/usr/bin/scp -qt ."), Some((FileAction::Upload, ".".into())));
        for other in ["ls -t", "scp a b:c", "echo scp -t x", "", "scp", "scp -tf x"] {
            assert_eq!(of(other), None, "{other}");
        }
    }

    #[tokio::test]
    async fn a_file_goes_to_the_path_that_is_named_or_into_the_folder_that_is_there() {
        let home = tempfile::tempdir().unwrap();
        std::fs::create_dir(home.path().join("folder")).unwrap();
        for file in ["file", "report."] {
            std::fs::write(home.path().join(file), "").unwrap();
        }
        for (command, into) in [
            ("scp -t folder", true),
            ("scp -t file", false),
            ("scp -t report.", false),
            // A shell may have made another path of it.
            ("scp -t ~/folder", true),
            ("scp -t -d file", true),
            ("scp -t new/", true),
            ("scp -t .", true),
        ] {
            let copying = Copying::of(command).unwrap();
            let found = copying.into_folder || !is_file(home.path().join(&copying.path)).await;
            assert_eq!(found, into, "{command}");
        }
    }

    #[test]
    fn files_are_seen_whatever_the_cuts() {
        let stream = b"\0C0644 5 a.txt\nhello\0D0755 0 dir\nC0600 0 empty\n\0C0644 3 b\nC12\0E\n\0";
        for cut in 1..stream.len() {
            let mut along = Along::default();
            stream.chunks(cut).for_each(|chunk| along.look(chunk));
            assert_eq!(
                along.files,
                [("a.txt".into(), 5), ("empty".into(), 0), ("b".into(), 3)],
                "cut at {cut}"
            );
        }
    }

    #[test]
    fn what_is_no_protocol_is_given_up_and_bounded() {
        let mut along = Along::default();
        along.look(&vec![b'x'; 1_000_000]);
        assert!(along.lost && along.line.len() <= LINE_MAX);
    }

    proptest! {
        #[test]
        fn no_bytes_panic(chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..50), 0..20)) {
            let mut along = Along::default();
            chunks.iter().for_each(|chunk| along.look(chunk));
            prop_assert!(along.files.len() <= FILES_MAX);
        }
    }
}
