//! What follows writes, done by whoever watches: one auth server at a time, as a lease in the table says.
//!
//! - **Applying**: what the log says is put into the records, each under the condition that nothing later is
//!   there already, in any order and by anybody. Once everything up to an entry is there, that number is
//!   noted, and readers no longer need the log up to it.
//! - **Sweeping**: an expired record is removed by a write like any other, so that it is told.
//! - **Clearing**: the log is kept for an hour; a removed record leaves a stone for a day, so that a late
//!   hand cannot put it back; parts nothing refers to any more go.
//!
//! The lease saves work and decides nothing: everything here may be done twice, at the same time, or late. A
//! request that was on its way for longer than a quarter of an hour is refused by DynamoDB by its signature,
//! a day is far beyond that.

use std::time::Duration;

use serde_json::{Value, json};
use teleport_plugin_sdk::storage_backend::{Failure, Revision};

use crate::backend::Backend;
use crate::call::{Problem, plain};
use crate::entry::{Content, Step};
use crate::log::{Latest, Log};
use crate::outside::Outside;
use crate::part::MARK;
use crate::records::RECORDS;
use crate::table::INDEX;
use crate::wire::{self, number, number_of, text_of};

/// The item that says how far the records are, and who brings them on.
const META: (&str, &str) = ("meta", "applied");

const SECOND: u64 = 1_000_000;

/// How long the lease lasts, and how often it is asked for.
const LEASE: u64 = 6 * SECOND;
const RENEW: Duration = Duration::from_secs(2);

/// How long an instance waits before it takes part: some live only for a moment.
const FIRST: Duration = Duration::from_millis(700);

/// How often expired records are looked for, and old entries.
const SWEEP: Duration = Duration::from_secs(1);
const CLEAR: Duration = Duration::from_secs(30);

/// How long the log is kept, in microseconds.
pub(crate) const KEPT: u64 = 3600 * SECOND;

/// How long a removed record leaves a stone.
pub(crate) const STONE: u64 = 24 * 3600 * SECOND;

/// When DynamoDB itself removes what nobody came to remove, in seconds after it was due.
const LEFT_BEHIND: u64 = 7 * 24 * 3600;

/// Requests that are not used up here.
pub(crate) const SPARE: u32 = 20;

/// How many records are put at once, and how many of their bytes.
const TOGETHER: usize = 50;
const TOGETHER_BYTES: usize = 2 * 1024 * 1024;

/// How far the noted number may lie behind before it is written without other need.
const BEHIND: Revision = 64;

/// From how many records on a writer looks how far they are, and helps to apply, and from how many bytes.
const HELP: usize = 2000;
const HELP_BYTES: usize = 16 * 1024 * 1024;

/// When what is due.
#[derive(Debug)]
pub struct Rounds {
    pub(crate) lease: Duration,
    pub(crate) leads: bool,
    pub(crate) sweep: Duration,
    pub(crate) clear: Duration,
    pub(crate) noted: Revision,
    /// Whether DynamoDB's own transactions are there; other makers' tables may be without.
    singly: bool,
}

impl Rounds {
    /// For an instance that begins at this moment of the monotonic clock.
    pub fn begun(now: Duration) -> Self {
        let (lease, sweep) = (now.saturating_add(FIRST), now);
        Self { lease, leads: false, sweep, clear: now.saturating_add(CLEAR), noted: 0, singly: false }
    }
}

impl<O: Outside> Backend<O> {
    /// How far the records are, and how far they were.
    pub(crate) fn applied(&mut self) -> Result<(Revision, bool), Failure> {
        let body = json!({ "Key": wire::key(META.0, META.1), "ConsistentRead": true });
        let answer = self.ask("GetItem", body).map_err(plain)?;
        let item = answer.get("Item").and_then(Value::as_object);
        Ok((item.and_then(|item| number_of(item, "a")).unwrap_or(0), item.is_some()))
    }

    /// The same as [`Backend::keep_up`], where there is time for it.
    pub(crate) fn keep_up_if(&mut self, end: Duration) -> Result<(), Failure> {
        if self.outside.monotonic() < end && self.budget.requests > SPARE + 10 {
            self.keep_up()
        } else {
            Ok(())
        }
    }

