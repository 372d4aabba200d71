//! A storage plugin as the store room sees it: [`port::backend::Backend`].
//!
//! What comes while other questions are under way is asked together where the plugin offers that
//! ([`many`]). Every question runs on the plugins' own thread, in an instance that is kept ([`crate::warm`]); each
//! tail has one of its own. A plugin that was replaced meanwhile answers the next question in its new
//! version, and its tails end so that they are made anew. Quarantine is not for storage: a cluster without
//! its records is worse off than one whose records fail now and then. One that crashes at every question rests a little
//! before it is begun anew.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use domain::plugin::PluginName;
use port::backend::{About, Backend, BackendPage, Batch, Tail};
use port::store::{Item, Key, Prefix, Revision, StoreError, Transaction};
use tokio::sync::SemaphorePermit;
use tokio::time::{Instant, sleep_until};
use tracing::{Instrument as _, debug_span};

use crate::call::CallError;
use crate::engine::Engine;
use crate::error::{LoadError, chain};
use crate::host::{Core, PluginHost};
use crate::line::NoTurn;
use crate::load::Plugin;
use crate::registry::Found;
use crate::warm::{Ask, Rest, Tailing, Warm};

mod ask;
mod gathering;
mod many;
mod trial;

use ask::{Current, Next, Open, Range, Write};
use gathering::Gathering;
use many::{Gets, Puts, put_alone};

/// A storage backend that a plugin keeps.
pub struct StoragePlugin {
    desk: Arc<Desk>,
    gets: Arc<Gathering<Gets>>,
    puts: Arc<Gathering<Puts>>,
}

/// Where the plugin is asked.
struct Desk {
    host: Arc<PluginHost>,
    asked: Arc<Asked>,
}

/// Which plugin is asked. In cache lines of its own: each caller counts itself beside it, on another thread than
/// the plugins', which reads it in each call.
#[repr(align(128))]
struct Asked {
    name: PluginName,
    /// For the plugins' thread alone.
    found: Found,
}

/// Why there was no answer.
enum NoAnswer {
    Load(LoadError),
    Call(CallError),
    Stopped,
}

impl From<NoAnswer> for StoreError {
    fn from(no_answer: NoAnswer) -> Self {
        match no_answer {
            NoAnswer::Stopped => Self::Unavailable(
                "the plugin host has stopped, and with it the plugin that keeps the records".to_owned(),
            ),
            NoAnswer::Load(error) if error.may_pass() => Self::Unavailable(chain(&error)),
            NoAnswer::Load(error) => Self::Refused(chain(&error)),
            NoAnswer::Call(error @ CallError::OtherKind { .. }) => Self::Refused(chain(&error)),
            NoAnswer::Call(error) => Self::Unavailable(chain(&error)),
        }
    }
}

impl PluginHost {
    /// The records that the plugin of this name keeps. Nothing is loaded yet.
    pub fn storage(self: &Arc<Self>, name: PluginName) -> StoragePlugin {
        let asked = Arc::new(Asked { name, found: Found::default() });
        let desk = Arc::new(Desk { host: Arc::clone(self), asked });
        let (gets, puts) = (Gathering::new(Gets::at(&desk)), Gathering::new(Puts::at(&desk)));
        StoragePlugin { desk, gets, puts }
    }
}

/// What an instance has taken since it was made, where a plugin is tried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Taken {
    /// Processor time.
    pub cpu: Duration,
    /// Bytes of linear memory at their highest.
    pub memory: u64,
    /// Fuel.
    pub fuel: Option<u64>,
}

impl StoragePlugin {
    /// What the instance that answered last has taken; nothing where none is kept.
    pub fn taken(&self) -> Option<Taken> {
        self.desk.serving()?.warm.taken()
    }
}

impl Desk {
    /// The plugin that serves now, if it has been loaded.
    fn serving(&self) -> Option<Arc<Plugin>> {
        self.host.core.registry.find(&self.asked.name).ok().flatten()
    }

