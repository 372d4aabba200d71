//! Reads the spool back, in order: first what dead processes left, then what this one records.
//!
//! Blocking: runs where waiting for a disk is allowed.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use port::clock::Clock;
use serde_json::{Map, Value};

use super::Spool;
use super::segment::{self, Segment};

/// How many bytes of lines make a batch, at most; a batch fits any message size limit twice over.
const BATCH_BYTES: usize = 512 * 1024;

/// How many events make a batch, at most.
const BATCH_EVENTS: usize = 1000;

/// Events to be sent together.
pub(crate) struct Batch {
    pub(crate) events: Vec<Map<String, Value>>,
    pub(crate) position: Position,
}

/// Where reading stands once a batch has arrived.
pub(crate) struct Position {
    segment: Arc<Segment>,
    end: u64,
}

/// Where reading stands.
pub(crate) struct Reader {
    spool: Arc<Spool>,
    /// Says when it was found out that sessions have ended.
    clock: Arc<dyn Clock>,
    /// Segments of dead processes, oldest first.
    inherited: VecDeque<Arc<Segment>>,
    /// Whether another process that still runs holds segments: it may leave some behind.
    others: bool,
}

impl Reader {
    /// Finds what dead processes left.
    pub(crate) fn open(spool: Arc<Spool>, clock: Arc<dyn Clock>) -> io::Result<Self> {
        let mut reader = Self { spool, clock, inherited: VecDeque::new(), others: false };
        reader.inherit()?;
        Ok(reader)
    }

    /// Takes over the segments that nobody holds any more, and says of the sessions of who wrote them that they ended.
    fn inherit(&mut self) -> io::Result<()> {
        self.others = false;
        for path in segment::paths(self.spool.folder())? {
            let ours = self.spool.owns(&path) || self.inherited.iter().any(|segment| segment.is_at(&path));
            if ours {
                continue;
            }
            match Segment::take_over(&path)? {
                Some(segment) => {
                    self.spool.adopt(segment.length());
                    self.inherited.push_back(Arc::new(segment));
                }
                None => self.others = true,
            }
        }
        self.spool.end_lost(&*self.clock);
        Ok(())
    }

    /// Whether it is worth looking for segments left behind later on.
    pub(crate) fn has_others(&self) -> bool {
        self.others
    }

    /// The next events that have not arrived yet, and none when there are none.
    pub(crate) fn next(&mut self) -> io::Result<Option<Batch>> {
        if self.others {
            self.inherit()?;
        }
        while let Some(oldest) = self.inherited.front() {
            if let Some(batch) = self.batch(oldest)? {
                return Ok(Some(batch));
            }
            oldest.remove()?;
            self.spool.release(oldest.length());
            self.inherited.pop_front();
        }
        while let Some(oldest) = self.spool.oldest() {
            if let Some(batch) = self.batch(&oldest)? {
                return Ok(Some(batch));
            }
            if !self.spool.finish_oldest()? {
                return Ok(None);
            }
        }
        Ok(None)
    }

    /// The events before this position have arrived.
    pub(crate) fn acknowledge(&self, position: &Position) -> io::Result<()> {
        position.segment.acknowledge(position.end)
    }

    /// What comes next in a segment; none at its end. What cannot be read is passed over.
    fn batch(&self, segment: &Arc<Segment>) -> io::Result<Option<Batch>> {
        loop {
            let start = segment.acknowledged();
            let bytes = segment.read(start, BATCH_BYTES)?;
            if bytes.is_empty() {
                return Ok(None);
            }
            let (events, used) = self.parse(&bytes);
            let end = start + used as u64;
            if !events.is_empty() {
                return Ok(Some(Batch { events, position: Position { segment: Arc::clone(segment), end } }));
            }
            segment.acknowledge(end)?;
        }
    }

    /// The events of whole lines, and how many bytes they take.
    fn parse(&self, bytes: &[u8]) -> (Vec<Map<String, Value>>, usize) {
        let (mut events, mut used) = (Vec::new(), 0);
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            let whole = line.ends_with(b"\n");
            if events.len() == BATCH_EVENTS || (!whole && used > 0) {
                break;
            }
            used += line.len();
            match serde_json::from_slice(line) {
                // Without its line break it was never wholly written, whatever it looks like.
                Ok(event) if whole => events.push(event),
                _ => {
                    self.spool.metrics.unreadable.inc();
                    tracing::warn!(
                        component = "audit",
                        bytes = line.len(),
                        "passed over an unreadable line of the spool"
                    );
                }
            }
        }
        (events, used)
    }
}
