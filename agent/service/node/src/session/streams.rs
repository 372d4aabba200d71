//! The bytes of a session: between the client's channel and the program's terminal or pipes.
//!
//! All of it happens in the session's one task; nothing is copied twice and nothing is buffered beyond
//! one packet each way, besides what was read ahead from the client.

use std::time::Duration;

use russh::ChannelWriteHalf;
use russh::server::Msg;
use ssh::ahead::AheadReader;
use sys::session::{ExitStatus, Process, Pty, Streams, WindowSize};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::unix::pipe;
use tokio::sync::mpsc;

use super::Control;
use super::error::SessionError;
use super::scp::Tap;

/// Bytes read from the program at a time: the largest packet OpenSSH accepts.
const BUFFER: usize = 32 * 1024;
/// How long a terminal may be silent after its shell ended before the rest is given up. Programs left
/// in the background keep it open.
const LAST_WORDS: Duration = Duration::from_millis(50);

/// Carries bytes until the program has ended and its output is delivered. `resized` is told of every
/// new size of the terminal.
pub(super) async fn carry(
    process: &Process,
    streams: Streams,
    (client, write): (AheadReader, &ChannelWriteHalf<Msg>),
    (control, resized): (mpsc::Receiver<Control>, impl Fn(WindowSize)),
    tap: Tap<'_>,
) -> Result<ExitStatus, SessionError> {
    let pty = match &streams {
        Streams::Pty(pty) => Some(pty.clone()),
        Streams::Pipes { .. } => None,
    };
    let copying = async {
        match streams {
            Streams::Pty(pty) => terminal(process, pty, client, write).await,
            Streams::Pipes { stdin, stdout, stderr } => {
                pipes((stdin, stdout, stderr), client, write, tap).await;
                process.wait().await
            }
        }
    };
    tokio::select! {
        status = copying => status.map_err(SessionError::Lost),
        () = obey(process, pty.as_ref(), control, resized) => Err(SessionError::HungUp),
    }
}

/// Does what the client asks until the client is gone.
async fn obey(
    process: &Process,
    pty: Option<&Pty>,
    mut control: mpsc::Receiver<Control>,
    resized: impl Fn(WindowSize),
) {
    while let Some(control) = control.recv().await {
        match control {
            Control::Resize(size) => {
                let Some(pty) = pty else { continue };
                match pty.resize(size) {
                    Ok(()) => resized(size),
                    Err(error) => tracing::debug!(%error, "cannot resize the terminal"),
                }
            }
            Control::Signal(signal) => {
                if let Err(error) = process.signal(signal) {
                    tracing::debug!(%error, signal = signal.name(), "cannot deliver the signal");
                }
            }
        }
    }
}

/// A terminal is done when its shell is: what others left behind may keep it open for ever.
async fn terminal(
    process: &Process,
    pty: Pty,
    client: AheadReader,
    write: &ChannelWriteHalf<Msg>,
) -> std::io::Result<ExitStatus> {
    let mut output = pty.clone();
    let status = {
        let copying = async {
            tokio::join!(feed(client, pty, |_| {}), drain(&mut output, write, None, |_| {}));
        };
        tokio::select! {
            status = process.wait() => status,
            () = copying => process.wait().await,
        }
    };
    let last_words = drain_until_silent(&mut output, write);
    last_words.await;
    status
}

/// Pipes are done when every holder of the output has closed it, as with OpenSSH: output of programs
/// left in the background still belongs to the session.
async fn pipes(
    (stdin, mut stdout, mut stderr): (pipe::Sender, pipe::Receiver, pipe::Receiver),
    client: AheadReader,
    write: &ChannelWriteHalf<Msg>,
    tap: Tap<'_>,
) {
    let Tap { up, down } = tap;
    let output = async {
        tokio::join!(drain(&mut stdout, write, None, down), drain(&mut stderr, write, Some(1), |_| {}));
    };
    let input = feed(client, stdin, up);
    tokio::pin!(output);
    tokio::select! {
        () = &mut output => {}
        () = input => output.await,
    }
}

/// From the client to the program, to the end of either. What a program does not want to read is
/// read all the same, so that it does not hold up the client's other channels.
async fn feed(mut client: AheadReader, mut program: impl AsyncWrite + Unpin, mut tap: impl FnMut(&[u8])) {
    let mut buffer = vec![0; BUFFER];
    let mut wanted = true;
    while let Ok(count @ 1..) = client.read(&mut buffer).await {
        let bytes = buffer.get(..count).unwrap_or_default();
        if wanted {
            tap(bytes);
            wanted = program.write_all(bytes).await.is_ok();
        }
    }
    // Dropping the pipe is the end of input.
    let _ = program.shutdown().await;
}

/// From the program to the client, to the end of either.
async fn drain(
    program: &mut (impl AsyncRead + Unpin),
    write: &ChannelWriteHalf<Msg>,
    stream: Option<u32>,
    mut tap: impl FnMut(&[u8]),
) {
    let mut client = write.make_writer_ext(stream);
    let mut buffer = vec![0; BUFFER];
    while let Ok(count @ 1..) = program.read(&mut buffer).await {
        let bytes = buffer.get(..count).unwrap_or_default();
        tap(bytes);
        if client.write_all(bytes).await.is_err() {
            return;
        }
    }
}

async fn drain_until_silent(program: &mut Pty, write: &ChannelWriteHalf<Msg>) {
    let mut client = write.make_writer();
    let mut buffer = vec![0; BUFFER];
    while let Ok(Ok(count @ 1..)) = tokio::time::timeout(LAST_WORDS, program.read(&mut buffer)).await {
        if client.write_all(buffer.get(..count).unwrap_or_default()).await.is_err() {
            return;
        }
    }
}
