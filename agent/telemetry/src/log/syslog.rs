//! The machine's syslog daemon: one datagram per line on its socket.
//!
//! The header of each line (RFC 3164) is put by the encoder. A daemon that restarts is waited for a
//! moment and then tried anew with every batch of lines; what it does not take is lost and counted.

use std::io::{self, ErrorKind};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::LogError;

/// How long the daemon may leave a full socket unread.
const SEND_TIMEOUT: Duration = Duration::from_secs(1);

/// How often, and how far apart, a lost daemon is tried before lines are given up.
const RETRIES: u32 = 20;
const RETRY_PAUSE: Duration = Duration::from_millis(100);

/// A connection to the daemon.
pub(super) struct Syslog {
    path: PathBuf,
    socket: Option<UnixDatagram>,
}

impl Syslog {
    pub(super) fn connect(path: &Path) -> Result<Self, LogError> {
        let socket = open(path).map_err(|source| LogError::Syslog { socket: path.to_owned(), source })?;
        Ok(Self { path: path.to_owned(), socket: Some(socket) })
    }

    /// Sends each line. Returns how many were lost.
    pub(super) fn write(&mut self, lines: &[u8]) -> u64 {
        // Only a connection that is lost now is worth waiting for: the daemon may be restarting.
        let mut patience = if self.socket.is_some() { RETRIES } else { 0 };
        let lines = lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        lines.map(|line| u64::from(!self.send(line, &mut patience))).sum()
    }

    /// Sends one line. Says whether the daemon took it.
    fn send(&mut self, line: &[u8], patience: &mut u32) -> bool {
        loop {
            match self.connected().and_then(|socket| socket.send(line)) {
                Ok(_) => return true,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // It is there and does not read, or the line is too long for it.
                Err(error) if is_refusal(&error) => return false,
                Err(_) if *patience == 0 => {
                    self.socket = None;
                    return false;
                }
                Err(_) => {
                    *patience -= 1;
                    // The first failure only shows that the connection is of yesterday.
                    if self.socket.take().is_none() {
                        std::thread::park_timeout(RETRY_PAUSE);
                    }
                }
            }
        }
    }

    fn connected(&mut self) -> io::Result<&UnixDatagram> {
        let socket = match self.socket.take() {
            Some(socket) => socket,
            None => open(&self.path)?,
        };
        Ok(self.socket.insert(socket))
    }
}

fn is_refusal(error: &io::Error) -> bool {
    let too_long = error.raw_os_error() == Some(rustix::io::Errno::MSGSIZE.raw_os_error());
    too_long || matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

fn open(path: &Path) -> io::Result<UnixDatagram> {
    let socket = UnixDatagram::unbound()?;
    socket.connect(path)?;
    socket.set_write_timeout(Some(SEND_TIMEOUT))?;
    Ok(socket)
}
