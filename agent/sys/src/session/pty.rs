//! The daemon's side of a terminal.
//!
//! Reading and writing are asynchronous; the end of the session reads as the end of the stream
//! (Linux says `EIO`). The terminal hangs up when the last clone is dropped.

use std::io;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use port::host_user::HostUser;
use rustix::fs::{Gid, Mode, OFlags, Uid, fchmod, fchown, fcntl_getfl, fcntl_setfl};
use rustix::io::Errno;
use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, ptsname, unlockpt};
use rustix::termios::{OptionalActions, Winsize, tcgetattr, tcsetattr, tcsetwinsize};
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};

use crate::descriptor;

use super::{Terminal, modes};

/// The kernel hands out no more than this at once, so no larger buffer is prepared for it.
const READ_MAX: usize = 4096;

/// The size of a window, in characters and in pixels; zero is "unknown".
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WindowSize {
    /// Characters per line.
    pub cols: u16,
    /// Lines.
    pub rows: u16,
    /// Pixels across.
    pub xpixel: u16,
    /// Pixels down.
    pub ypixel: u16,
}

impl From<WindowSize> for Winsize {
    fn from(size: WindowSize) -> Self {
        Self { ws_col: size.cols, ws_row: size.rows, ws_xpixel: size.xpixel, ws_ypixel: size.ypixel }
    }
}

/// The daemon's side of a terminal. Clones are the same terminal: one may read while another writes.
#[derive(Debug, Clone)]
pub struct Pty {
    master: Arc<AsyncFd<OwnedFd>>,
    name: Arc<str>,
}

impl Pty {
    /// The path of the user's side, `/dev/pts/N`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Changes the size of the window; the program in the foreground is told by a signal.
    ///
    /// # Errors
    /// Those of the system; none are known to happen on a terminal that is open.
    pub fn resize(&self, size: WindowSize) -> io::Result<()> {
        Ok(tcsetwinsize(self.master.get_ref(), size.into())?)
    }

    /// Makes a terminal for this user and returns both sides. Needs a runtime.
    pub(crate) fn open(
        terminal: &Terminal,
        user: &HostUser,
        tty_group: Option<u32>,
    ) -> io::Result<(Self, OwnedFd)> {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let master = openpt(flags)?;
        grantpt(&master)?;
        unlockpt(&master)?;
        let name = ptsname(&master, Vec::new())?.into_string().map_err(io::Error::other)?;
        let slave = open_slave(&master, &name, flags)?;
        own(&slave, user, tty_group)?;
        let mut termios = tcgetattr(&slave)?;
        modes::apply(&mut termios, &terminal.modes);
        tcsetattr(&slave, OptionalActions::Now, &termios)?;
        tcsetwinsize(&slave, terminal.size.into())?;
        fcntl_setfl(&master, fcntl_getfl(&master)? | OFlags::NONBLOCK)?;
        Ok((
            Self {
                master: Arc::new(descriptor::watch(master, Interest::READABLE | Interest::WRITABLE)?),
                name: name.into(),
            },
            slave,
        ))
    }
}

/// Opens the user's side without looking its path up, so another mount of `/dev/pts` cannot fool us.
fn open_slave(master: &OwnedFd, name: &str, flags: OpenptFlags) -> io::Result<OwnedFd> {
    match ioctl_tiocgptpeer(master, flags) {
        // Kernels before 4.13.
        Err(Errno::INVAL | Errno::NOTTY | Errno::NOSYS) => {
            Ok(rustix::fs::open(name, OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty())?)
        }
        slave => Ok(slave?),
    }
}

/// Gives the terminal to the user, and to the group whose programs (`write`, `wall`) may write to it.
fn own(slave: &OwnedFd, user: &HostUser, tty_group: Option<u32>) -> io::Result<()> {
    let group = Gid::from_raw(tty_group.unwrap_or(user.gid));
    let given = fchown(slave, Some(Uid::from_raw(user.uid)), Some(group));
    let mode = if tty_group.is_some() { Mode::from_raw_mode(0o620) } else { Mode::from_raw_mode(0o600) };
    // A daemon that is not root owns the terminal already and may not change its group.
    if rustix::process::geteuid().is_root() {
        given?;
        fchmod(slave, mode)?;
    }
    Ok(())
}

impl AsyncRead for Pty {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        loop {
            let mut ready = ready!(self.master.poll_read_ready(cx))?;
            let room = buf.remaining().min(READ_MAX);
            let space = buf.initialize_unfilled_to(room);
            match ready.try_io(|master| rustix::io::read(master.get_ref(), &mut *space).map_err(Into::into)) {
                Ok(Ok(count)) => {
                    buf.advance(count);
                    return Poll::Ready(Ok(()));
                }
                Ok(Err(error)) if ended(&error) => return Poll::Ready(Ok(())),
                Ok(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(Err(error)) => return Poll::Ready(Err(error)),
                Err(_would_block) => {}
            }
        }
    }
}

/// What Linux says when the last program on the user's side has closed it.
fn ended(error: &io::Error) -> bool {
    Errno::from_io_error(error) == Some(Errno::IO)
}

impl AsyncWrite for Pty {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        loop {
            let mut ready = ready!(self.master.poll_write_ready(cx))?;
            match ready.try_io(|master| rustix::io::write(master.get_ref(), buf).map_err(Into::into)) {
                Ok(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(result) => return Poll::Ready(result),
                Err(_would_block) => {}
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// Does nothing: a terminal has no half that can be closed.
    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
