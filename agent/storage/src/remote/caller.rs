//! One question to the backend: bounded in time, checked, and counted for health.

use std::sync::Arc;
use std::time::Duration;

use port::backend::{About, Backend, BackendPage, Tail};
use port::store::{Item, Key, Prefix, Revision, StoreError, Transaction};

use crate::remote::health::Pulse;
use crate::remote::seen::Seen;
use crate::remote::{RemoteSettings, check};

/// The backend, as the rest of this room sees it.
pub(super) struct Caller {
    backend: Arc<dyn Backend>,
    settings: RemoteSettings,
    pub(super) seen: Seen,
    pub(super) pulse: Pulse,
}

impl Caller {
    pub(super) fn new(backend: Arc<dyn Backend>, settings: RemoteSettings) -> Self {
        Self { backend, settings, seen: Seen::new(), pulse: Pulse::new() }
    }

    pub(super) async fn open(&self) -> Result<About, StoreError> {
        within(self.settings.opening, self.backend.open()).await
    }

    pub(super) async fn get(&self, key: &Key) -> Result<Option<Item>, StoreError> {
        self.ask(async { check::item(key, self.backend.get(key).await?) }).await
    }

    pub(super) async fn range(
        &self,
        prefix: &Prefix,
        from: Option<&Key>,
        limit: u32,
    ) -> Result<BackendPage, StoreError> {
        self.ask(async {
            let mark = self.seen.mark();
            let page = self.backend.range(prefix, from, limit).await?;
            check::page(&page, prefix, from, limit)?;
            self.seen.read(mark, page.revision)?;
            Ok(page)
        })
        .await
    }

    pub(super) async fn write(&self, transaction: &Transaction) -> Result<Revision, StoreError> {
        self.ask(async {
            let mark = self.seen.mark();
            let outcome = self.backend.write(transaction).await;
            let revision = outcome.map_err(|error| check::refusal(transaction, error))?;
            self.seen.written(mark, revision)?;
            Ok(revision)
        })
        .await
    }

    pub(super) async fn current(&self) -> Result<Revision, StoreError> {
        self.ask(async {
            let mark = self.seen.mark();
            let revision = self.backend.current().await?;
            self.seen.read(mark, revision)?;
            Ok(revision)
        })
        .await
    }

    /// The revision now, of whatever history the backend has now. For whoever starts over.
    pub(super) async fn begin_again(&self) -> Result<Revision, StoreError> {
        let revision = self.ask(self.backend.current()).await?;
        self.seen.restart(revision);
        Ok(revision)
    }

    /// A tail whose every answer is bounded and checked.
    pub(super) async fn tail(&self, after: Revision) -> Result<Followed, StoreError> {
        let tail = within(self.settings.patience, self.backend.tail(after)).await?;
        Ok(Followed { tail, after, patience: self.settings.patience })
    }

    async fn ask<T>(&self, call: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
        let outcome = within(self.settings.patience, call).await;
        self.pulse.called(&outcome);
        outcome
    }
}

/// A tail and how far it has told.
pub(super) struct Followed {
    tail: Box<dyn Tail>,
    pub(super) after: Revision,
    patience: Duration,
}

impl Followed {
    /// How many changes are asked for at once.
    const LIMIT: u32 = 1024;

    /// The next changes, and everything up to [`Followed::after`] has been told.
    pub(super) async fn next(&mut self, wait: Duration) -> Result<Vec<port::store::WatchEvent>, StoreError> {
        let patience = wait.saturating_add(self.patience);
        let batch = within(patience, self.tail.next(Self::LIMIT, wait)).await?;
        check::batch(&batch, self.after)?;
        self.after = batch.up_to;
        Ok(batch.events)
    }
}

async fn within<T>(
    patience: Duration,
    call: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    let late = |_| {
        let seconds = patience.as_secs_f64();
        StoreError::Unavailable(format!(
            "the storage backend did not answer within {seconds} s; see whether its servers are up and reachable"
        ))
    };
    tokio::time::timeout(patience, call).await.map_err(late)?
}
