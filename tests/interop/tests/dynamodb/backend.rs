//! The plugin's code as a backend of the store, as the plugin host makes one of the component.

use std::time::Duration;

use async_trait::async_trait;
use domain::Timestamp;
use port::backend::{About, Backend, BackendPage, Batch, Tail};
use port::store::{
    Change, Condition, Item, Key, Operation, Prefix, Revision, StoreError, Transaction, WatchEvent,
};
use storage_dynamodb::settings::Settings;
use teleport_plugin_sdk::storage_backend::{self as guest, Instance as _};
use tokio::sync::Mutex;
use tokio::task::spawn_blocking;

use crate::native::{MovedClock, Native, client};

pub(crate) type Instance = storage_dynamodb::backend::Backend<Native>;

/// Instances of the plugin.
pub(crate) struct Guests {
    settings: Settings,
    clock: MovedClock,
    client: reqwest::Client,
    idle: Mutex<Vec<Instance>>,
}

/// Settings for this server.
pub(crate) fn settings(url: &str) -> Settings {
    let value = |key: &str| match key {
        "endpoint" => Some(url.to_owned()),
        "table_name" => Some("teleport".to_owned()),
        _ => None,
    };
    Settings::read(value).unwrap()
}

impl Guests {
    pub(crate) fn new(url: &str, clock: &MovedClock) -> Self {
        Self { settings: settings(url), clock: clock.clone(), client: client(), idle: Mutex::default() }
    }

    fn instance(&self) -> Instance {
        Instance::new(Native::new(&self.clock, &self.client), &self.settings)
    }

    async fn call<T: Send + 'static>(
        &self,
        call: impl FnOnce(&mut Instance) -> Result<T, guest::Failure> + Send + 'static,
    ) -> Result<T, guest::Failure> {
        let idle = self.idle.lock().await.pop();
        let mut instance = idle.unwrap_or_else(|| self.instance());
        let (instance, outcome) = spawn_blocking(move || {
            let outcome = call(&mut instance);
            (instance, outcome)
        })
        .await
        .unwrap();
        self.idle.lock().await.push(instance);
        outcome
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
    Item {
        key: Key::from_stored(&item.key),
        value: item.value.into(),
        revision: Revision(item.revision),
        expires: item.expires.map(|end| Timestamp::from_microsecond(i64::try_from(end).unwrap()).unwrap()),
    }
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

#[async_trait]
impl Backend for Guests {
    async fn open(&self) -> Result<About, StoreError> {
        let about = self.call(Instance::open).await.map_err(error)?;
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
        let page = self
            .call(move |instance| instance.range(&prefix, from.as_deref(), limit))
            .await
            .map_err(error)?;
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
        self.call(Instance::current).await.map(Revision).map_err(error)
    }

    async fn tail(&self, after: Revision) -> Result<Box<dyn Tail>, StoreError> {
        Ok(Box::new(Following { instance: Some(self.instance()), after }))
    }
}

struct Following {
    instance: Option<Instance>,
    after: Revision,
}

#[async_trait]
impl Tail for Following {
    async fn next(&mut self, limit: u32, wait: Duration) -> Result<Batch, StoreError> {
        let lost = || StoreError::Unavailable("given up".to_owned());
        let (mut instance, after) = (self.instance.take().ok_or_else(lost)?, self.after);
        let (instance, outcome) = spawn_blocking(move || {
            let outcome = instance.next(after.0, limit, wait);
            (instance, outcome)
        })
        .await
        .unwrap();
        self.instance = Some(instance);
        let batch = outcome.map_err(|failure| match failure {
            guest::Failure::Compacted(_) => StoreError::Compacted(after),
            other => error(other),
        })?;
        self.after = Revision(batch.up_to);
        let event = |event: guest::Event| WatchEvent {
            revision: Revision(event.revision),
            change: match event.change {
                guest::Change::Put(of) => Change::Put(item(of)),
                guest::Change::Delete(key) => Change::Delete(Key::from_stored(&key)),
            },
        };
        Ok(Batch { events: batch.events.into_iter().map(event).collect(), up_to: self.after })
    }
}
