//! `teleport:storage-backend`: plugins that keep the cluster's records.

use bytes::Bytes;
use domain::Timestamp;
use port::store::{Key, Transaction};

pub(crate) mod v1;

/// A put that depends on nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Put {
    pub(crate) key: Key,
    pub(crate) value: Bytes,
    pub(crate) expires: Option<Timestamp>,
}

impl Put {
    /// The transaction it is.
    pub(crate) fn transaction(&self) -> Transaction {
        Transaction::default().put(self.key.clone(), self.value.clone(), self.expires)
    }
}
