//! Following the changes: one streamed answer that is kept open from call to call.
//!
//! Whatever ends it (a member that goes away, a leader that changes, a host that lets no request last
//! for ever), another one goes on from the last revision that was told, at another member.

use std::time::Duration;

use teleport_plugin_sdk::http::Part;
use teleport_plugin_sdk::storage_backend::{Batch, Failure, Revision};

use crate::backend::{Backend, SMALL, plain};
use crate::frame::Lines;
use crate::gather::{Gather, Line};
use crate::members::{Call, Repeat};
use crate::outside::{Outside, Stream};
use crate::refusal::Problem;
use crate::revision;

/// After so long without a word the watch is begun anew: nothing else tells a quiet cluster from a
/// connection that is dead.
const SILENCE: Duration = Duration::from_secs(60);

/// How long a member may take to say that a watch has begun, at least.
const BEGINNING: Duration = Duration::from_secs(1);

/// An open watch.
#[derive(Debug)]
pub struct Tail<S> {
    stream: S,
    lines: Lines,
    gather: Gather,
    /// When it last said something, on the monotonic clock.
    heard: Duration,
}

/// What became of waiting for a line.
enum Heard {
    Line,
    Nothing,
    Over(String),
}

impl<O: Outside> Backend<O> {
    /// The changes after `after`; waits for at most `wait` until there is one.
    ///
    /// # Errors
    /// [`Failure::Compacted`] when they are no longer kept, or `after` is still to come.
    pub fn next(&mut self, after: Revision, limit: u32, wait: Duration) -> Result<Batch, Failure> {
        let outcome = self.follow(after, usize::try_from(limit).unwrap_or(usize::MAX).max(1), wait);
        if outcome.is_err() {
            self.tail = None;
        }
        match outcome {
            Err(Problem::Compacted | Problem::ToCome) => Err(Failure::Compacted(self.current()?)),
            other => other.map_err(plain),
        }
    }

    fn follow(&mut self, after: Revision, limit: usize, wait: Duration) -> Result<Batch, Problem> {
        let end = self.outside.monotonic().saturating_add(wait);
        // As many as there are members, and one for a stream that had come to its end before.
        let mut chances = self.members.count() + 1;
        loop {
            let mut tail = match self.tail.take() {
                Some(tail) if tail.gather.told() == after && !self.is_silent(&tail) => tail,
                _ => self.begin(after)?,
            };
            let over = loop {
                let left = end.saturating_sub(self.outside.monotonic());
                let heard = if tail.gather.is_ready() { Heard::Nothing } else { tail.hear(self, left)? };
                match heard {
                    Heard::Line if !left.is_zero() => {}
                    Heard::Line | Heard::Nothing => {
                        let batch = tail.gather.tell(limit);
                        self.tail = Some(tail);
                        return Ok(batch);
                    }
                    Heard::Over(why) => break why,
                }
            };
            // Whatever had come is told before anything is asked again.
            let batch = tail.gather.tell(limit);
            if batch.up_to > after {
                return Ok(batch);
            }
            chances -= 1;
            let is_late = self.outside.monotonic() > end.saturating_add(self.members.total());
            if chances == 0 || is_late {
                return Err(Failure::Unavailable(format!(
                    "etcd at {} ends every watch ({over}); look at its log",
                    self.members.good()
                ))
                .into());
            }
            self.members.avoid();
        }
    }

    fn is_silent(&self, tail: &Tail<O::Stream>) -> bool {
        self.outside.monotonic().saturating_sub(tail.heard) > SILENCE
    }

    /// Begins to follow. The revision is checked by itself, for a watch tells only later, if at all, that
    /// it begins too early or too late.
    fn begin(&mut self, after: Revision) -> Result<Tail<O::Stream>, Problem> {
        // etcd's first revision is 1. The watch begins with what is known already: etcd can lose what was removed by
        // the very revision it was compacted at.
        let start = revision::seen_whole(after).max(1);
        let end = self.outside.monotonic().saturating_add(self.members.total());
        if self.now_at(start)? < revision::etcd(after) {
            return Err(Problem::ToCome);
        }
        let body = format!(
            r#"{{"create_request":{{{},"start_revision":"{start}","progress_notify":true,"fragment":true}}}}"#,
            self.space.everything().json()
        );
        let call = Call { path: "/v3/watch", body: &body, repeat: Repeat::Freely, answer_max: SMALL };
        let stream = self.members.open(&mut self.outside, call)?;
        let heard = self.outside.monotonic();
        let mut tail = Tail { stream, lines: Lines::default(), gather: Gather::after(after), heard };
        // The first line says that it has begun. It comes at once, if it comes.
        let end = end.max(heard.saturating_add(BEGINNING));
        loop {
            let left = end.saturating_sub(self.outside.monotonic());
            match tail.hear(self, left)? {
                Heard::Line => return Ok(tail),
                Heard::Nothing if left.is_zero() => {
                    let text = format!("etcd at {} does not begin a watch in time", self.members.good());
                    self.members.avoid();
                    return Err(Failure::Unavailable(text).into());
                }
                Heard::Nothing => {}
                Heard::Over(why) => {
                    let text = format!("etcd at {} ended a watch at once ({why})", self.members.good());
                    self.members.avoid();
                    return Err(Failure::Unavailable(text).into());
                }
            }
        }
    }
}

impl<S: Stream> Tail<S> {
    /// Waits for the next line, at most so long; what came already is taken in any case.
    fn hear<O: Outside<Stream = S>>(
        &mut self,
        backend: &Backend<O>,
        wait: Duration,
    ) -> Result<Heard, Problem> {
        loop {
            if let Some(line) = self.lines.next() {
                return Ok(match self.gather.line(&line, &backend.space)? {
                    Line::On => Heard::Line,
                    Line::Over(why) => Heard::Over(why),
                });
            }
            match self.stream.read(wait) {
                Ok(Part::Bytes(bytes)) => {
                    self.heard = backend.outside.monotonic();
                    self.lines.push(&bytes)?;
                }
                Ok(Part::Nothing) => return Ok(Heard::Nothing),
                Ok(Part::End) => return Ok(Heard::Over("the connection was closed".to_owned())),
                Err(error) => return Ok(Heard::Over(error.to_string())),
            }
        }
    }
}
