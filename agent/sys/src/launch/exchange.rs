//! What follows a request: the child's number from the helper, then how it went from the child.

use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use port::host_user::HostUser;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::descriptor;
use crate::session::{Process, SpawnError};
use crate::socket;
use crate::turns::Turn;
use crate::wire::Answer;

/// Longer than any answer, in bytes.
const ANSWER_MAX: usize = 32 * 1024;

/// A child that works on a request. Dropping it ends the child.
pub(crate) struct Exchange {
    control: AsyncFd<OwnedFd>,
    process: Process,
    /// What the child said before the helper told its number.
    early: Option<Message>,
}

struct Message {
    answer: Answer,
    descriptor: Option<OwnedFd>,
}

/// What an operation brought.
pub(crate) struct Outcome {
    pub(crate) descriptor: Option<OwnedFd>,
    pub(crate) path: Option<PathBuf>,
}

impl Exchange {
    /// Waits for the number of the child.
    pub(super) async fn begin(control: OwnedFd, login: &str) -> Result<Self, SpawnError> {
        let gone = SpawnError::HelperGone;
        rustix::io::ioctl_fionbio(&control, true).map_err(|error| gone(error.into()))?;
        let control = descriptor::watch(control, Interest::READABLE).map_err(gone)?;
        let mut early = None;
        loop {
            let message = receive(&control).await.map_err(gone)?;
            match message {
                Some(Message { answer: Answer::Started(pid), .. }) => {
                    let process = Process::adopt(pid).map_err(gone)?;
                    return Ok(Self { control, process, early });
                }
                Some(Message { answer: Answer::NoProcess(errno), .. }) => {
                    let source = io::Error::from_raw_os_error(errno);
                    return Err(SpawnError::NoProcess { login: login.to_owned(), source });
                }
                Some(message) => early = Some(message),
                None => return Err(gone(io::ErrorKind::UnexpectedEof.into())),
            }
        }
    }

    /// Has the child keep its turn, and the user's part of it until it has been reaped, which may be long
    /// after this was dropped.
    pub(crate) fn hold(&mut self, turn: Turn) {
        self.process.hold(turn);
    }

    async fn next(&mut self) -> io::Result<Option<Message>> {
        match self.early.take() {
            Some(message) => Ok(Some(message)),
            None => receive(&self.control).await,
        }
    }

    /// Waits until the user's program runs.
    pub(super) async fn running(mut self, user: &HostUser) -> Result<Process, SpawnError> {
        match self.next().await.map_err(SpawnError::HelperGone)? {
            // The socket closed as the program took over.
            None => Ok(self.process),
            Some(Message { answer: Answer::Failed(failure), .. }) => {
                Err(SpawnError::of(failure, &user.name, &user.shell))
            }
            Some(_) => Err(SpawnError::HelperGone(io::ErrorKind::InvalidData.into())),
        }
    }

    /// Waits for the outcome of an operation. The child is ended with it.
    pub(crate) async fn outcome(mut self, user: &HostUser) -> Result<Outcome, SpawnError> {
        match self.next().await.map_err(SpawnError::HelperGone)? {
            Some(Message { answer: Answer::Done(path), descriptor }) => Ok(Outcome { descriptor, path }),
            Some(Message { answer: Answer::Failed(failure), .. }) => {
                Err(SpawnError::of(failure, &user.name, &user.shell))
            }
            Some(_) => Err(SpawnError::HelperGone(io::ErrorKind::InvalidData.into())),
            None => Err(SpawnError::HelperGone(io::ErrorKind::UnexpectedEof.into())),
        }
    }
}

async fn receive(control: &AsyncFd<OwnedFd>) -> io::Result<Option<Message>> {
    let mut buffer = vec![0; ANSWER_MAX];
    let received =
        control.async_io(Interest::READABLE, |socket| socket::receive(socket, &mut buffer)).await?;
    let Some((length, descriptors)) = received else { return Ok(None) };
    let answer = serde_json::from_slice(buffer.get(..length).unwrap_or_default())?;
    Ok(Some(Message { answer, descriptor: descriptors.into_iter().next() }))
}
