//! Sockets of a user, made as that user.
//!
//! Forwarding connects and listens with the rights of whoever is logged in: their files, their
//! sockets, no ports below 1024. The daemon gets the finished socket and never touches a path of
//! theirs itself.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use port::host_user::HostUser;
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::task::JoinError;
use tokio::time::{sleep, timeout};

use crate::launch::{Exchange, Launcher, check_privilege, identity_of};
use crate::session::SpawnError;
use crate::turns::{Turn, USER_MAX};
use crate::wire::{Request, Task};

/// How long one operation may take.
const TIMEOUT: Duration = Duration::from_secs(10);
/// How long connecting to a host may take: less than one operation, so that what is told is why.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(9);
/// How long is waited before a socket file is asked again whose listener has no room for more: this
/// first, then twice as long each time, up to the second.
const ROOM_PAUSE: Duration = Duration::from_millis(20);
const ROOM_PAUSE_MAX: Duration = Duration::from_millis(320);
/// The most operations that are under way at once as one user; a connection on its way is none any more.
pub const OPERATIONS_MAX: usize = USER_MAX;
/// The most addresses of a host that are tried: each gets its share of the time.
pub const ADDRESSES_MAX: usize = 4;

/// Why an operation did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum OperationError {
    /// It was tried, and the system said no.
    #[error("cannot {action} {target} as login {login:?}")]
    Refused {
        /// What was tried.
        action: &'static str,
        /// On what.
        target: String,
        /// As whom.
        login: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// It took too long.
    #[error("cannot {action} {target} as login {login:?}: no answer within {seconds} s")]
    Timeout {
        /// What was tried.
        action: &'static str,
        /// On what.
        target: String,
        /// As whom.
        login: String,
        /// How long was waited.
        seconds: u64,
    },
    /// It was not tried.
    #[error("cannot {action} {target}")]
    NotStarted {
        /// What would have been tried.
        action: &'static str,
        /// On what.
        target: String,
        /// Why not.
        #[source]
        source: SpawnError,
    },
}

impl Launcher {
    /// Connects to a socket file as the user.
    ///
    /// # Errors
    /// [`OperationError`]; a path longer than 107 bytes is refused by the system.
    pub async fn connect_unix(&self, user: &HostUser, path: &Path) -> Result<UnixStream, OperationError> {
        let job = Job::new(user, "connect to", path.display());
        let mut pause = ROOM_PAUSE;
        loop {
            match self.perform(&job, Task::ConnectUnix(path.to_owned())).await {
                Err(OperationError::Refused { source, .. })
                    if source.kind() == io::ErrorKind::WouldBlock && pause <= ROOM_PAUSE_MAX =>
                {
                    sleep(pause).await;
                    pause *= 2;
                }
                done => return job.socket(done?, unix_stream),
            }
        }
    }

    /// Connects to a host as the user, so that rules of the firewall, the system's own log and whoever
    /// asks this host about the connection see them. The addresses are those of `name`, which errors
    /// tell; of many, the first [`ADDRESSES_MAX`] are tried. Nagle's algorithm is turned off.
    ///
    /// # Errors
    /// [`OperationError`], with what the last address said.
    pub async fn connect_tcp(
        &self,
        user: &HostUser,
        name: &str,
        mut addresses: Vec<SocketAddr>,
    ) -> Result<TcpStream, OperationError> {
        let job = Job::new(user, "connect to", name);
        addresses.truncate(ADDRESSES_MAX);
        let share = CONNECT_TIMEOUT / u32::try_from(addresses.len().max(1)).unwrap_or(u32::MAX);
        let mut last = job.refused(io::Error::other("the name has no address"));
        for address in addresses {
            match timeout(share, self.connect_to(&job, address)).await {
                Ok(Err(refused @ OperationError::Refused { .. })) => last = refused,
                Ok(outcome) => return outcome,
                Err(_) => last = job.refused(io::ErrorKind::TimedOut.into()),
            }
        }
        Err(last)
    }

    /// Has a connection begun by the user and waits for it here, where waiting is no process.
    async fn connect_to(&self, job: &Job<'_>, address: SocketAddr) -> Result<TcpStream, OperationError> {
        let done = self.perform(job, Task::ConnectTcp(address)).await?;
        let stream = job.socket(done, |socket| TcpStream::from_std(socket.into()))?;
        // Writable is what it becomes when it is made and when it has failed (connect(2)).
        stream.writable().await.map_err(|error| job.refused(error))?;
        if let Some(error) = stream.take_error().map_err(|error| job.refused(error))? {
            return Err(job.refused(error));
        }
        // Failing to turn it off costs speed, not correctness.
        let _ = stream.set_nodelay(true);
        Ok(stream)
    }

    /// Listens on a socket file as the user; the file's mode is 0600. With `unlink_existing` a socket
    /// file in the way is removed, a file of another kind never.
    ///
    /// # Errors
    /// [`OperationError`].
    pub async fn listen_unix(
        &self,
        user: &HostUser,
        path: &Path,
        unlink_existing: bool,
    ) -> Result<UnixListener, OperationError> {
        let job = Job::new(user, "listen on", path.display());
        let done = self.perform(&job, Task::ListenUnix { path: path.to_owned(), unlink_existing }).await?;
        job.socket(done, unix_listener)
    }