    async fn ask<A: Ask>(&self, ask: A) -> Result<A::Answer, StoreError> {
        self.try_ask(ask).await?
    }

    /// What it answered, apart from why there was no answer.
    async fn try_ask<A: Ask>(&self, ask: A) -> Result<Result<A::Answer, StoreError>, NoAnswer> {
        let asked = Arc::clone(&self.asked);
        let work = move |core: Arc<Core>| async move { core.ask(&asked, ask).await };
        self.host.on_thread(work).await.unwrap_or(Err(NoAnswer::Stopped))
    }
}

impl Core {
    /// Asks an instance that is kept, or a new one.
    async fn ask<A: Ask>(
        &self,
        Asked { name, found }: &Asked,
        ask: A,
    ) -> Result<Result<A::Answer, StoreError>, NoAnswer> {
        let began = Instant::now();
        let plugin = match self.registry.find_again(name, found) {
            Ok(Some(plugin)) => plugin,
            _ => self.plugin(name).await.map_err(NoAnswer::Load)?,
        };
        let (version, function) = (&plugin.manifest.version, A::FUNCTION);
        let span = debug_span!("plugin.ask", plugin = %name, %version, function);
        let answer = {
            // Pinned where it is made, for it is large.
            let asking = pin!(self.ask_plugin(&plugin, began, ask));
            asking.instrument(span).await
        };
        let error = answer.as_ref().err();
        plugin.warm.note(error);
        self.tell_storage(&plugin, function, began.elapsed(), error);
        answer.map_err(NoAnswer::Call)
    }

    async fn ask_plugin<A: Ask>(
        &self,
        plugin: &Plugin,
        began: Instant,
        ask: A,
    ) -> Result<Result<A::Answer, StoreError>, CallError> {
        let (callable, pool) = (&plugin.callable, &plugin.warm);
        let name = &plugin.manifest.name;
        let turn = turn_of(plugin, callable.provisions.limits.wall(), began).await?;
        let engine = self.lasting(name)?;
        let (warm, _turn) = match pool.take(began) {
            Some(warm) => (warm, turn),
            // Boxed, or every call would carry the room that instantiating takes.
            None => Box::pin(begun(plugin, engine, began, turn)).await?,
        };
        let (warm, answer) = warm.ask(engine, Duration::ZERO, ask).await?;
        pool.put(warm);
        Ok(answer)
    }

    async fn begin_tail(&self, name: &PluginName) -> Result<(Arc<Plugin>, Arc<Tailing>), StoreError> {
        let plugin = self.plugin(name).await.map_err(NoAnswer::Load)?;
        let tails = self.tails();
        if !plugin.warm.has_room(tails) {
            let full = NoTurn::Late.named(name, Duration::ZERO, tails);
            return Err(NoAnswer::Call(full).into());
        }
        let engine = self.lasting(name).map_err(NoAnswer::Call)?;
        let warm = Warm::start(&plugin.callable, engine).await.map_err(NoAnswer::Call)?;
        let tail = plugin.warm.tail(warm);
        Ok((plugin, tail))
    }

    /// Whether the plugin is the one that serves now.
    fn serves(&self, plugin: &Arc<Plugin>) -> bool {
        let serving = self.registry.find(&plugin.manifest.name).ok().flatten();
        serving.is_some_and(|serving| Arc::ptr_eq(&serving, plugin))
    }
}

/// A turn among the calls of a plugin, within this time. The call has waited since it began.
async fn turn_of(plugin: &Plugin, wait: Duration, began: Instant) -> Result<SemaphorePermit<'_>, CallError> {
    let named =
        |no_turn: NoTurn| no_turn.named(&plugin.manifest.name, began.elapsed(), crate::warm::INSTANCES);
    plugin.warm.turn(wait).await.map_err(named)
}

