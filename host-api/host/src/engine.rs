//! The wasmtime engines of the sync contracts, made when the first plugin is loaded and not before.
//!
//! One for calls in fresh instances, pooled where the machine gives the address space, on demand otherwise; and one for
//! instances that are kept, each allocated by itself: making one may take its time, and a slot of a pool would hold
//! whole pages for tables of a few entries. Both run the same compiled code. They have no compiler: what they run comes from the cache, checked, by way of [`trusted`].

use domain::plugin::limit::MEMORY_CEILING;
use tracing::{debug, info};
use wasmtime::component::Component;
use wasmtime::{Enabled, InstanceAllocationStrategy, PoolingAllocationConfig};

use crate::cache::Artifact;

pub(crate) mod config;
pub(crate) mod ticker;
mod trusted;

/// Core instances one component may be made of in the pool. QuickJS components have more than six.
const INSTANCES: u32 = 64;

/// Memories one component may have in the pool. QuickJS components have three.
const MEMORIES: u32 = 4;

/// Tables one component may have in the pool.
const TABLES: u32 = 16;

/// Elements of one table in the pool.
const TABLE_ELEMENTS: usize = 20_000;

/// Pages of a finished call that are wiped in place instead of given back, in bytes per memory:
/// what a small plugin dirties. Only where the kernel says which pages those are.
const KEEP_RESIDENT: usize = 128 * 1024;

/// Runs components.
pub(crate) struct Engine {
    inner: wasmtime::Engine,
    counts: bool,
    ticker: ticker::Ticker,
    fingerprint: [u8; 32],
}

/// Why there is no engine.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// wasmtime does not work on this machine.
    #[error("the WebAssembly engine does not start on this machine")]
    Start(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// No thread for the clock that interrupts plugins.
    #[error("the thread that interrupts plugins could not be started; raise the limit on threads")]
    Ticker(#[source] std::io::Error),
}

impl Engine {
    /// Makes an engine for this many calls at one time.
    ///
    /// # Errors
    /// [`EngineError`] when the machine does not give what it needs.
    pub(crate) fn start(concurrency: u32) -> Result<Self, EngineError> {
        let pooled = wasmtime::Engine::new(&running(config::sync_contracts(), pooling(concurrency)));
        let inner = pooled.or_else(|error| {
            info!(%error, "no address space for a pool of plugin instances, each is allocated by itself");
            on_demand(config::sync_contracts)
        })?;
        debug!(concurrency, "the WebAssembly engine is up");
        Self::on(inner)
    }

    /// The same, for instances that are kept.
    ///
    /// # Errors
    /// As for [`Engine::start`].
    pub(crate) fn lasting() -> Result<Self, EngineError> {
        Self::on(on_demand(config::sync_contracts)?)
    }

    /// The same as either, with code that counts what it executes.
    ///
    /// # Errors
    /// As for [`Engine::start`].
    pub(crate) fn counting() -> Result<Self, EngineError> {
        Ok(Self { counts: true, ..Self::on(on_demand(config::counting)?)? })
    }

    fn on(inner: wasmtime::Engine) -> Result<Self, EngineError> {
        let fingerprint = config::fingerprint(&inner);
        let ticker = ticker::Ticker::start(inner.weak()).map_err(EngineError::Ticker)?;
        Ok(Self { inner, counts: false, ticker, fingerprint })
    }

    /// The engine itself, to link and run with.
    pub(crate) fn wasmtime(&self) -> &wasmtime::Engine {
        &self.inner
    }

    /// Keeps the clock going while a call runs.
    pub(crate) fn running(&self) -> ticker::Running<'_> {
        self.ticker.running()
    }

    /// Whether its code counts what it executes.
    pub(crate) fn counts(&self) -> bool {
        self.counts
    }

    /// What compiled code depends on beside the component.
    pub(crate) fn fingerprint(&self) -> &[u8; 32] {
        &self.fingerprint
    }

    /// Maps checked code.
    ///
    /// # Errors
    /// wasmtime's, when the code does not fit this engine.
    pub(crate) fn map(&self, artifact: &Artifact) -> wasmtime::Result<Component> {
        trusted::map(&self.inner, artifact)
    }
}

fn on_demand(settings: fn() -> wasmtime::Config) -> Result<wasmtime::Engine, EngineError> {
    wasmtime::Engine::new(&running(settings(), InstanceAllocationStrategy::OnDemand))
        .map_err(|error| EngineError::Start(error.into()))
}

/// The settings of an engine that runs and does not compile.
fn running(mut config: wasmtime::Config, strategy: InstanceAllocationStrategy) -> wasmtime::Config {
    config.enable_compiler(false).allocation_strategy(strategy);
    config
}

fn pooling(concurrency: u32) -> InstanceAllocationStrategy {
    let mut pool = PoolingAllocationConfig::new();
    let memory = usize::try_from(MEMORY_CEILING).unwrap_or(usize::MAX);
    pool.total_component_instances(concurrency)
        .total_core_instances(concurrency.saturating_mul(INSTANCES))
        .total_memories(concurrency.saturating_mul(MEMORIES))
        .total_tables(concurrency.saturating_mul(TABLES))
        .total_stacks(concurrency)
        .max_core_instances_per_component(INSTANCES)
        .max_memories_per_component(MEMORIES)
        .max_tables_per_component(TABLES)
        .max_memory_size(memory)
        .table_elements(TABLE_ELEMENTS)
        // A slot keeps what it last ran mapped; a few plugins take turns in a few slots.
        .max_unused_warm_slots(concurrency);
    if PoolingAllocationConfig::is_pagemap_scan_available() {
        pool.pagemap_scan(Enabled::Yes)
            .linear_memory_keep_resident(KEEP_RESIDENT)
            .table_keep_resident(4096)
            .async_stack_keep_resident(16 * 1024);
    }
    InstanceAllocationStrategy::Pooling(pool)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn starts_pooled_and_on_demand_with_one_fingerprint() {
        let pooled = wasmtime::Engine::new(&running(config::sync_contracts(), pooling(2))).unwrap();
        let on_demand =
            wasmtime::Engine::new(&running(config::sync_contracts(), InstanceAllocationStrategy::OnDemand))
                .unwrap();
        assert_eq!(config::fingerprint(&pooled), config::fingerprint(&on_demand));
    }

    #[test]
    fn starts_without_a_pool_where_there_is_no_room_for_one() {
        assert!(
            wasmtime::Engine::new(&running(config::sync_contracts(), pooling(1 << 20))).is_err(),
            "640 TiB"
        );
        let without = Engine::start(1 << 20).unwrap();
        assert!(without.wasmtime().pooling_allocator_metrics().is_none());
        let with = Engine::start(2).unwrap();
        assert!(with.wasmtime().pooling_allocator_metrics().is_some(), "where there is room there is one");
    }

    #[test]
    fn cannot_compile() {
        let engine = Engine::start(1).unwrap();
        assert!(engine.wasmtime().precompile_component(b"\0asm\x0d\0\x01\0").is_err());
    }

    #[test]
    fn is_gone_when_dropped_though_its_clock_was_running() {
        let engine = Engine::start(1).unwrap();
        let weak = engine.wasmtime().weak();
        drop(engine.running());
        // Its thread is about to tick once more.
        drop(engine);
        assert!(weak.upgrade().is_none());
    }
}
