//! Writing.

use std::collections::{BTreeMap, BTreeSet};

use teleport_plugin_sdk::storage_backend::{Condition, Failure, Microseconds, Operation, Revision, check};

use crate::backend::{Backend, SMALL, plain};
use crate::condition::{self, State, States};
use crate::envelope::Envelope;
use crate::lease::Wanted;
use crate::members::Repeat;
use crate::outside::Outside;
use crate::plan::{self, Plan};
use crate::refusal::Problem;
use crate::revision::{self, PLACES};
use crate::transaction;
use crate::wire::{self, Grant, Outcome};

/// Bytes of an answer with a page in it.
pub(crate) const PAGE: usize = 8 * 1024 * 1024;

/// How often a write is tried whose records change meanwhile.
const TRIES: usize = 16;

/// How many records a condition is about are read with their values, beside each other.
const VALUES_MAX: usize = 4;

/// The most leases asked for in one write of several puts, one after the other.
const LEASES_MAX: usize = 8;

/// Where transactions go.
pub(crate) const TRANSACTION: &str = "/v3/kv/txn";

/// What became of one try of a write.
enum Attempt {
    /// It happened, in this revision of etcd's.
    Done(u64),
    /// It did not, and this answer has what its conditions are about.
    Not(Vec<u8>),
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
        self.carry_out(&plan, conditions, operations).map(revision::last_of)
    }

    /// Puts that have nothing to do with each other, no key twice, in one transaction of etcd's. Each is a write of its
    /// own.
    ///
    /// # Errors
    /// Those of [`Backend::write`]; [`Failure::TooLarge`] also where they need many leases, or etcd takes few
    /// operations at once: nothing was changed, and each by itself may do.
    pub fn put_many(&mut self, puts: &[Operation]) -> Result<Vec<Revision>, Failure> {
        check(&[], puts)?;
        let count = u8::try_from(puts.len()).unwrap_or(u8::MAX);
        if count > PLACES || self.leases_wanted(puts) > LEASES_MAX {
            let text = "there are too many of them, or they end at too many different times, for one write";
            return Err(Failure::TooLarge(text.to_owned()));
        }
        match self.carry_out(&Plan::apart(puts), &[], puts) {
            // It says nothing of a single one.
            Err(Failure::Invalid(text)) => Err(Failure::TooLarge(text)),
            outcome => outcome.map(|at| (0..count).rev().map(|behind| revision::of(at, behind)).collect()),
        }
    }

    /// How many leases there must be that are not there yet.
    fn leases_wanted(&self, puts: &[Operation]) -> usize {
        let (now, monotonic) = (self.now(), self.outside.monotonic());
        let wanted = puts.iter().filter_map(|put| match put {
            Operation::Put { expires: Some(expires), .. } => self.leases.of(*expires, now, monotonic).err(),
            _ => None,
        });
        wanted.map(|wanted| wanted.seconds).collect::<BTreeSet<_>>().len()
    }

    /// Does what is planned; the revision of etcd's it happened in.
    fn carry_out(
        &mut self,
        plan: &Plan,
        conditions: &[Condition],
        operations: &[Operation],
    ) -> Result<u64, Failure> {
        let keys = condition::keys(conditions);
        let reads: Vec<_> = keys.iter().map(|key| self.read_of(key, keys.len() > VALUES_MAX)).collect();
        let mut comparisons = condition::first(conditions, &self.space);
        let mut lease_was_over = false;
        for _ in 0..TRIES {
            let leases = self.leases_of(operations)?;
            let states = match self.attempt(plan, operations, &leases, &comparisons, &reads)? {
                Attempt::Done(at) => return Ok(at),
                Attempt::Not(answer) => self.states(conditions, &answer)?,
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
    fn attempt(
        &mut self,
        plan: &Plan,
        operations: &[Operation],
        leases: &BTreeMap<usize, u64>,
        comparisons: &[String],
        reads: &[String],
    ) -> Result<Attempt, Failure> {
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
        Ok(Attempt::Not(answer))
    }

    fn read(&mut self, reads: &[String]) -> Result<Vec<u8>, Failure> {
        let transaction = transaction::reading(reads);
        self.call(TRANSACTION, &transaction, Repeat::Freely, PAGE).map_err(plain)
    }

    /// The lease of each put that has an end, by the number of the operation.
    fn leases_of(&mut self, operations: &[Operation]) -> Result<BTreeMap<usize, u64>, Failure> {
        let mut leases = BTreeMap::new();
        for (index, operation) in operations.iter().enumerate() {
            let Operation::Put { expires: Some(expires), .. } = operation else { continue };
            leases.insert(index, self.lease_of(*expires)?);
        }
        Ok(leases)
    }

    fn lease_of(&mut self, expires: Microseconds) -> Result<u64, Failure> {
        let mut again = true;
        loop {
            let (asked, was) = (self.outside.monotonic(), self.time.off());
            let wanted = match self.leases.of(expires, self.now(), asked) {
                Ok(lease) => return Ok(lease),
                Err(wanted) => wanted,
            };
            let lease = self.grant(wanted)?;
            // Only its answer tells a new instance what time it is, and any that a clock was set. A lease that was
            // measured before that is left to end by itself.
            if !self.time.off().is_apart(was) || !again {
                self.leases.keep(wanted, lease, asked);
                return Ok(lease);
            }
            again = false;
        }
    }

    /// A new lease. One whose answer was lost ends by itself, so it may be asked for again.
    fn grant(&mut self, wanted: Wanted) -> Result<u64, Failure> {
        let body = format!(r#"{{"TTL":"{}"}}"#, wanted.seconds);
        let body = self.call("/v3/lease/grant", &body, Repeat::Freely, SMALL).map_err(plain)?;
        let grant: Grant = wire::read(&body)?;
        if grant.id.0 == 0 || grant.ttl.0 < wanted.seconds {
            return Err(wire::corrupt("a lease shorter than was asked for"));
        }
        Ok(grant.id.0)
    }

    pub(crate) fn read_of(&self, key: &str, keys_only: bool) -> String {
        format!(r#"{{"request_range":{{"key":"{}","keys_only":{keys_only}}}}}"#, self.space.json(key))
    }

    /// What was read, with the ends of all that has one, and exactly of which write where that is asked about. Both are
    /// in the value; what was read without is read again, a few at a time.
    fn states(&mut self, conditions: &[Condition], answer: &[u8]) -> Result<States, Failure> {
        let (mut states, mut again) = (States::new(), Vec::new());
        let exact = condition::exact_keys(conditions);
        let ranges = transaction::ranges(wire::read(answer)?);
        for pair in ranges.iter().flat_map(|range| &range.kvs) {
            let value = pair.value()?;
            let full = pair.key()?;
            let key = self.space.ours(&full).ok_or_else(|| wire::corrupt("a key that was not asked for"))?;
            let is_needed = pair.lease.0 != 0 || exact.contains(key.as_str());
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
            states.insert(key, State { revision: revision::of(pair.mod_revision.0, behind), expires });
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
