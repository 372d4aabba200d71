//! Putting several at once.

use teleport_plugin_sdk::storage_backend::{Failure, Operation, Revision, check};

use crate::backend::Backend;
use crate::outside::Outside;
use crate::plan::Plan;
use crate::revision::{self, PLACES};
use crate::wire;
use crate::writing::{Attempt, Work};

/// The most leases asked for first, one after the other. Puts that come at the same time usually end at the same.
const LEASES_MAX: usize = 2;

impl<O: Outside> Backend<O> {
    /// Puts that have nothing to do with each other, no key twice, in one transaction of etcd's. Each is a write of its
    /// own.
    ///
    /// # Errors
    /// Those of [`Backend::write`]; [`Failure::TooLarge`] also where they need many leases, etcd does not know one
    /// of theirs any more or takes few operations at once: nothing was changed, and each by itself may do.
    pub fn put_many(&mut self, puts: &[Operation]) -> Result<Vec<Revision>, Failure> {
        check(&[], puts)?;
        let count = u8::try_from(puts.len()).unwrap_or(u8::MAX);
        if self.takes_few || count > PLACES || self.leases_wanted(puts) > LEASES_MAX {
            let text = "etcd takes few operations at once, or the puts end at too many different times";
            return Err(Failure::TooLarge(text.to_owned()));
        }
        let leases = self.leases_of(puts)?;
        let work = Work { plan: Plan::each(puts), conditions: &[], operations: puts, reads: vec![] };
        match self.attempt(&work, &leases, &[]) {
            Ok(Attempt::Done(at)) => Ok((0..count).rev().map(|behind| revision::of(at, behind)).collect()),
            Ok(Attempt::Not(_)) => Err(wire::corrupt("a condition that was not asked for")),
            Ok(Attempt::LeaseOver) => {
                self.leases.forget();
                Err(Failure::TooLarge("etcd does not know a lease of theirs any more".to_owned()))
            }
            // It may take any one of them.
            Err(Failure::Invalid(text)) => {
                self.outside.warn(&format!("puts go to etcd one by one: {text}"));
                self.takes_few = true;
                Err(Failure::TooLarge(text))
            }
            Err(failure) => Err(failure),
        }
    }
}