    /// Does what is due, if it is this instance's turn.
    pub(crate) fn keep_up(&mut self) -> Result<(), Failure> {
        let now = self.outside.monotonic();
        if now >= self.rounds.lease {
            self.rounds.lease = now.saturating_add(RENEW);
            self.rounds.leads = self.lead(self.log.applied.max(self.rounds.noted))?;
        }
        if !self.rounds.leads || self.budget.requests <= SPARE {
            return Ok(());
        }
        self.catch_up()?;
        self.apply(SPARE)?;
        if now >= self.rounds.sweep {
            self.rounds.sweep = now.saturating_add(SWEEP);
            self.sweep()?;
        }
        if now >= self.rounds.clear && self.budget.requests > SPARE {
            self.rounds.clear = now.saturating_add(CLEAR);
            self.clear()?;
        }
        Ok(())
    }

    /// Helps when the records are far behind, so that writers cannot outrun those who apply.
    pub(crate) fn help(&mut self) -> Result<(), Failure> {
        let is_much = |log: &Log| log.over.len() > HELP || log.size > HELP_BYTES;
        if is_much(&self.log) {
            // Mostly it is done long since. Nothing has been read yet that this would be missing from.
            let applied = self.applied()?.0.min(self.log.head);
            self.log.learn_applied(applied);
            self.log.forget_applied();
        }
        if is_much(&self.log) {
            self.catch_up()?;
            self.apply(crate::backend::REQUESTS / 2)?;
        }
        Ok(())
    }

    /// Takes or keeps the lease and notes how far the records are. Whether it is this instance's.
    fn lead(&mut self, applied: Revision) -> Result<bool, Failure> {
        let now = self.outside.now();
        let body = json!({
            "Key": wire::key(META.0, META.1),
            "UpdateExpression": "SET o = :me, u = :until, a = :a",
            "ConditionExpression": "(attribute_not_exists(o) OR o = :me OR u < :now) AND (attribute_not_exists(a) OR a <= :a)",
            "ExpressionAttributeValues": {
                ":me": wire::text(&self.name), ":until": number(now.saturating_add(LEASE)),
                ":now": number(now), ":a": number(applied),
            },
        });
        match self.ask("UpdateItem", body) {
            Ok(_) => {
                self.rounds.noted = applied;
                self.log.learn_applied(applied);
                Ok(true)
            }
            Err(Problem::Condition) => {
                let (applied, _) = self.applied()?;
                self.log.learn_applied(applied.min(self.log.head));
                Ok(false)
            }
            Err(problem) => Err(plain(problem)),
        }
    }

    /// Puts what the log says into the records, as far as the requests go.
    fn apply(&mut self, spare: u32) -> Result<(), Failure> {
        let mut waiting: Vec<(Revision, String)> = self
            .log
            .over
            .iter()
            .filter(|(_, latest)| !latest.applied)
            .map(|(key, latest)| (latest.revision, key.clone()))
            .collect();
        waiting.sort_unstable();
        let mut waiting = waiting.as_slice();
        while !waiting.is_empty() && self.budget.requests > spare {
            let (mut puts, mut bytes) = (Vec::new(), 0);
            for (_, key) in waiting.iter().take(if self.rounds.singly { 1 } else { TOGETHER }) {
                let Some(latest) = self.log.over.get(key) else { continue };
                bytes += match latest.stored.as_ref().map(|stored| &stored.content) {
                    Some(Content::Here(value)) => value.len(),
                    _ => 0,
                };
                if !puts.is_empty() && bytes > TOGETHER_BYTES {
                    break;
                }
                puts.push(self.put(key, latest));
            }
            let count = puts.len().max(1);
            let done = self.put_all(puts)?;
            let (these, rest) = waiting.split_at(done.min(count).min(waiting.len()));
            for (_, key) in these {
                if let Some(latest) = self.log.over.get_mut(key) {
                    latest.applied = true;
                }
            }
            waiting = rest;
        }
        let applied = waiting.first().map_or(self.log.head, |(revision, _)| revision.saturating_sub(1));
        if self.rounds.leads && applied >= self.rounds.noted.saturating_add(BEHIND) {
            self.rounds.leads = self.lead(applied)?;
        } else if self.rounds.leads && applied > self.log.applied {
            self.log.learn_applied(applied);
        }
        Ok(())
    }

