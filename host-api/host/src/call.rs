//! One call of a plugin: a fresh store, the limits around it, and what came of it.
//!
//! A call ends in time whatever the plugin does: it is interrupted every few milliseconds, so the
//! time on the clock and the processor time are looked at; when either is up, or the caller lost
//! interest, the store is dropped, and with it instance, handles and running programs.

use std::collections::BTreeMap;
use std::sync::Arc;

use domain::label::DynamicLabel;
use domain::plugin::{Effective, Limits, PluginName};
use tokio::time::Instant;
use wasmtime::{Store, UpdateDeadline};

use crate::capability::log::{Rate, Sink};
use crate::capability::process::Access;
use crate::capability::wasi::Wasi;
use crate::contract::Linked;
use crate::engine::Engine;
use crate::limit::{CpuSpent, Holdings, Meter};

mod report;
mod verdict;

pub use report::{CallError, CallReport, Outcome};

/// Who a plugin is, for logs and errors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    /// Its name.
    pub(crate) name: PluginName,
    /// Its own version.
    pub(crate) version: String,
}

/// A plugin that can be called.
pub(crate) struct Callable {
    /// Who it is.
    pub(crate) identity: Arc<Identity>,
    /// What it is linked to.
    pub(crate) linked: Arc<Linked>,
    /// What it may do.
    pub(crate) effective: Arc<Effective>,
    /// How much it may use.
    pub(crate) limits: Limits,
    /// Its log lines per second, over all calls.
    pub(crate) log_rate: Arc<Rate>,
}

/// What belongs to one call: the data of its store.
pub(crate) struct CallState {
    pub(crate) wasi: Wasi,
    pub(crate) log: Arc<Sink>,
    pub(crate) process: Access,
    holdings: Holdings,
}

impl Callable {
    /// Computes a label in a fresh instance.
    pub(crate) async fn evaluate(
        &self,
        engine: &Engine,
        environment: &Arc<BTreeMap<String, String>>,
        label: &DynamicLabel,
    ) -> CallReport {
        let began = Instant::now();
        let _clock = engine.running();
        let meter = Arc::new(Meter::default());
        let mut store = self.store(engine, environment, label, &meter);
        let Linked::LabelProviderV1(provider) = &*self.linked;
        let call = meter.count(provider.evaluate(&mut store, label));
        let ended = tokio::time::timeout(self.limits.wall(), call).await;
        let state = store.data();
        state.log.finish();
        let result = verdict::of(&self.identity, &self.limits, state, ended);
        let (log_lines, log_dropped) = state.log.counts();
        let memory = state.holdings.memory();
        // Here, and not after the report is made, so that the report counts the whole call.
        drop(store);
        CallReport {
            plugin: self.identity.name.clone(),
            version: self.identity.version.clone(),
            label: label.name.clone(),
            result,
            wall: began.elapsed(),
            cpu: meter.spent(),
            memory,
            log_lines,
            log_dropped,
        }
    }

    fn store(
        &self,
        engine: &Engine,
        environment: &Arc<BTreeMap<String, String>>,
        label: &DynamicLabel,
        meter: &Arc<Meter>,
    ) -> Store<CallState> {
        let log = Arc::new(Sink::new(Arc::clone(&self.identity), Arc::clone(&self.log_rate), &self.limits));
        let state = CallState {
            wasi: Wasi::new(&log, &self.limits),
            log,
            process: Access::new(
                self.identity.name.clone(),
                Arc::clone(&self.effective),
                label.command.clone(),
                Arc::clone(environment),
                &self.limits,
            ),
            holdings: Holdings::new(&self.limits),
        };
        let mut store = Store::new(engine.wasmtime(), state);
        store.limiter(|state| &mut state.holdings);
        store.set_hostcall_fuel(usize::try_from(self.limits.host_call).unwrap_or(usize::MAX));
        store.set_max_component_handles(usize::try_from(self.limits.handles).unwrap_or(usize::MAX));
        store.set_epoch_deadline(1);
        let (meter, cpu) = (Arc::clone(meter), self.limits.cpu());
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
