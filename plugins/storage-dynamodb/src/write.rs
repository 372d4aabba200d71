//! Writing: what it must know is read ([`crate::records`]), then the steps are worked out and put as the log's
//! next entry. When somebody else's entry was there first, their steps are laid over what is known, the
//! conditions are looked at again, and the next number is tried. No lock is ever held.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::json;
use teleport_plugin_sdk::storage_backend::{Condition, Failure, Operation, Revision};

use crate::backend::Backend;
use crate::entry::{self, Content};
use crate::limit::{busy, keys, prefixes};
use crate::outside::Outside;
use crate::plan::{self, State};
use crate::wire::{self, number};

/// How often a write is tried while others are faster.
const TRIES: usize = 24;

/// The largest value that is kept within its record.
const WITHIN: usize = 300 * 1024;

/// The most that all steps of a write take.
const ENTRY_MAX: usize = 12 * 1024 * 1024;

impl<O: Outside> Backend<O> {
    /// All operations in their order, if all conditions hold.
    pub(crate) fn write_now(
        &mut self,
        conditions: &[Condition],
        operations: &[Operation],
    ) -> Result<Revision, Failure> {
        self.help()?;
        let contents = self.large(operations)?;
        self.commit(&keys(conditions, operations), &prefixes(operations), |state, now| {
            match plan::broken(conditions, state, now) {
                Some(index) => Err(Failure::Conflict(index)),
                None => Ok(Some(plan::steps(operations, &contents, state))),
            }
        })
    }

    /// Makes an entry of what `decide` finds in the state of some keys and prefixes; nothing when that is
    /// none.
    pub(crate) fn commit(
        &mut self,
        keys: &[&str],
        prefixes: &[&str],
        decide: impl Fn(&State, u64) -> Result<Option<Vec<entry::Step>>, Failure>,
    ) -> Result<Revision, Failure> {
        self.log.pending = None;
        let mut wait = Duration::from_millis(2);
        let (mut known, mut is_first) = (None, true);
        for _ in 0..TRIES {
            let read = match known.take() {
                Some(read) => read,
                None => self.read_state(keys, prefixes)?,
            };
            let at_once = match std::mem::take(&mut is_first) && self.is_fresh() {
                true => self.at_once(&read, keys, prefixes, &decide),
                false => None,
            };
            let tried = at_once.is_some();
            let steps = match at_once {
                Some(steps) => steps,
                None => {
                    let claimed = self.log.head + 1;
                    let whole = self.catch_up()?;
                    if let Some((_, Some(revision))) = self.log.pending {
                        return Ok(revision);
                    }
                    self.log.alone = whole && self.log.head < claimed;
                    if self.log.head >= claimed {
                        // Whatever was claimed before belongs to somebody else.
                        self.log.pending = None;
                    }
                    if !whole {
                        continue;
                    }
                    let state = self.lay_over(&read, keys, prefixes);
                    let Some(steps) = decide(&state, self.outside.now())? else { return Ok(self.log.head) };
                    steps
                }
            };
            known = Some(read);
            let body = entry::seal(&steps);
            if body.len() > ENTRY_MAX {
                return Err(Failure::TooLarge(
                    "a write may change 12 MiB in all; do it in several".to_owned(),
                ));
            }
            if let Some(revision) = self.claim(&body, steps)? {
                return Ok(revision);
            }
            if tried {
                // Whoever was faster is not waited for.
                continue;
            }
            let chance = u32::try_from(self.outside.random() % 1024).unwrap_or(0);
            self.outside.sleep(wait / 1024 * chance);
            wait = (wait * 2).min(Duration::from_millis(200));
        }
        Err(busy("write"))
    }

    /// The steps on what is known of the log, without reading on: that its next entry can be put shows that
    /// nothing was missed. A refusal must rest on all there is, so it is none here.
    fn at_once(
        &self,
        read: &State,
        keys: &[&str],
        prefixes: &[&str],
        decide: impl Fn(&State, u64) -> Result<Option<Vec<entry::Step>>, Failure>,
    ) -> Option<Vec<entry::Step>> {
        decide(&self.lay_over(read, keys, prefixes), self.outside.now()).ok().flatten()
    }

    /// Puts values that are too large for a record where they are kept.
    fn large(&mut self, operations: &[Operation]) -> Result<BTreeMap<usize, Content>, Failure> {
        let mut contents = BTreeMap::new();
        for (index, operation) in operations.iter().enumerate() {
            let Operation::Put { key, value, .. } = operation else { continue };
            if value.len() > WITHIN {
                let name = self.fresh_name();
                let mark = json!({ "k": wire::text(key), "z": number(value.len() as u64) });
                let count = self.put_parts(&name, value, &mark)?;
                contents.insert(index, Content::Parts(name, count));
            }
        }
        Ok(contents)
    }
}
