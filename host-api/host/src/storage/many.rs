//! Gets that go together.
//!
//! A plugin that keeps the records behind a network spends on ten of them hardly more than on one: the request, its way
//! and the instance's turn are the same. Where it exports `many` (`teleport:storage-backend@1.1.0`), what comes while
//! calls are under way goes in one. Writes are not gathered: each takes a revision of its own.

use std::sync::Arc;

use port::store::{Item, Key, StoreError};

use super::gathering::{Apart, Asking};
use super::{Desk, NoAnswer};
use crate::call::CallError;
use crate::contract::Linked;
use crate::warm::Ask;

/// Asks for items.
pub(super) struct Gets(pub(super) Arc<Desk>);

impl Asking for Gets {
    type Answer = Option<Item>;

    /// Whether the plugin that serves now answers several questions in one call.
    fn gathers(&self) -> bool {
        self.0.host.core.serving(&self.0.name).is_some_and(|plugin| {
            matches!(&*plugin.callable.linked, Linked::StorageBackendV1(linked) if linked.offers_many())
        })
    }

    async fn alone(&self, key: Key) -> Result<Option<Item>, StoreError> {
        let ask: Ask<_> =
            Box::new(move |instance, store| Box::pin(async move { instance.get(store, &key).await }));
        self.0.ask("get", ask).await
    }

    /// One record that cannot be read, or is too large, fails nobody else's get.
    async fn together(&self, keys: Vec<Key>) -> Result<Vec<Option<Item>>, Apart> {
        let ask: Ask<_> =
            Box::new(move |instance, store| Box::pin(async move { instance.get_many(store, &keys).await }));
        match self.0.try_ask("get-many", ask).await {
            Ok(Ok(items)) => Ok(items),
            Ok(Err(error @ StoreError::Unavailable(_))) => Err(Apart::Failed(error)),
            Ok(Err(_)) => Err(Apart::AskEach),
            Err(NoAnswer::Call(error)) if !matches!(error, CallError::Busy { .. }) => Err(Apart::AskEach),
            Err(no_answer) => Err(Apart::Failed(no_answer.into())),
        }
    }
}
