//! The log: the order of all writes, and the one place where a write happens.
//!
//! Entry `n` is the write of revision `n`. It is put under the condition that there is none yet: of
//! several writers one succeeds, and with that its write has happened, whole, however large. The records
//! themselves follow later ([`crate::upkeep`]); until then whoever reads puts the end of the log over what
//! it read.
//!
//! Every instance keeps the end of the log that was not in the records when it last looked. The order of
//! reading is the point: first the records, then the log ([`Backend::catch_up`]). What the log then says is
//! laid over what was read, and the result is exactly the state of the log's last revision, for no write
//! happens without an entry.

use std::time::Duration;

use serde_json::{Value, json};
use teleport_plugin_sdk::storage_backend::{Failure, Revision};

use crate::backend::{Backend, ByKey};
use crate::call::{Problem, plain};
use crate::entry::{self, Content, Step, Stored};
use crate::outside::Outside;
use crate::wire::{self, Attributes, number, number_of, text_of};

/// The partition of the log.
pub(crate) const LOG: &str = "log";

/// Bytes of an item's own content, so that with its key and attributes it stays below 400 KB.
pub(crate) const PART: usize = 350 * 1024;

/// How long a write may lean on what was read of the log before it, without reading on. Entries are kept for
/// an hour, so the one that was next then is still there if it was put: it cannot be put again.
///
/// Both clocks must say so. The monotonic one stands still while the machine is suspended, and the others
/// clear the log meanwhile; the wall clock may be set back.
const FRESH: Duration = Duration::from_secs(2);

/// What the end of the log, kept in memory, may take.
const BEHIND_MAX: usize = 48 * 1024 * 1024;

/// What the log says of one key.
#[derive(Debug, Clone)]
pub(crate) struct Latest {
    pub(crate) revision: Revision,
    /// The item; none when it was removed.
    pub(crate) stored: Option<Stored>,
    /// Whether this instance has seen it in the records.
    pub(crate) applied: bool,
}

/// A moment on both clocks.
#[derive(Debug, Clone, Copy, Default)]
struct Moment {
    monotonic: Duration,
    /// Microseconds since 1970.
    wall: u64,
}

impl Moment {
    fn now(outside: &impl Outside) -> Self {
        Self { monotonic: outside.monotonic(), wall: outside.now() }
    }

    /// Whether less than this has passed until `now` on each of the clocks, and none was set back.
    fn is_within(self, time: Duration, now: Self) -> bool {
        let monotonic = now.monotonic.checked_sub(self.monotonic);
        let wall = now.wall.checked_sub(self.wall).map(Duration::from_micros);
        [monotonic, wall].iter().all(|age| age.is_some_and(|age| age < time))
    }
}

/// The end of the log.
#[derive(Debug, Default)]
pub(crate) struct Log {
    /// Whether anything has been read yet.
    known: bool,
    /// When its end was last known to be the end.
    read: Moment,
    /// Whether nobody else had written when this instance last did.
    pub(crate) alone: bool,
    /// Every entry up to this one was in the records.
    pub(crate) applied: Revision,
    /// The last entry read.
    pub(crate) head: Revision,
    /// What the entries between say.
    pub(crate) over: ByKey<Latest>,
    /// What `over` takes, in bytes.
    pub(crate) size: usize,
    /// The name of an entry of ours whose fate is not known, and its revision once it is.
    pub(crate) pending: Option<(String, Option<Revision>)>,
}

impl Log {
    fn take(&mut self, entry: Entry) -> Result<(), Failure> {
        if let Some((name, found)) = &mut self.pending
            && *name == entry.name
        {
            *found = Some(entry.revision);
        }
        self.applied = self.applied.max(entry.applied);
        for step in entry.steps {
            let key = step.key().to_owned();
            let stored = match step {
                Step::Put { expires, content, .. } => {
                    Some(Stored { revision: entry.revision, expires, content })
                }
                Step::Delete { .. } => None,
            };
            self.size += weight(&key, stored.as_ref());
            let latest = Latest { revision: entry.revision, stored, applied: false };
            if let Some(before) = self.over.insert(key.clone(), latest) {
                self.size -= weight(&key, before.stored.as_ref());
            }
        }
        self.head = entry.revision;
        if self.size > BEHIND_MAX {
            *self = Self::default();
            return Err(Failure::Unavailable(
                "the records in DynamoDB are too far behind the writes; raise the table's write capacity and wait"
                    .to_owned(),
            ));
        }
        Ok(())
    }

    /// Forgets what has been in the records since before now. Only between calls: what a call has read from
    /// the records may be older than that.
    pub(crate) fn forget_applied(&mut self) {
        let applied = self.applied;
        let size = &mut self.size;
        self.over.retain(|key, latest| {
            let keep = latest.revision > applied;
            if !keep {
                *size -= weight(key, latest.stored.as_ref());
            }
            keep
        });
    }

