//! The limits of one call while it runs: what wasmtime asks before memory grows, the processor time the
//! call has had ([`Meter`]), and the time on the clock ([`within`]).
//!
//! Log, process and HTTP limits are kept by their capabilities.

use domain::plugin::Limits;
use wasmtime::ResourceLimiter;

mod cpu;
mod wall;

pub(crate) use cpu::{CpuSpent, Meter};
pub(crate) use wall::within;

/// What a call used too much of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Breach {
    /// Linear memory.
    Memory,
    /// Table elements.
    Tables,
}

/// Sums up what all memories and tables of a call hold. A refused memory is told to the plugin as a
/// failed allocation, as WebAssembly has it, so one that can do with less may go on.
pub(crate) struct Holdings {
    memory: Budget,
    tables: Budget,
    instances: usize,
    breach: Option<Breach>,
}

/// One sum with its bound.
struct Budget {
    max: u64,
    used: u64,
    /// The last addition, taken back when the machine could not give what the limit allowed.
    last: u64,
}

impl Budget {
    fn new(max: u64) -> Self {
        Self { max, used: 0, last: 0 }
    }

    fn grow(&mut self, current: usize, desired: usize) -> bool {
        let more = desired.saturating_sub(current) as u64;
        self.last = 0;
        match self.used.checked_add(more) {
            Some(used) if used <= self.max => {
                (self.used, self.last) = (used, more);
                true
            }
            _ => false,
        }
    }

    fn take_back(&mut self) {
        self.used -= std::mem::take(&mut self.last);
    }
}

impl Holdings {
    /// Nothing yet, under these limits.
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            memory: Budget::new(limits.memory),
            tables: Budget::new(limits.tables),
            instances: usize::try_from(limits.instances).unwrap_or(usize::MAX),
            breach: None,
        }
    }

    /// Begins the next call of an instance that is kept: what it holds stays, what was refused is past.
    pub(crate) fn renew(&mut self) {
        self.breach = None;
    }

    /// What was refused, if anything was.
    pub(crate) fn breach(&self) -> Option<Breach> {
        self.breach
    }

    /// Linear memory held, in bytes. It never shrinks, so this is also the most there was.
    pub(crate) fn memory(&self) -> u64 {
        self.memory.used
    }
}

impl ResourceLimiter for Holdings {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _max: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let fits = self.memory.grow(current, desired);
        if !fits {
            self.breach = Some(Breach::Memory);
        }
        Ok(fits)
    }

    fn memory_grow_failed(&mut self, _error: wasmtime::Error) -> wasmtime::Result<()> {
        self.memory.take_back();
        Ok(())
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        _max: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let fits = self.tables.grow(current, desired);
        if !fits {
            self.breach = Some(Breach::Tables);
        }
        Ok(fits)
    }

    fn table_grow_failed(&mut self, _error: wasmtime::Error) -> wasmtime::Result<()> {
        self.tables.take_back();
        Ok(())
    }

    fn instances(&self) -> usize {
        self.instances
    }
}

#[cfg(test)]
mod tests {
    use domain::plugin::ContractKind;
    use proptest::prelude::*;

    use super::*;

    fn holdings(memory: u64, tables: u64) -> Holdings {
        Holdings::new(&Limits { memory, tables, ..Limits::of(ContractKind::LabelProvider) })
    }

    #[test]
    fn memories_are_summed_and_not_counted_one_by_one() {
        let mut holdings = holdings(100, 10);
        assert!(holdings.memory_growing(0, 60, None).unwrap());
        assert_eq!(holdings.breach(), None);
        assert!(!holdings.memory_growing(0, 60, None).unwrap(), "a second memory shares the limit");
        assert_eq!(holdings.breach(), Some(Breach::Memory));
        assert!(holdings.memory_growing(60, 100, None).unwrap(), "what is left may be had");
        holdings.renew();
        assert_eq!(
            (holdings.breach(), holdings.memory()),
            (None, 100),
            "the next call begins without a breach"
        );
        assert_eq!(holdings.memory(), 100);
    }

    #[test]
    fn tables_are_summed() {
        let mut holdings = holdings(100, 10);
        assert!(holdings.table_growing(0, 10, None).unwrap());
        assert!(!holdings.table_growing(0, 1, None).unwrap());
        assert_eq!(holdings.breach(), Some(Breach::Tables));
    }

    #[test]
    fn what_the_machine_did_not_give_is_not_counted() {
        let mut holdings = holdings(100, 10);
        assert!(holdings.memory_growing(0, 80, None).unwrap());
        holdings.memory_grow_failed(wasmtime::Error::msg("no memory")).unwrap();
        assert_eq!(holdings.memory(), 0);
        holdings.memory_grow_failed(wasmtime::Error::msg("again")).unwrap();
        assert_eq!(holdings.memory(), 0, "nothing is taken back twice");
    }

    proptest! {
        #[test]
        fn the_sum_never_passes_the_limit(steps in proptest::collection::vec((0usize..200, 0usize..200), 0..20)) {
            let mut holdings = holdings(300, 10);
            let mut given = 0;
            for (current, desired) in steps {
                if holdings.memory_growing(current, desired, None).unwrap() {
                    given += desired.saturating_sub(current) as u64;
                }
                prop_assert_eq!(holdings.memory(), given);
                prop_assert!(given <= 300);
            }
        }
    }
}
