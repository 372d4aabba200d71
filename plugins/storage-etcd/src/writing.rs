//! Writing.

use std::collections::BTreeMap;

use teleport_plugin_sdk::storage_backend::{Condition, Failure, Operation, Revision, check};

use crate::backend::{Backend, SMALL, plain};
use crate::condition::{self, State, States};
use crate::envelope::Envelope;
use crate::members::Repeat;
use crate::outside::Outside;
use crate::plan::{self, Plan};
use crate::refusal::Problem;
use crate::revision;
use crate::transaction;
use crate::wire::{self, Outcome, Range};

/// Bytes of an answer with a page in it.
pub(crate) const PAGE: usize = 8 * 1024 * 1024;

/// How often a write is tried whose records change meanwhile.
const TRIES: usize = 16;

/// How many records a condition is about are read with their values, beside each other.
const VALUES_MAX: usize = 4;

/// Where transactions go.
pub(crate) const TRANSACTION: &str = "/v3/kv/txn";

/// A write, with how to read what it depends on.
pub(crate) struct Work<'a> {
    pub(crate) plan: Plan,
    pub(crate) conditions: &'a [Condition],
    pub(crate) operations: &'a [Operation],
    pub(crate) reads: Vec<String>,
}

/// What became of one try of a write.
pub(crate) enum Attempt {
    /// It happened, in this revision of etcd's.
    Done(u64),
    /// It did not, and this is what its conditions are about.
    Not(States),
    /// It did not, because etcd does not know one of its leases.
    LeaseOver,
}

impl<O: Outside> Backend<O> {
    /// All operations in their order, if all conditions hold.
    ///
    /// # Errors
    /// [`Failure::Conflict`] with the first condition that does not hold, [`Failure::TooLarge`]: nothing
    /// was changed. After [`Failure::Unavailable`] it is not known whether it happened.
    pub fn write(&mut self, conditions: &[Condition], operations: &[Operation]) -> Result<Revision, Failure> {
        check(conditions, operations)?;
        let plan = Plan::new(conditions, operations, &self.space);
        let keys = condition::keys(conditions);
        let reads = keys.iter().map(|key| self.read_of(key, keys.len() > VALUES_MAX)).collect();
        let work = Work { plan, conditions, operations, reads };
        let mut comparisons = condition::first(conditions, &self.space);
        let mut lease_was_over = false;
        for _ in 0..TRIES {
            let leases = self.leases_of(operations)?;
            let states = match self.attempt(&work, &leases, &comparisons)? {
                Attempt::Done(at) => return Ok(revision::last_of(at)),
                Attempt::Not(states) => states,
                Attempt::LeaseOver if !lease_was_over => {
                    self.leases.forget();
                    lease_was_over = true;
                    continue;
                }
                Attempt::LeaseOver => {
                    let text = "etcd forgets leases at once; look at its log, and try again";
                    return Err(Failure::Unavailable(text.to_owned()));
                }
            };
            if let Some(index) = condition::broken(conditions, &states, self.now()) {
                return Err(Failure::Conflict(index));
            }
            comparisons = condition::exact(conditions, &states, &self.space);
        }
        Err(Failure::Unavailable(format!(
            "the records a write depends on changed {TRIES} times while it was tried; nothing was changed, try again"
        )))
    }

    /// Tries a write; where it does not happen, reads what it depends on.
    pub(crate) fn attempt(
        &mut self,
        work: &Work<'_>,
        leases: &BTreeMap<usize, u64>,
        comparisons: &[String],
    ) -> Result<Attempt, Failure> {
        let Work { plan, conditions, operations, reads } = work;
        let alone =
            if comparisons.is_empty() { plan::alone(plan, operations, leases, &self.space) } else { None };
        let is_put = alone.is_some();
        let (path, body, size) = match alone {
            Some(put) => ("/v3/kv/put", put, SMALL),
            None => {
                let actions = plan::json(plan, operations, leases, &self.space);
                (TRANSACTION, transaction::json(comparisons, &actions, reads), PAGE)
            }
        };
        let (answer, is_read) = match self.call(path, &body, Repeat::Never, size) {
            Err(Problem::LeaseOver) => return Ok(Attempt::LeaseOver),
            // One of very many comparisons did not hold.
            Err(Problem::ToCome) => (self.read(reads)?, true),
            other => (other.map_err(plain)?, false),
        };
        let outcome: Outcome<'_> = wire::read(&answer)?;
        let at = wire::at(outcome.header)?;
        if is_put || (outcome.succeeded && !is_read) {
            return Ok(Attempt::Done(at));
        }
        self.states(conditions, &transaction::ranges(outcome)).map(Attempt::Not)
    }

    fn read(&mut self, reads: &[String]) -> Result<Vec<u8>, Failure> {
        let transaction = transaction::reading(reads);
        self.call(TRANSACTION, &transaction, Repeat::Freely, PAGE).map_err(plain)
    }

    pub(crate) fn read_of(&self, key: &str, keys_only: bool) -> String {
        format!(r#"{{"request_range":{{"key":"{}","keys_only":{keys_only}}}}}"#, self.space.json(key))
    }

    /// What was read, with the ends of all that has one, and exactly of which write where one of the same revision of etcd's
    /// is asked about. Both are in the value; what was read without is read again, a few at a time.
    fn states(&mut self, conditions: &[Condition], ranges: &[Range<'_>]) -> Result<States, Failure> {
        let (mut states, mut again) = (States::new(), Vec::new());
        let asked = condition::asked(conditions);
        for pair in ranges.iter().flat_map(|range| &range.kvs) {
            let value = pair.value()?;
            let full = pair.key()?;
            let key = self.space.ours(&full).ok_or_else(|| wire::corrupt("a key that was not asked for"))?;
            let at = pair.mod_revision.0;
            let is_needed = pair.lease.0 != 0 || asked.contains(&(key.as_str(), at));
            if is_needed && value.is_empty() {
                again.push(key);
                continue;
            }
            let (behind, expires) = if is_needed {
                let Envelope { behind, expires, .. } = Envelope::open(value)?;
                (behind, expires)
            } else {
                (0, None)
            };
            states.insert(key, State { revision: revision::of(at, behind), expires });
        }
        for keys in again.chunks(VALUES_MAX) {
            let reads: Vec<_> = keys.iter().map(|key| self.read_of(key, false)).collect();
            let body = self.read(&reads)?;
            let outcome: Outcome<'_> = wire::read(&body)?;
            for pair in transaction::ranges(outcome).into_iter().flat_map(|range| range.kvs) {
                let item = pair.item(&self.space)?;
                states.insert(item.key, State { revision: item.revision, expires: item.expires });
            }
        }
        Ok(states)
    }
}