    /// Entries read from here on count from what is in the records up to there.
    pub(crate) fn learn_applied(&mut self, applied: Revision) {
        self.applied = self.applied.max(applied);
    }
}

fn weight(key: &str, stored: Option<&Stored>) -> usize {
    let value = match stored.map(|stored| &stored.content) {
        Some(Content::Here(value)) => value.len(),
        _ => 0,
    };
    key.len() + value + 128
}

/// An entry, as it was read.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) revision: Revision,
    pub(crate) name: String,
    pub(crate) applied: Revision,
    pub(crate) steps: Vec<Step>,
}

/// Where an entry is in its partition: numbers in the order of their digits.
pub(crate) fn place(revision: Revision) -> String {
    format!("{revision:020}")
}

/// The number of an entry.
pub(crate) fn revision(item: &Attributes) -> Result<Revision, Failure> {
    text_of(item, "s")
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| wire::corrupt("an entry without a number"))
}

/// What came of reading on.
pub(crate) enum Read {
    /// Entries in their order without a gap; whether there are more.
    Entries(Vec<Entry>, bool),
    /// The next entry is not there any more.
    Gone,
}

impl<O: Outside> Backend<O> {
    /// Entries after a revision.
    pub(crate) fn entries(&mut self, after: Revision, limit: u32) -> Result<Read, Failure> {
        let mut answer = self
            .ask(
                "Query",
                json!({
                    "KeyConditionExpression": "p = :p AND s > :s",
                    "ExpressionAttributeValues": { ":p": wire::text(LOG), ":s": wire::text(&place(after)) },
                    "ConsistentRead": true,
                    "Limit": limit,
                }),
            )
            .map_err(plain)?;
        let more = answer.get("LastEvaluatedKey").is_some();
        let mut entries = Vec::new();
        for (item, expected) in wire::items(&mut answer, "Items")?.into_iter().zip(after + 1..) {
            if revision(&item)? != expected {
                return Ok(if entries.is_empty() { Read::Gone } else { Read::Entries(entries, true) });
            }
            match self.entry(&item, expected)? {
                Some(entry) => entries.push(entry),
                None => return Ok(Read::Gone),
            }
        }
        Ok(Read::Entries(entries, more))
    }

    /// An entry; none when parts of it have been removed.
    fn entry(&mut self, item: &Attributes, revision: Revision) -> Result<Option<Entry>, Failure> {
        let name = text_of(item, "i").unwrap_or_default().to_owned();
        let body = match number_of(item, "c") {
            None => wire::bytes_of(item, "b"),
            Some(count) => match self.parts(&name, count)? {
                Some(body) => Some(body),
                None => return Ok(None),
            },
        };
        let steps = body
            .and_then(|body| entry::open(&body))
            .ok_or_else(|| wire::corrupt("an entry of another form"))?;
        Ok(Some(Entry { revision, name, applied: number_of(item, "a").unwrap_or(0), steps }))
    }

    /// Reads the log to its end. Whoever has read records before has their state once this is done.
    ///
    /// Answers whether that is so: when the end of the log that was kept in memory is gone, it is read
    /// anew, and what was read of records before must be read again.
    pub(crate) fn catch_up(&mut self) -> Result<bool, Failure> {
        let mut whole = true;
        if !self.log.known {
            self.begin()?;
        }
        loop {
            let asked = Moment::now(&self.outside);
            match self.entries(self.log.head, 1000)? {
                Read::Gone => {
                    whole = false;
                    self.begin()?;
                }
                Read::Entries(entries, more) => {
                    let empty = entries.is_empty();
                    for entry in entries {
                        self.log.take(entry)?;
                    }
                    if empty || !more {
                        self.log.read = asked;
                        return Ok(whole);
                    }
                }
            }
        }
    }

    /// Whether the log's end was known so lately that the next entry may be tried at once, and is likely to
    /// be this instance's.
    pub(crate) fn is_fresh(&self) -> bool {
        self.log.known && self.log.alone && self.log.read.is_within(FRESH, Moment::now(&self.outside))
    }

    /// Makes sure that the end of the log is known from before any record is read.
    pub(crate) fn prepare(&mut self) -> Result<(), Failure> {
        if self.log.known { Ok(()) } else { self.begin() }
    }

    fn begin(&mut self) -> Result<(), Failure> {
        let applied = self.applied()?.0;
        let pending = self.log.pending.take();
        self.log = Log { known: true, applied, head: applied, pending, ..Log::default() };
        Ok(())
    }