/// A new instance, and the turn it answers in. While the plugin rests from its crashes the turn is others', and whoever
/// would wait for longer than a call may take is told of the last crash instead.
async fn begun<'a>(
    plugin: &'a Plugin,
    engine: &Engine,
    began: Instant,
    mut turn: SemaphorePermit<'a>,
) -> Result<(Box<Warm>, SemaphorePermit<'a>), CallError> {
    let end = began + plugin.callable.provisions.limits.wall();
    while let Some(Rest { until, crashes, last }) = plugin.warm.rest() {
        if until >= end {
            return Err(CallError::Crashes { plugin: plugin.manifest.name.clone(), crashes, last });
        }
        drop(turn);
        sleep_until(until).await;
        turn = turn_of(plugin, end.saturating_duration_since(Instant::now()), began).await?;
        if let Some(warm) = plugin.warm.take(Instant::now()) {
            return Ok((warm, turn));
        }
    }
    Ok((Warm::start(&plugin.callable, engine).await?, turn))
}

#[async_trait]
impl Backend for StoragePlugin {
    async fn open(&self) -> Result<About, StoreError> {
        let about = self.desk.ask(Open).await?;
        self.puts.bound(about.value_max);
        Ok(about)
    }

    async fn get(&self, key: &Key) -> Result<Option<Item>, StoreError> {
        self.gets.ask(key.clone()).await
    }

    async fn range(
        &self,
        prefix: &Prefix,
        from: Option<&Key>,
        limit: u32,
    ) -> Result<BackendPage, StoreError> {
        self.desk.ask(Range { prefix: prefix.clone(), from: from.cloned(), limit }).await
    }

    async fn write(&self, transaction: &Transaction) -> Result<Revision, StoreError> {
        match put_alone(transaction) {
            Some(put) => self.puts.ask(put).await,
            None => self.desk.ask(Write(transaction.clone())).await,
        }
    }

    async fn current(&self) -> Result<Revision, StoreError> {
        self.desk.ask(Current).await
    }

    async fn tail(&self, after: Revision) -> Result<Box<dyn Tail>, StoreError> {
        let asked = Arc::clone(&self.desk.asked);
        let work = move |core: Arc<Core>| async move { core.begin_tail(&asked.name).await };
        let begun = self.desk.host.on_thread(work).await;
        let (plugin, warm) = begun.unwrap_or_else(|| Err(NoAnswer::Stopped.into()))?;
        Ok(Box::new(Following { host: Arc::clone(&self.desk.host), plugin, warm, after }))
    }
}

fn replaced() -> StoreError {
    StoreError::Unavailable("the plugin was replaced; following goes on anew".to_owned())
}

/// An instance that follows the changes.
struct Following {
    host: Arc<PluginHost>,
    plugin: Arc<Plugin>,
    /// Gone after an error, and when another version has come.
    warm: Arc<Tailing>,
    after: Revision,
}

#[async_trait]
impl Tail for Following {
    async fn next(&mut self, limit: u32, wait: Duration) -> Result<Batch, StoreError> {
        let ended = || StoreError::Unavailable("the instance that followed the changes has ended".to_owned());
        let warm = self.warm.lock().take().ok_or_else(ended)?;
        let (plugin, after) = (Arc::clone(&self.plugin), self.after);
        let work = move |core: Arc<Core>| async move {
            if !core.serves(&plugin) {
                return Err(replaced());
            }
            let began = Instant::now();
            let engine = core.lasting(&plugin.manifest.name).map_err(NoAnswer::Call)?;
            let answer = tokio::select! {
                answer = warm.ask(engine, wait, Next { after, limit, wait }) => answer,
                () = plugin.warm.retired() => return Err(replaced()),
            };
            core.tell_storage(&plugin, Next::FUNCTION, began.elapsed(), answer.as_ref().err());
            let (warm, batch) = answer.map_err(NoAnswer::Call)?;
            batch.map(|batch| (warm, batch))
        };
        let (warm, batch) = self.host.on_thread(work).await.ok_or_else(ended)??;
        self.plugin.warm.put_tail(&self.warm, warm);
        self.after = batch.up_to;
        Ok(batch)
    }
}
