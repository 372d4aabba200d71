//! What a plugin has: for as long as it is loaded ([`Provisions`]), and for as long as one of its
//! instances lives ([`CallState`], the data of a store).

use std::collections::BTreeMap;
use std::sync::Arc;

use domain::plugin::{Effective, Limits, PluginName};
use wasmtime::{Store, UpdateDeadline};

use crate::capability::disk::Disk;
use crate::capability::http::{Http, Sender};
use crate::capability::kv::Kept;
use crate::capability::log::{Rate, Sink};
use crate::capability::process::Access;
use crate::capability::secrets::{Given, Opened, Revealed};
use crate::capability::wasi::Wasi;
use crate::diary::Diary;
use crate::engine::Engine;
use crate::limit::{CpuSpent, Holdings, Meter};
use crate::rehearsal::Rehearsal;

/// What a store begins with where fuel is counted: never used up, for processor time is the limit.
pub(crate) const FUEL: u64 = u64::MAX;

/// Who a plugin is, for logs and errors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    /// Its name.
    pub(crate) name: PluginName,
    /// Its own version.
    pub(crate) version: String,
}

/// What all instances of a loaded plugin share.
pub(crate) struct Provisions {
    /// Who it is.
    pub(crate) identity: Arc<Identity>,
    /// What it may do.
    pub(crate) effective: Arc<Effective>,
    /// How much it may use.
    pub(crate) limits: Limits,
    /// What the operator wrote for it.
    pub(crate) config: BTreeMap<String, String>,
    /// The secrets the operator gave it.
    pub(crate) secrets: Given,
    /// How its calls read the operator's files.
    pub(crate) disk: Disk,
    /// What it sends requests with.
    pub(crate) http: Sender,
    /// Who is told of secrets it has seen.
    pub(crate) revealed: Revealed,
    /// What it keeps from call to call.
    pub(crate) kept: Arc<Kept>,
    /// The environment of programs it runs.
    pub(crate) environment: Arc<BTreeMap<String, String>>,
    /// Its log lines per second, over all calls.
    pub(crate) log_rate: Arc<Rate>,
    /// What is remembered of it.
    pub(crate) diary: Arc<Diary>,
    /// What stands in for the outside world, where the plugin is tried out.
    pub(crate) rehearsal: Option<Rehearsal>,
}

/// What belongs to one instance: the data of its store.
pub(crate) struct CallState {
    pub(crate) wasi: Wasi,
    pub(crate) log: Arc<Sink>,
    pub(crate) process: Access,
    pub(crate) secrets: Opened,
    pub(crate) http: Http,
    pub(crate) provisions: Arc<Provisions>,
    pub(crate) holdings: Holdings,
    /// The first thing that was refused, by a capability that has no state of its own.
    pub(crate) denied: Option<String>,
}

impl CallState {
    /// Begins the next call of an instance that is kept.
    pub(crate) fn renew(&mut self) {
        self.holdings.renew();
        self.denied = None;
        self.log.renew(&self.provisions.limits);
        self.process.renew();
        self.secrets.renew();
        self.http.renew();
    }

    /// What was refused in this call, if anything was: the text the plugin got.
    pub(crate) fn denied(&self) -> Option<&str> {
        self.process.denied().or(self.secrets.denied()).or(self.http.denied()).or(self.denied.as_deref())
    }
}

impl Provisions {
    /// A store for one instance, under every limit. `configured` is the command beside the label being
    /// computed, where there is one.
    pub(crate) fn store(
        self: &Arc<Self>,
        engine: &Engine,
        configured: Vec<String>,
        meter: &Arc<Meter>,
    ) -> Store<CallState> {
        let limits = &self.limits;
        let mut log = Sink::new(Arc::clone(&self.identity), Arc::clone(&self.log_rate), limits);
        let rehearsal = self.rehearsal.as_ref();
        log.kept_in(Arc::clone(&self.diary));
        log.heard_by(rehearsal.map(|rehearsal| Arc::clone(&rehearsal.outside)));
        let log = Arc::new(log);
        let secrets = Opened::default();
        let state = CallState {
            wasi: Wasi::new(&log, limits, rehearsal.and_then(|rehearsal| rehearsal.time.clone())),
            http: Http::new(self, secrets.stand_ins.clone(), &log),
            log,
            process: Access::new(
                self.identity.name.clone(),
                Arc::clone(&self.effective),
                configured,
                Arc::clone(&self.environment),
                limits,
            ),
            secrets,
            provisions: Arc::clone(self),
            holdings: Holdings::new(limits),
            denied: None,
        };
        let mut store = Store::new(engine.wasmtime(), state);
        store.limiter(|state| &mut state.holdings);
        store.set_hostcall_fuel(usize::try_from(limits.host_call).unwrap_or(usize::MAX));
        store.set_max_component_handles(usize::try_from(limits.handles).unwrap_or(usize::MAX));
        if engine.counts() {
            // Refused only where nothing is counted.
            let _ = store.set_fuel(FUEL);
        }
        store.set_epoch_deadline(1);
        let (meter, cpu) = (Arc::clone(meter), limits.cpu());
        store.epoch_deadline_callback(move |_| {
            if meter.spent_within() >= cpu {
                return Err(CpuSpent.into());
            }
            // Lets the clock on the wall and other calls have their turn.
            Ok(UpdateDeadline::Yield(1))
        });
        store
    }
}