    fn put(&self, key: &str, latest: &Latest) -> Value {
        let mut item =
            json!({ "p": wire::text(RECORDS), "s": wire::text(key), "v": number(latest.revision) });
        let due = match &latest.stored {
            None => Some(self.outside.now().saturating_add(STONE)),
            Some(stored) => stored.expires,
        };
        if let Value::Object(item) = &mut item {
            let mut set = |name: &str, value| drop(item.insert(name.to_owned(), value));
            match latest.stored.as_ref().map(|stored| &stored.content) {
                None => set("d", number(1)),
                Some(Content::Here(value)) if value.is_empty() => {}
                Some(Content::Here(value)) => set("b", wire::bytes(value)),
                Some(Content::Parts(name, count)) => {
                    set("g", wire::text(name));
                    set("c", number(u64::from(*count)));
                }
            }
            if let Some(due) = due {
                set("x", wire::text("x"));
                set("e", number(due));
                set("t", number((due / SECOND).saturating_add(LEFT_BEHIND)));
            }
        }
        json!({
            "Item": item,
            "ConditionExpression": "attribute_not_exists(v) OR v < :v",
            "ExpressionAttributeValues": { ":v": number(latest.revision) },
        })
    }

    /// Puts records; how many of them are as they should be now.
    fn put_all(&mut self, mut puts: Vec<Value>) -> Result<usize, Failure> {
        let count = puts.len();
        if count > 1 {
            let table = self.settings.table.clone();
            let items: Vec<_> = puts
                .iter()
                .cloned()
                .map(|mut put| {
                    if let Value::Object(put) = &mut put {
                        put.insert("TableName".to_owned(), json!(table));
                    }
                    json!({ "Put": put })
                })
                .collect();
            match self.ask("TransactWriteItems", json!({ "TransactItems": items })) {
                Ok(_) => return Ok(count),
                // One of them is there already, or another hand is at it: one by one.
                Err(problem) if problem.is("TransactionCanceledException") => {}
                Err(problem) if problem.is("UnknownOperationException") => self.rounds.singly = true,
                Err(problem) => return Err(plain(problem)),
            }
        }
        let mut done = 0;
        for put in puts.drain(..) {
            if self.budget.requests == 0 {
                break;
            }
            match self.ask("PutItem", put) {
                Ok(_) | Err(Problem::Condition) => done += 1,
                Err(problem) => return Err(plain(problem)),
            }
            if self.budget.requests < SPARE / 2 {
                break;
            }
        }
        Ok(done)
    }

    /// Looks at what is due.
    fn sweep(&mut self) -> Result<(), Failure> {
        let now = self.outside.now();
        let body = json!({
            "IndexName": INDEX,
            "KeyConditionExpression": "x = :x AND e <= :now",
            "ExpressionAttributeValues": { ":x": wire::text("x"), ":now": number(now) },
            "Limit": 90,
        });
        let mut answer = self.ask("Query", body).map_err(plain)?;
        let due = wire::items(&mut answer, "Items")?;
        let of = |partition: &str| -> Vec<String> {
            let here = due.iter().filter(|item| text_of(item, "p") == Some(partition));
            here.filter_map(|item| text_of(item, "s").map(str::to_owned)).collect()
        };
        let (keys, marks) = (of(RECORDS), of(MARK));
        if !keys.is_empty() {
            let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
            self.commit_ends(&keys)?;
            self.clear_stones(&keys, now)?;
        }
        for name in marks {
            if self.budget.requests <= SPARE {
                break;
            }
            self.look(&name, now)?;
        }
        Ok(())
    }

    fn commit_ends(&mut self, keys: &[&str]) -> Result<(), Failure> {
        let outcome = self.commit(keys, &[], |state, now| {
            let over = state.iter().filter(|(_, known)| known.is_over(now));
            let steps: Vec<_> = over.map(|(key, _)| Step::Delete { key: key.clone() }).collect();
            Ok((!steps.is_empty()).then_some(steps))
        });
        outcome.map(drop)
    }

    /// Removes the stones among these that have lain long enough.
    fn clear_stones(&mut self, keys: &[&str], now: u64) -> Result<(), Failure> {
        for key in keys {
            if self.budget.requests <= SPARE {
                break;
            }
            if self.log.over.contains_key(*key) {
                continue;
            }
            let body = json!({
                "Key": wire::key(RECORDS, key),
                "ConditionExpression": "attribute_exists(d) AND e <= :now",
                "ExpressionAttributeValues": { ":now": number(now) },
            });
            match self.ask("DeleteItem", body) {
                Ok(_) | Err(Problem::Condition) => {}
                Err(problem) => return Err(plain(problem)),
            }
        }
        Ok(())
    }
}
