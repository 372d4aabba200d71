//! A storage plugin's own code as a backend of the store, as the plugin host makes one of the component:
//! instances are kept, each is asked one thing at a time, each tail has one of its own.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use domain::Timestamp;
use port::backend::{About, Backend, BackendPage, Batch, Tail};
use port::store::{
    Change, Condition, Item, Key, Operation, Prefix, Revision, StoreError, Transaction, WatchEvent,
};
use teleport_plugin_sdk::storage_backend::{self as guest, Instance};
use tokio::sync::Mutex;
use tokio::task::spawn_blocking;

/// Instances of a plugin.
pub struct Guests<I> {
    begin: Arc<dyn Fn() -> I + Send + Sync>,
    idle: Mutex<Vec<I>>,
}

impl<I: Instance + Send + 'static> Guests<I> {
    /// Begins instances by this.
    pub fn new(begin: impl Fn() -> I + Send + Sync + 'static) -> Self {
        Self { begin: Arc::new(begin), idle: Mutex::default() }
    }

    async fn call<T: Send + 'static>(
        &self,
        call: impl FnOnce(&mut I) -> Result<T, guest::Failure> + Send + 'static,
    ) -> Result<T, guest::Failure> {
        let idle = self.idle.lock().await.pop();
        let instance = idle.unwrap_or_else(|| (self.begin)());
        let (instance, outcome) = apart(instance, call).await;
        self.idle.lock().await.push(instance);
        outcome
    }
}

/// Asks an instance on a thread that may block.
async fn apart<I: Send + 'static, T: Send + 'static>(
    mut instance: I,
    call: impl FnOnce(&mut I) -> T + Send + 'static,
) -> (I, T) {
    let asked = spawn_blocking(move || {
        let outcome = call(&mut instance);
        (instance, outcome)
    });
    asked.await.unwrap()
}

#[async_trait]
impl<I: Instance + Send + 'static> Backend for Guests<I> {
    async fn open(&self) -> Result<About, StoreError> {
        let about = self.call(I::open).await.map_err(error)?;
        Ok(About { description: about.description, value_max: usize::try_from(about.value_max).unwrap() })
    }

    async fn get(&self, key: &Key) -> Result<Option<Item>, StoreError> {
        let key = key.as_str().to_owned();
        Ok(self.call(move |instance| instance.get(&key)).await.map_err(error)?.map(item))
    }

    async fn range(
        &self,
        prefix: &Prefix,
        from: Option<&Key>,
        limit: u32,
    ) -> Result<BackendPage, StoreError> {
        let (prefix, from) = (prefix.as_str().to_owned(), from.map(|key| key.as_str().to_owned()));
        let page = self.call(move |instance| instance.range(&prefix, from.as_deref(), limit)).await;
        let page = page.map_err(error)?;
        let items = page.items.into_iter().map(item).collect();
        Ok(BackendPage { items, more: page.more, revision: Revision(page.revision) })
    }

    async fn write(&self, transaction: &Transaction) -> Result<Revision, StoreError> {
        let conditions: Vec<_> = transaction.conditions.iter().map(condition).collect();
        let operations: Vec<_> = transaction.operations.iter().map(operation).collect();
        let outcome = self.call(move |instance| instance.write(&conditions, &operations)).await;
        let revision = outcome.map_err(|failure| match failure {
            guest::Failure::Conflict(index) => {
                StoreError::Conflict(transaction.conditions[usize::try_from(index).unwrap()].key().clone())
            }
            other => error(other),
        })?;
        Ok(Revision(revision))
    }

    async fn current(&self) -> Result<Revision, StoreError> {
        self.call(I::current).await.map(Revision).map_err(error)
    }

    async fn tail(&self, after: Revision) -> Result<Box<dyn Tail>, StoreError> {
        Ok(Box::new(Following { instance: Some((self.begin)()), after }))
    }
}

struct Following<I> {
    instance: Option<I>,
    after: Revision,
}

#[async_trait]
impl<I: Instance + Send + 'static> Tail for Following<I> {
    async fn next(&mut self, limit: u32, wait: Duration) -> Result<Batch, StoreError> {
        let lost = || StoreError::Unavailable("given up".to_owned());
        let (instance, after) = (self.instance.take().ok_or_else(lost)?, self.after);
        let (instance, outcome) = apart(instance, move |instance| instance.next(after.0, limit, wait)).await;
        self.instance = Some(instance);
        let batch = outcome.map_err(|failure| match failure {
            guest::Failure::Compacted(_) => StoreError::Compacted(after),
            other => error(other),
        })?;
        self.after = Revision(batch.up_to);
        Ok(Batch { events: batch.events.into_iter().map(event).collect(), up_to: self.after })
    }
}

fn error(failure: guest::Failure) -> StoreError {
    match failure {
        guest::Failure::Compacted(oldest) => StoreError::Compacted(Revision(oldest)),
        guest::Failure::TooLarge(_) => StoreError::TooLarge { what: "a write", max: 0 },
        guest::Failure::Denied(text) | guest::Failure::Invalid(text) => StoreError::Refused(text),
        guest::Failure::Unavailable(text) => StoreError::Unavailable(text),
        guest::Failure::Conflict(_) => StoreError::Corrupt("a conflict of no condition".to_owned()),
        guest::Failure::Corrupt(text) => StoreError::Corrupt(text),
    }
}

fn item(item: guest::Item) -> Item {
    let end = |end| Timestamp::from_microsecond(i64::try_from(end).unwrap()).unwrap();
    Item {
        key: Key::from_stored(&item.key),
        value: item.value.into(),
        revision: Revision(item.revision),
        expires: item.expires.map(end),
    }
}

fn event(event: guest::Event) -> WatchEvent {
    let change = match event.change {
        guest::Change::Put(of) => Change::Put(item(of)),
        guest::Change::Delete(key) => Change::Delete(Key::from_stored(&key)),
    };
    WatchEvent { revision: Revision(event.revision), change }
}

fn condition(condition: &Condition) -> guest::Condition {
    let text = |key: &Key| key.as_str().to_owned();
    match condition {
        Condition::Absent(key) => guest::Condition::Absent(text(key)),
        Condition::Present(key) => guest::Condition::Present(text(key)),
        Condition::Unchanged(key, revision) => guest::Condition::Unchanged(text(key), revision.0),
    }
}

fn operation(operation: &Operation) -> guest::Operation {
    match operation {
        Operation::Put { key, value, expires } => guest::Operation::Put {
            key: key.as_str().to_owned(),
            value: value.to_vec(),
            expires: expires.map(|end| u64::try_from(end.as_nanosecond().div_euclid(1000)).unwrap()),
        },
        Operation::Delete(key) => guest::Operation::Delete(key.as_str().to_owned()),
        Operation::DeleteRange(prefix) => guest::Operation::DeleteRange(prefix.as_str().to_owned()),
    }
}
