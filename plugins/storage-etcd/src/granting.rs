//! Asking etcd for the leases of a write.

use std::collections::{BTreeMap, BTreeSet};

use teleport_plugin_sdk::storage_backend::{Failure, Microseconds, Operation};

use crate::backend::{Backend, SMALL, plain};
use crate::lease::Wanted;
use crate::members::Repeat;
use crate::outside::Outside;
use crate::wire::{self, Grant};

impl<O: Outside> Backend<O> {
    /// How many leases there must be that are not there yet.
    pub(crate) fn leases_wanted(&self, puts: &[Operation]) -> usize {
        let (now, monotonic) = (self.now(), self.outside.monotonic());
        let wanted = puts.iter().filter_map(|put| match put {
            Operation::Put { expires: Some(expires), .. } => self.leases.of(*expires, now, monotonic).err(),
            _ => None,
        });
        wanted.map(|wanted| wanted.slot).collect::<BTreeSet<_>>().len()
    }

    /// The lease of each put that has an end, by the number of the operation.
    pub(crate) fn leases_of(&mut self, operations: &[Operation]) -> Result<BTreeMap<usize, u64>, Failure> {
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
}
