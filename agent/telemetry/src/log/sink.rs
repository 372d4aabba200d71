//! The end of the line: a stream, a file, or the syslog daemon. Used by the writer thread alone,
//! which may block here.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;
use rustix::event::{PollFd, PollFlags, poll};

use super::syslog::Syslog;
use super::{LogError, Output};

/// Where lines end.
pub(super) enum Sink {
    /// A descriptor that takes bytes.
    Stream(Stream),
    /// The syslog daemon, which takes one line at a time.
    Syslog(Syslog),
}

impl Sink {
    /// Opens the output. `reopened` is where a file comes from that takes the place of the present
    /// one.
    pub(super) fn open(output: &Output, reopened: Arc<Mutex<Option<File>>>) -> Result<Self, LogError> {
        let stream = |file| Self::Stream(Stream { file, torn: false, reopened });
        match output {
            Output::Stderr => duplicate("standard error", io::stderr().as_fd()).map(stream),
            Output::Stdout => duplicate("standard output", io::stdout().as_fd()).map(stream),
            Output::File(path) => open_file(path).map(stream),
            Output::Syslog(socket) => Syslog::connect(socket).map(Self::Syslog),
        }
    }

    /// Writes whole lines. Returns how many of them were lost.
    pub(super) fn write(&mut self, lines: &[u8]) -> u64 {
        match self {
            Self::Stream(stream) => stream.write(lines),
            Self::Syslog(syslog) => syslog.write(lines),
        }
    }
}

/// Our own descriptor of a standard stream: the one in `std` has a lock, and whoever else prints
/// there would wait for our slow reader.
fn duplicate(stream: &'static str, descriptor: BorrowedFd<'_>) -> Result<File, LogError> {
    let owned = descriptor.try_clone_to_owned().map_err(|source| LogError::Stream { stream, source })?;
    Ok(File::from(owned))
}

/// Opens a log file at its end.
pub(super) fn open_file(path: &Path) -> Result<File, LogError> {
    let options = OpenOptions::new().append(true).create(true).mode(0o640).open(path);
    options.map_err(|source| LogError::File { path: path.to_owned(), source })
}

/// A descriptor that takes bytes.
pub(super) struct Stream {
    file: File,
    /// Whether the last write ended inside a line.
    torn: bool,
    reopened: Arc<Mutex<Option<File>>>,
}

impl Stream {
    fn write(&mut self, lines: &[u8]) -> u64 {
        if let Some(file) = self.reopened.lock().take() {
            self.file = file;
            self.torn = false;
        }
        if self.torn && self.write_all(b"\n").is_ok() {
            self.torn = false;
        }
        let Err(rest) = self.write_all(lines) else { return 0 };
        let written = lines.strip_suffix(rest).unwrap_or_default();
        self.torn |= written.last().is_some_and(|byte| *byte != b'\n');
        count_lines(rest)
    }

    /// Writes everything, waiting as long as the reader needs; the unwritten rest when it fails.
    fn write_all<'a>(&self, mut bytes: &'a [u8]) -> Result<(), &'a [u8]> {
        while !bytes.is_empty() {
            match (&self.file).write(bytes) {
                Ok(0) => return Err(bytes),
                Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // Whoever shares the descriptor with us made it non-blocking.
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    let mut ready = [PollFd::new(&self.file, PollFlags::OUT)];
                    if poll(&mut ready, None).is_err_and(|error| error != rustix::io::Errno::INTR) {
                        return Err(bytes);
                    }
                }
                Err(_) => return Err(bytes),
            }
        }
        Ok(())
    }
}

fn count_lines(bytes: &[u8]) -> u64 {
    bytes.iter().filter(|byte| **byte == b'\n').count() as u64
}