    /// The number of the last entry.
    pub(crate) fn last(&mut self) -> Result<Revision, Failure> {
        let mut answer = self
            .ask(
                "Query",
                json!({
                    "KeyConditionExpression": "p = :p",
                    "ExpressionAttributeValues": { ":p": wire::text(LOG) },
                    "ConsistentRead": true,
                    "ScanIndexForward": false,
                    "Limit": 1,
                }),
            )
            .map_err(plain)?;
        wire::items(&mut answer, "Items")?.first().map_or(Ok(0), revision)
    }

    /// Puts an entry after the last one that is known. Its number if it is there, as far as can be told: it
    /// may be although this says no.
    pub(crate) fn claim(&mut self, body: &[u8], steps: Vec<Step>) -> Result<Option<Revision>, Failure> {
        let (revision, now) = (self.log.head + 1, self.outside.now());
        let name = match &self.log.pending {
            Some((name, _)) => name.clone(),
            None => self.fresh_name(),
        };
        let mut item = json!({
            "p": wire::text(LOG),
            "s": wire::text(&place(revision)),
            "i": wire::text(&name),
            "w": number(now),
            "a": number(self.log.applied),
        });
        let large = body.len() > PART;
        let body = if large {
            // Removed again if it comes to nothing; see `upkeep`.
            let mark = json!({ "n": number(revision) });
            ("c", number(u64::from(self.put_parts(&name, body, &mark)?)))
        } else {
            ("b", wire::bytes(body))
        };
        if let Value::Object(item) = &mut item {
            item.insert(body.0.to_owned(), body.1);
        }
        self.log.pending = Some((name.clone(), None));
        let put = json!({ "Item": item, "ConditionExpression": "attribute_not_exists(p)" });
        let asked = Moment::now(&self.outside);
        let answer = self.ask("PutItem", put);
        self.log.alone &= answer.is_ok();
        match answer {
            Ok(_) => {
                let applied = self.log.applied;
                self.log.read = asked;
                // It has happened, whatever becomes of what is kept of it here.
                let _ = self.log.take(Entry { revision, name, applied, steps });
                Ok(Some(revision))
            }
            Err(Problem::Condition) => Ok(None),
            Err(problem) => Err(plain(problem)),
        }
    }
}

#[cfg(test)]
mod tests {
    use teleport_plugin_sdk::http::{Error, Request, Response};

    use super::*;
    use crate::call::Budget;
    use crate::settings::Settings;

    /// A table with an empty log, and clocks that are set by hand.
    struct World {
        asked: Vec<String>,
        wall: u64,
        monotonic: Duration,
    }

    impl Outside for World {
        fn send(&mut self, request: &Request<'_>) -> Result<Response, Error> {
            let target = request.headers.iter().find(|(name, _)| *name == "x-amz-target").unwrap().1;
            self.asked.push(target.rsplit('.').next().unwrap().to_owned());
            Ok(Response { status: 200, headers: vec![], body: br#"{"Items":[]}"#.to_vec() })
        }

        fn now(&self) -> u64 {
            self.wall
        }

        fn monotonic(&self) -> Duration {
            self.monotonic
        }

        fn sleep(&mut self, duration: Duration) {
            self.monotonic += duration;
        }

        fn random(&mut self) -> u64 {
            4
        }
    }

    const MINUTE: u64 = 60_000_000;

    /// What a second write asks after both clocks have moved.
    fn asked_after(wall: i64, monotonic: Duration) -> Vec<String> {
        let settings = Settings::read(|key| match key {
            "endpoint" => Some("https://a".to_owned()),
            "table_name" => Some("teleport".to_owned()),
            _ => None,
        });
        let world = World { asked: vec![], wall: 1_000 * MINUTE, monotonic: Duration::from_secs(50) };
        let mut backend = Backend::new(world, &settings.unwrap());
        let write = |backend: &mut Backend<World>| {
            backend.budget = Budget { end: Duration::MAX, requests: 60 };
            backend.commit(&[], &[], |_, _| Ok(Some(vec![]))).unwrap();
            std::mem::take(&mut backend.outside.asked)
        };
        assert_eq!(write(&mut backend), ["GetItem", "Query", "PutItem"]);
        backend.outside.wall = backend.outside.wall.saturating_add_signed(wall);
        backend.outside.monotonic += monotonic;
        write(&mut backend)
    }

    #[test]
    fn the_end_of_the_log_is_fresh_on_both_clocks_or_read_again() {
        let minutes = |minutes: i64| minutes * i64::try_from(MINUTE).unwrap();
        let second = Duration::from_secs(1);
        assert_eq!(asked_after(1_000_000, second), ["PutItem"]);
        let anew = ["Query", "PutItem"];
        assert_eq!(asked_after(minutes(70), Duration::ZERO), anew, "the machine was suspended");
        assert_eq!(asked_after(-1, Duration::ZERO), anew, "the clock was set back");
        assert_eq!(asked_after(0, 2 * second), anew);
        assert_eq!(asked_after(2_000_000, second), anew);
    }
}
