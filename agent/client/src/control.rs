//! Asks the daemon of this very host about its plugins, over the socket in its data folder. Needs no
//! certificate: whoever may open the socket is the daemon's user or root.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use api::control::{ANSWER_MAX, Answer, Question, SOCKET};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;
use tokio::time::timeout;

/// How long an answer may take: a plugin may have to be compiled for it.
const ANSWER_TIME: Duration = Duration::from_secs(330);

/// Why the daemon of this host has not answered.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// Nobody listens.
    #[error("no daemon that runs plugins answers at {path}", path = path.display())]
    Nobody {
        /// The socket.
        path: PathBuf,
        /// What happened.
        #[source]
        source: io::Error,
    },
    /// The socket is another user's.
    #[error("only the daemon's user and root may open {path}", path = path.display())]
    NotAllowed {
        /// The socket.
        path: PathBuf,
        /// What happened.
        #[source]
        source: io::Error,
    },
    /// It broke off.
    #[error("the daemon at {path} broke off", path = path.display())]
    Broken {
        /// The socket.
        path: PathBuf,
        /// What happened.
        #[source]
        source: io::Error,
    },
    /// It does not answer.
    #[error("the daemon at {path} did not answer within {ANSWER_TIME:?}", path = path.display())]
    TimedOut {
        /// The socket.
        path: PathBuf,
    },
    /// It answered in another way than this version understands.
    #[error("the answer of the daemon at {path} is not understood; it may be of another version", path = path.display())]
    Answer {
        /// The socket.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
    /// It said no.
    #[error("{0}")]
    Refused(String),
}

/// Asks the daemon whose data folder that is.
///
/// # Errors
/// [`ControlError`].
pub async fn ask(data_dir: &Path, question: &Question) -> Result<Answer, ControlError> {
    let path = data_dir.join(SOCKET);
    let talk = async {
        let stream = UnixStream::connect(&path).await.map_err(|source| unopened(&path, source))?;
        exchange(stream, question).await.map_err(|source| ControlError::Broken { path: path.clone(), source })
    };
    let line =
        timeout(ANSWER_TIME, talk).await.map_err(|_| ControlError::TimedOut { path: path.clone() })??;
    let answer = serde_json::from_str(&line).map_err(|source| ControlError::Answer { path, source })?;
    match answer {
        Answer::Refused(reason) => Err(ControlError::Refused(reason)),
        answer => Ok(answer),
    }
}

async fn exchange(mut stream: UnixStream, question: &Question) -> io::Result<String> {
    let mut line = serde_json::to_vec(question)?;
    line.push(b'\n');
    stream.write_all(&line).await?;
    let mut answer = String::new();
    BufReader::new(stream.take(ANSWER_MAX as u64)).read_line(&mut answer).await?;
    if answer.ends_with('\n') { Ok(answer) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}

fn unopened(path: &Path, source: io::Error) -> ControlError {
    let path = path.to_owned();
    match source.kind() {
        io::ErrorKind::PermissionDenied => ControlError::NotAllowed { path, source },
        _ => ControlError::Nobody { path, source },
    }
}
