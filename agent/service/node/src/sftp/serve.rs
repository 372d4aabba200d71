//! The packet loop: reads what there is, answers all of it, reports, writes.

use std::io;
use std::os::fd::AsFd;

use rustix::io::{read, retry_on_intr, write};

use super::frames::{BadLength, Frames};
use super::server::{Refusal, Server};
use super::wire::PACKET_MAX;

/// Answers are sent once there are this many bytes of them, or when nothing is left to answer.
const SEND_FROM: usize = 64 * 1024;

/// Why a session ended before its client closed it.
#[derive(Debug, thiserror::Error)]
pub(super) enum ServeError {
    #[error("the client sent a packet of {0} bytes; from 1 to {PACKET_MAX} are allowed")]
    Length(u32),
    #[error("the client stopped in the middle of a packet")]
    Cut,
    #[error("the client sent a packet too short to be answered")]
    Short,
    #[error("the client asked for something before it said which version it speaks")]
    NotBegun,
    #[error("cannot read from the client")]
    Read(#[source] io::Error),
    #[error("cannot write to the client")]
    Write(#[source] io::Error),
    #[error("cannot report to the daemon, so nothing more is done")]
    Report(#[source] io::Error),
}

impl From<BadLength> for ServeError {
    fn from(BadLength(length): BadLength) -> Self {
        Self::Length(length)
    }
}

impl From<Refusal> for ServeError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Short => Self::Short,
            Refusal::NotBegun => Self::NotBegun,
        }
    }
}

/// Serves until the client closes. Both ends block.
pub(super) fn serve(server: &mut Server, input: impl AsFd, output: impl AsFd) -> Result<(), ServeError> {
    let (mut frames, mut answers) = (Frames::new(), Vec::new());
    loop {
        let count =
            retry_on_intr(|| read(&input, frames.space())).map_err(|error| ServeError::Read(error.into()))?;
        if count == 0 {
            return if frames.is_empty() { Ok(()) } else { Err(ServeError::Cut) };
        }
        frames.filled(count);
        // What was understood is answered even when what follows is not.
        let answered = answer_all(server, &mut frames, &mut answers, &output);
        send(server, &mut answers, &output)?;
        answered?;
    }
}

fn answer_all(
    server: &mut Server,
    frames: &mut Frames,
    answers: &mut Vec<u8>,
    output: &impl AsFd,
) -> Result<(), ServeError> {
    while let Some(packet) = frames.next()? {
        server.answer(packet, answers)?;
        if answers.len() >= SEND_FROM {
            send(server, answers, output)?;
        }
    }
    Ok(())
}

fn send(server: &mut Server, answers: &mut Vec<u8>, output: &impl AsFd) -> Result<(), ServeError> {
    server.send_report().map_err(ServeError::Report)?;
    let mut rest = answers.as_slice();
    while !rest.is_empty() {
        let written =
            retry_on_intr(|| write(output, rest)).map_err(|error| ServeError::Write(error.into()))?;
        rest = rest.get(written..).unwrap_or_default();
    }
    answers.clear();
    Ok(())
}