    /// Listens on a socket file nobody else can reach or guess, for a forwarded agent. Hand the path
    /// to [`Launcher::remove_agent`] when the session ends.
    ///
    /// # Errors
    /// [`OperationError`].
    pub async fn listen_agent(&self, user: &HostUser) -> Result<(UnixListener, PathBuf), OperationError> {
        let job = Job::new(user, "listen for", "a forwarded agent");
        let mut done = self.perform(&job, Task::ListenAgent).await?;
        let path = done.path.take().ok_or_else(|| job.refused(io::ErrorKind::InvalidData.into()))?;
        Ok((job.socket(done, unix_listener)?, path))
    }

    /// Removes what [`Launcher::listen_agent`] made. Nothing left to remove is no error.
    ///
    /// # Errors
    /// [`OperationError`].
    pub async fn remove_agent(&self, user: &HostUser, path: &Path) -> Result<(), OperationError> {
        let job = Job::new(user, "remove", path.display());
        self.perform(&job, Task::RemoveAgent(path.to_owned())).await.map(|_| ())
    }

    /// Listens on an address as the user, who may have no ports below 1024. Port 0 is any free one.
    ///
    /// # Errors
    /// [`OperationError`].
    pub async fn listen_tcp(
        &self,
        user: &HostUser,
        address: SocketAddr,
    ) -> Result<TcpListener, OperationError> {
        let job = Job::new(user, "listen on", address);
        let done = self.perform(&job, Task::ListenTcp(address)).await?;
        job.socket(done, |socket| {
            let listener = std::net::TcpListener::from(socket);
            listener.set_nonblocking(true)?;
            TcpListener::from_std(listener)
        })
    }

    async fn perform(&self, job: &Job<'_>, task: Task) -> Result<crate::launch::Outcome, OperationError> {
        let (launcher, user) = (self.clone(), job.user.clone());
        // A task of its own: a caller that gives up must not leave a child nobody reaps.
        let work = tokio::spawn(timeout(TIMEOUT, async move {
            check_privilege(&user)?;
            let turn = launcher.turns.take(user.uid).await;
            let identity = identity_of(&user);
            let request = Request { identity, task };
            let exchange = tokio::spawn(launcher.begin_in_turn(request, user.name.clone(), turn));
            exchange.await.map_err(lost)??.outcome(&user).await
        }));
        match work.await.unwrap_or_else(|error| Ok(Err(lost(error)))) {
            Ok(Ok(outcome)) => Ok(outcome),
            Ok(Err(SpawnError::Child { source, .. })) => Err(job.refused(source)),
            Ok(Err(source)) => {
                Err(OperationError::NotStarted { action: job.action, target: job.target.clone(), source })
            }
            Err(_) => Err(OperationError::Timeout {
                action: job.action,
                target: job.target.clone(),
                login: job.user.name.clone(),
                seconds: TIMEOUT.as_secs(),
            }),
        }
    }

    /// Asks for a process that keeps the turn, the user's part for as long as it is there. Not to be given up half-way, when
    /// it is asked for and has no number yet.
    async fn begin_in_turn(
        self,
        request: Request,
        login: String,
        turn: Option<Turn>,
    ) -> Result<Exchange, SpawnError> {
        let mut exchange = self.begin(&request, &[], &login).await?;
        turn.into_iter().for_each(|turn| exchange.hold(turn));
        Ok(exchange)
    }
}

fn lost(error: JoinError) -> SpawnError {
    SpawnError::HelperGone(io::Error::other(error))
}

/// One operation, for its errors.
struct Job<'a> {
    user: &'a HostUser,
    action: &'static str,
    target: String,
}

impl<'a> Job<'a> {
    fn new(user: &'a HostUser, action: &'static str, target: impl std::fmt::Display) -> Self {
        Self { user, action, target: target.to_string() }
    }

    fn refused(&self, source: io::Error) -> OperationError {
        OperationError::Refused {
            action: self.action,
            target: self.target.clone(),
            login: self.user.name.clone(),
            source,
        }
    }

    /// The socket that came with the outcome.
    fn socket<T>(
        &self,
        outcome: crate::launch::Outcome,
        make: impl FnOnce(OwnedFd) -> io::Result<T>,
    ) -> Result<T, OperationError> {
        let socket = outcome.descriptor.ok_or_else(|| io::ErrorKind::InvalidData.into());
        socket.and_then(make).map_err(|error| self.refused(error))
    }
}

fn unix_stream(socket: OwnedFd) -> io::Result<UnixStream> {
    UnixStream::from_std(socket.into())
}

fn unix_listener(socket: OwnedFd) -> io::Result<UnixListener> {
    let listener = std::os::unix::net::UnixListener::from(socket);
    listener.set_nonblocking(true)?;
    UnixListener::from_std(listener)
}
