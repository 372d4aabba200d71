//! The same guests in wasmtime alone: its pool, its interruptions, and nothing of the host's; what a
//! guest imports is a trap, but for what it is told by its configuration.

use terminal::Failure;
use wasmtime::component::{
    Component, ComponentExportIndex, ComponentType, Instance, InstancePre, Lift, Linker, Lower, TypedFunc,
};
use wasmtime::{Config, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig, Store};

/// What the backend is told to do: its `get` then answers before it looks at anything.
pub(crate) const AT_ONCE: &str = "get at-once";

/// The interface of a backend's records.
const RECORDS: &str = "teleport:storage-backend/records@1.0.0";

#[derive(ComponentType, Lower)]
#[component(record)]
struct Request {
    name: String,
    command: Vec<String>,
}

#[allow(dead_code, reason = "the contract's shape; only whether there is an answer is looked at")]
#[derive(ComponentType, Lift)]
#[component(variant)]
enum NoValue {
    #[component(name = "denied")]
    Denied(String),
    #[component(name = "invalid")]
    Invalid(String),
    #[component(name = "unavailable")]
    Unavailable(String),
}

#[allow(dead_code, reason = "the contract's shape; only whether there is an answer is looked at")]
#[derive(ComponentType, Lift)]
#[component(record)]
struct Item {
    key: String,
    value: Vec<u8>,
    revision: u64,
    expires: Option<u64>,
}

#[allow(dead_code, reason = "the contract's shape; only whether there is an answer is looked at")]
#[derive(ComponentType, Lift)]
#[component(variant)]
enum NotRead {
    #[component(name = "conflict")]
    Conflict(u32),
    #[component(name = "compacted")]
    Compacted(u64),
    #[component(name = "too-large")]
    TooLarge(String),
    #[component(name = "denied")]
    Denied(String),
    #[component(name = "invalid")]
    Invalid(String),
    #[component(name = "unavailable")]
    Unavailable(String),
    #[component(name = "corrupt")]
    Corrupt(String),
}

type Evaluate = TypedFunc<(Request,), (Result<String, NoValue>,)>;
type Get = TypedFunc<(String,), (Result<Option<Item>, NotRead>,)>;

/// A guest, ready to be made instances of.
pub(crate) struct Bare {
    engine: Engine,
    pre: InstancePre<()>,
}

impl Bare {
    pub(crate) fn new(wasm: &[u8]) -> Result<Self, Failure> {
        Self::prepare(wasm).map_err(|error| Failure::new(format!("bare wasmtime: {error:#}")))
    }

    fn prepare(wasm: &[u8]) -> wasmtime::Result<Self> {
        let mut pool = PoolingAllocationConfig::new();
        pool.max_memory_size(128 << 20).total_component_instances(32).max_unused_warm_slots(32);
        if PoolingAllocationConfig::is_pagemap_scan_available() {
            pool.pagemap_scan(Enabled::Yes).linear_memory_keep_resident(128 * 1024).table_keep_resident(4096);
        }
        let mut config = Config::new();
        config
            .wasm_component_model(true)
            .concurrency_support(false)
            .epoch_interruption(true)
            .memory_reservation(128 << 20)
            .memory_may_move(false)
            .allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
        let engine = Engine::new(&config)?;
        let component = Component::new(&engine, wasm)?;
        let mut linker = Linker::new(&engine);
        linker.allow_shadowing(true);
        linker.define_unknown_imports_as_traps(&component)?;
        let told = |_: wasmtime::StoreContextMut<'_, ()>, (_key,): (String,)| Ok((Some(AT_ONCE.to_owned()),));
        linker.instance("teleport:host/config@1.0.0")?.func_wrap("get", told)?;
        let pre = linker.instantiate_pre(&component)?;
        Ok(Self { engine, pre })
    }

    fn store(&self) -> Store<()> {
        let mut store = Store::new(&self.engine, ());
        store.set_epoch_deadline(1 << 30);
        store
    }

    /// A fresh instance, one call, its end.
    pub(crate) fn evaluate(&self, words: &[&str]) -> Result<(), Failure> {
        let command = words.iter().map(|word| (*word).to_owned()).collect();
        let request = Request { name: "bench".to_owned(), command };
        let call = || -> wasmtime::Result<bool> {
            let mut store = self.store();
            let instance = self.pre.instantiate(&mut store)?;
            let at = export(&instance, &mut store, "teleport:label-provider/evaluate@1.0.0", "evaluate")?;
            let evaluate: Evaluate = instance.get_typed_func(&mut store, at)?;
            let (answer,) = evaluate.call(&mut store, (request,))?;
            Ok(answer.is_ok())
        };
        answered(call())
    }

    /// Calls a kept instance so often, and gives the time of one call in nanoseconds.
    pub(crate) fn get(&self, times: u32) -> Result<f64, Failure> {
        let calls = || -> wasmtime::Result<f64> {
            let mut store = self.store();
            let instance = self.pre.instantiate(&mut store)?;
            let at = export(&instance, &mut store, RECORDS, "get")?;
            let get: Get = instance.get_typed_func(&mut store, at)?;
            let began = tokio::time::Instant::now();
            for _ in 0..times {
                let (_found,) = get.call(&mut store, ("/t/a".to_owned(),))?;
            }
            Ok(began.elapsed().as_secs_f64() * 1e9 / f64::from(times))
        };
        calls().map_err(|error| Failure::new(format!("bare wasmtime: {error:#}")))
    }

    /// The same on a stack of its own, as everybody calls guests who lets others have their turn meanwhile.
    pub(crate) async fn get_interruptible(&self, times: u32) -> Result<f64, Failure> {
        let calls = async || -> wasmtime::Result<f64> {
            let mut store = self.store();
            store.epoch_deadline_async_yield_and_update(1 << 30);
            let instance = self.pre.instantiate_async(&mut store).await?;
            let at = export(&instance, &mut store, RECORDS, "get")?;
            let get: Get = instance.get_typed_func(&mut store, at)?;
            let began = tokio::time::Instant::now();
            for _ in 0..times {
                let (_found,) = get.call_async(&mut store, ("/t/a".to_owned(),)).await?;
            }
            Ok(began.elapsed().as_secs_f64() * 1e9 / f64::from(times))
        };
        calls().await.map_err(|error| Failure::new(format!("bare wasmtime: {error:#}")))
    }
}

/// Where an instance has a function of this interface.
fn export(
    instance: &Instance,
    store: &mut Store<()>,
    interface: &str,
    function: &str,
) -> wasmtime::Result<ComponentExportIndex> {
    let place = instance.get_export_index(&mut *store, None, interface);
    let at = instance.get_export_index(store, place.as_ref(), function);
    at.ok_or_else(|| wasmtime::Error::msg("no such export"))
}

fn answered(outcome: wasmtime::Result<bool>) -> Result<(), Failure> {
    match outcome {
        Ok(true) => Ok(()),
        Ok(false) => Err(Failure::new("bare wasmtime: the guest has no value")),
        Err(error) => Err(Failure::new(format!("bare wasmtime: {error:#}"))),
    }
}
