//! Small things done as a user: sockets of theirs, connected or listening.
//!
//! Refuses nothing itself: the system decides what the user may. That is why it is done as the user,
//! and not by the daemon, which may everything. Nothing here waits for a peer: a connection is begun
//! here and awaited by the daemon, so that many slow ones are sockets and not processes.

#![allow(unsafe_code, reason = "mkdtemp has no safe interface in the standard library")]

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use rustix::fs::Mode;
use rustix::io::Errno;
use rustix::net::sockopt::{set_ipv6_v6only, set_socket_reuseaddr};
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, connect, listen, socket_with,
};
use rustix::process::umask;
use rustix::stdio::dup2_stdin;

use super::privilege;
use crate::wire::{Failure, Identity, Step, Task};

/// How many connections may wait to be accepted.
const BACKLOG: i32 = 128;
/// Where agent sockets live: each in a folder of its own that only its user may enter.
const AGENT_FOLDER: &std::ffi::CStr = c"/tmp/teleport-agent-XXXXXXXXXX";
/// The socket's name in it.
const AGENT_SOCKET: &str = "agent.sock";

/// What an operation gives back.
pub(super) struct Done {
    pub(super) descriptor: Option<OwnedFd>,
    pub(super) path: Option<PathBuf>,
}

/// Becomes the user and does it.
pub(super) fn perform(identity: &Identity, task: Task) -> Result<Done, Failure> {
    // Standard input is the helper's socket. Someone else's requests must not end up here.
    let null = fs::File::open("/dev/null").map_err(|error| Failure::system(Step::Descriptors, error))?;
    dup2_stdin(null).map_err(|error| Failure::system(Step::Descriptors, error))?;
    // Its own group, so that giving up on it ends it and nothing else.
    rustix::process::setsid().map_err(|error| Failure::system(Step::Session, error))?;
    privilege::become_user(identity)?;
    // A socket is for its user alone.
    umask(Mode::RWXG | Mode::RWXO | Mode::XUSR);
    run(task).map_err(|error| Failure::system(Step::Operation, error))
}

fn run(task: Task) -> io::Result<Done> {
    let only = |descriptor: OwnedFd| Ok(Done { descriptor: Some(descriptor), path: None });
    match task {
        Task::ConnectUnix(path) => only(connect_unix(&path)?),
        Task::ListenUnix { path, unlink_existing } => only(listen_unix(&path, unlink_existing)?.into()),
        Task::ListenTcp(address) => only(listen_tcp(address)?),
        Task::ConnectTcp(address) => only(connect_tcp(address)?),
        Task::ListenAgent => listen_agent(),
        Task::RemoveAgent(path) => remove_agent(&path),
        Task::Session(_) => Err(io::ErrorKind::InvalidInput.into()),
    }
}

fn listen_unix(path: &Path, unlink_existing: bool) -> io::Result<UnixListener> {
    match UnixListener::bind(path) {
        // Left behind by a listener that was killed. A file of another kind stays.
        Err(error)
            if error.kind() == io::ErrorKind::AddrInUse
                && unlink_existing
                && fs::symlink_metadata(path)?.file_type().is_socket() =>
        {
            fs::remove_file(path)?;
            UnixListener::bind(path)
        }
        bound => bound,
    }
}

fn listen_tcp(address: SocketAddr) -> io::Result<OwnedFd> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let socket = socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    set_socket_reuseaddr(&socket, true)?;
    if address.is_ipv6() {
        // Whoever wants both families asks for both.
        set_ipv6_v6only(&socket, true)?;
    }
    bind(&socket, &address)?;
    listen(&socket, BACKLOG)?;
    Ok(socket)
}

/// A connection that has begun, seldom one that is made: the first packet has left with the user's rights.
fn connect_tcp(address: SocketAddr) -> io::Result<OwnedFd> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let socket = socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK, None)?;
    match connect(&socket, &address) {
        // Interrupted, it goes on all the same: connect(2).
        Ok(()) | Err(Errno::INPROGRESS | Errno::INTR) => Ok(socket),
        Err(error) => Err(error.into()),
    }
}

/// Connects at once or not at all: a listener whose queue is full is "temporarily unavailable".
fn connect_unix(path: &Path) -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    connect(&socket, &SocketAddrUnix::new(path)?)?;
    Ok(socket)
}

fn listen_agent() -> io::Result<Done> {
    let folder = make_agent_folder()?;
    let path = folder.join(AGENT_SOCKET);
    match UnixListener::bind(&path) {
        Ok(listener) => Ok(Done { descriptor: Some(listener.into()), path: Some(path) }),
        Err(error) => {
            _ = fs::remove_dir(folder);
            Err(error)
        }
    }
}

/// A folder of a name nobody can guess, made with mode 0700 less the umask, which takes only `x`
/// from the user: put back here.
fn make_agent_folder() -> io::Result<PathBuf> {
    let mut template = AGENT_FOLDER.to_bytes_with_nul().to_vec();
    // SAFETY: the template ends with a NUL and is written to within its length only.
    if unsafe { libc::mkdtemp(template.as_mut_ptr().cast()) }.is_null() {
        return Err(io::Error::last_os_error());
    }
    template.pop();
    let folder = PathBuf::from(String::from_utf8(template).map_err(io::Error::other)?);
    rustix::fs::chmod(&folder, Mode::RWXU)?;
    Ok(folder)
}

/// Removes the socket and its folder. One that is gone already is as good as removed.
fn remove_agent(path: &Path) -> io::Result<Done> {
    let gone = |removed: io::Result<()>| match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    };
    gone(fs::remove_file(path))?;
    if let Some(folder) = path.parent() {
        gone(fs::remove_dir(folder))?;
    }
    Ok(Done { descriptor: None, path: None })
}
