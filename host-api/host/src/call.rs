//! One call of a plugin: a fresh store, the limits around it, and what came of it.
//!
//! A call ends in time whatever the plugin does: it is interrupted every few milliseconds, so the
//! time on the clock and the processor time are looked at; when either is up, or the caller lost
//! interest, the store is dropped, and with it instance, handles and running programs.

use std::sync::Arc;

use domain::label::DynamicLabel;
use domain::plugin::ContractKind;
use tokio::time::Instant;

use crate::contract::Linked;
use crate::engine::Engine;
use crate::limit::{Meter, within};

mod report;
mod state;
mod verdict;

pub use report::{CallError, CallReport, Outcome};
pub(crate) use state::{CallState, FUEL, Identity, Provisions};
pub(crate) use verdict::{clean, settled, too_long};

/// A plugin that can be called.
pub(crate) struct Callable {
    /// What its instances share.
    pub(crate) provisions: Arc<Provisions>,
    /// What it is linked to.
    pub(crate) linked: Arc<Linked>,
}

impl Callable {
    /// Computes a label in a fresh instance.
    pub(crate) async fn evaluate(&self, engine: &Engine, label: &DynamicLabel) -> CallReport {
        let began = Instant::now();
        let _clock = engine.running();
        let provisions = &self.provisions;
        let meter = Arc::new(Meter::default());
        let mut store = provisions.store(engine, label.command.clone(), &meter);
        let ended = match &*self.linked {
            Linked::LabelProviderV1(provider) => {
                let call = meter.count(provider.evaluate(&mut store, label));
                Some(within(provisions.limits.wall(), call).await)
            }
            Linked::StorageBackendV1(_) => None,
        };
        let state = store.data();
        state.log.finish();
        let result = match ended {
            Some(ended) => verdict::of(state, ended),
            None => Err(CallError::OtherKind {
                plugin: provisions.identity.name.clone(),
                wanted: ContractKind::LabelProvider.package(),
            }),
        };
        let (log_lines, log_dropped) = state.log.counts();
        let memory = state.holdings.memory();
        let fuel = if engine.counts() { store.get_fuel().ok().map(|left| FUEL - left) } else { None };
        // Here, and not after the report is made, so that the report counts the whole call.
        drop(store);
        CallReport {
            plugin: provisions.identity.name.clone(),
            version: provisions.identity.version.clone(),
            label: label.name.clone(),
            result,
            wall: began.elapsed(),
            cpu: meter.spent(),
            fuel,
            memory,
            log_lines,
            log_dropped,
        }
    }
}
