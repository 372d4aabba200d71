//! Questions to a storage plugin that go together: gets, and puts without a condition.
//!
//! A plugin that keeps the records behind a network spends on ten of them hardly more than on one: the request, its way
//! and the instance's turn are the same. Where it exports `get-many` or `put-many` (`teleport:storage-backend@1.1.0`),
//! what comes while calls are under way goes in one. Anything else is asked as it comes.

use std::sync::Arc;

use domain::plugin::{ContractKind, Limits};
use port::store::{Item, Key, Operation, Revision, StoreError, Transaction};

use super::ask::{Get, GetMany, PutMany, Write};
use super::gathering::{Apart, BYTES_MAX, Kind, Question};
use super::{Desk, NoAnswer};
use crate::call::CallError;
use crate::contract::Linked;
use crate::contract::storage_backend::{Put, v1};
use crate::registry::Fact;

/// The put a transaction is, if it is nothing else, and small enough to go with others.
pub(super) fn put_alone(transaction: &Transaction) -> Option<Put> {
    let Transaction { conditions, operations } = transaction;
    match (conditions.as_slice(), operations.as_slice()) {
        ([], [Operation::Put { key, value, expires }]) if value.len() <= BYTES_MAX => {
            Some(Put { key: key.clone(), value: value.clone(), expires: *expires })
        }
        _ => None,
    }
}

impl Question for Put {
    // The later one would be lost.
    const SHARED: bool = false;

    fn key(&self) -> &Key {
        &self.key
    }

    fn bytes(&self) -> usize {
        self.value.len()
    }
}

impl Question for Key {
    // All have asked before the answer is looked for.
    const SHARED: bool = true;

    fn key(&self) -> &Key {
        self
    }

    fn bytes(&self) -> usize {
        0
    }
}

impl Desk {
    /// Whether the plugin that serves now offers this.
    fn offers(&self, last: &Fact, offers: impl FnOnce(&v1::Linked) -> bool) -> bool {
        self.host.core.registry.fact(
            &self.asked.name,
            last,
            |plugin| matches!(&*plugin.callable.linked, Linked::StorageBackendV1(linked) if offers(linked)),
        )
    }

    /// Whether the plugin that serves now has crashed again and again: each question would be another crash, one after
    /// the other.
    fn rests(&self) -> bool {
        self.serving().is_some_and(|plugin| plugin.warm.rest().is_some())
    }

    /// How many questions may wait for the plugin that serves now.
    fn waiting_max(&self) -> usize {
        let serving = self.serving();
        let queue = serving.map_or(Limits::of(ContractKind::StorageBackend).queue, |plugin| {
            plugin.callable.provisions.limits.queue
        });
        usize::try_from(queue).unwrap_or(usize::MAX)
    }
}

/// Asks for items.
pub(super) struct Gets {
    desk: Arc<Desk>,
    offers: Fact,
}

impl Gets {
    pub(super) fn at(desk: &Arc<Desk>) -> Self {
        Self { desk: Arc::clone(desk), offers: Fact::default() }
    }
}

impl Kind for Gets {
    type Question = Key;
    type Answer = Option<Item>;

    fn gathers(&self) -> bool {
        self.desk.offers(&self.offers, v1::Linked::gets_many)
    }

    fn waiting_max(&self) -> usize {
        self.desk.waiting_max()
    }

    async fn alone(&self, key: Key) -> Result<Option<Item>, StoreError> {
        self.desk.ask(Get(key)).await
    }

    /// Reading again harms nobody: one record that cannot be read, or is too large, fails nobody else's.
    async fn together(&self, keys: Vec<Key>) -> Result<Vec<Option<Item>>, Apart> {
        match self.desk.try_ask(GetMany(keys)).await {
            Ok(Ok(items)) => Ok(items),
            Ok(Err(error @ StoreError::Unavailable(_))) => Err(Apart::Failed(error)),
            Ok(Err(_)) => Err(Apart::AskEach),
            Err(NoAnswer::Call(error))
                if !matches!(
                    error,
                    CallError::Busy { .. } | CallError::Queue { .. } | CallError::Crashes { .. }
                ) && !self.desk.rests() =>
            {
                Err(Apart::AskEach)
            }
            Err(no_answer) => Err(Apart::Failed(no_answer.into())),
        }
    }
}

/// Asks for puts.
pub(super) struct Puts {
    desk: Arc<Desk>,
    offers: Fact,
}

impl Puts {
    pub(super) fn at(desk: &Arc<Desk>) -> Self {
        Self { desk: Arc::clone(desk), offers: Fact::default() }
    }
}

impl Kind for Puts {
    type Question = Put;
    type Answer = Revision;

    fn gathers(&self) -> bool {
        self.desk.offers(&self.offers, v1::Linked::puts_many)
    }

    fn waiting_max(&self) -> usize {
        self.desk.waiting_max()
    }

    async fn alone(&self, put: Put) -> Result<Revision, StoreError> {
        self.desk.ask(Write(put.transaction())).await
    }

    /// A put whose fate is unknown is not made again.
    async fn together(&self, puts: Vec<Put>) -> Result<Vec<Revision>, Apart> {
        match self.desk.ask(PutMany(puts)).await {
            Ok(revisions) => Ok(revisions),
            Err(StoreError::TooLarge { .. }) => Err(Apart::AskEach),
            Err(error) => Err(Apart::Failed(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use port::store::Condition;

    use super::*;

    #[test]
    fn only_a_put_by_itself_may_go_with_others() {
        let key = |name| Key::of(&[name]);
        let put = Transaction::default().put(key("a"), "1", None);
        let found = put_alone(&put).unwrap();
        assert_eq!(found.transaction(), put);
        let others = [
            Transaction::default(),
            put.clone().put(key("b"), "2", None),
            put.clone().when(Condition::Absent(key("a"))),
            Transaction::default().then(Operation::Delete(key("a"))),
            Transaction::default().put(key("a"), vec![0; BYTES_MAX + 1], None),
        ];
        for transaction in others {
            assert_eq!(put_alone(&transaction), None, "{transaction:?}");
        }
    }
}
