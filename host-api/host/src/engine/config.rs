//! The settings that shape compiled code, shared by the compiling child and the running engine: code
//! made under others does not load.

use std::hash::{Hash, Hasher};

use domain::plugin::limit::{MEMORY_CEILING, STACK};
use sha2::{Digest as _, Sha256};
use wasmtime::{Config, Engine};

/// Stack for plugin code and the host functions it calls, in bytes. Address space, until it is touched.
const FIBER_STACK: usize = 1024 * 1024;

/// Settings for sync contracts.
pub(crate) fn sync_contracts() -> Config {
    let mut config = Config::new();
    config
        .wasm_component_model(true)
        // Five times cheaper calls than with support for concurrent components, which sync contracts do
        // not need.
        .concurrency_support(false)
        .epoch_interruption(true)
        .max_wasm_stack(usize::try_from(STACK).unwrap_or(FIBER_STACK / 2))
        .async_stack_size(FIBER_STACK)
        .memory_init_cow(true)
        // As much address space per memory as a plugin can ever be granted: small enough for machines
        // that ration it.
        .memory_reservation(MEMORY_CEILING)
        .memory_may_move(false)
        // Only useful to read stack traces, which are not taken.
        .generate_address_map(false);
    config
}

/// The same for whoever writes plugins: the code counts what it executes, and runs a little slower for it.
pub(crate) fn counting() -> Config {
    let mut config = sync_contracts();
    config.consume_fuel(true);
    config
}

/// What compiled code depends on beside the component itself, as a digest: wasmtime's version and
/// settings, and the processor's features.
pub(crate) fn fingerprint(engine: &Engine) -> [u8; 32] {
    let mut hasher = Fingerprint(Sha256::new());
    engine.precompile_compatibility_hash().hash(&mut hasher);
    std::env::consts::ARCH.hash(&mut hasher);
    for (feature, present) in processor_features() {
        (feature, present).hash(&mut hasher);
    }
    hasher.0.finalize().into()
}

/// The features wasmtime's compiler makes use of. One that is missing here costs nothing but a
/// recompilation: wasmtime checks them again when it loads the code.
#[cfg(target_arch = "x86_64")]
fn processor_features() -> Vec<(&'static str, bool)> {
    macro_rules! list {
        ($($feature:tt),*) => { vec![$(($feature, std::arch::is_x86_feature_detected!($feature))),*] };
    }
    list![
        "sse3",
        "ssse3",
        "sse4.1",
        "sse4.2",
        "popcnt",
        "avx",
        "avx2",
        "fma",
        "bmi1",
        "bmi2",
        "lzcnt",
        "avx512f",
        "avx512bitalg",
        "avx512dq",
        "avx512vl",
        "avx512vbmi"
    ]
}

/// The features wasmtime's compiler makes use of.
#[cfg(target_arch = "aarch64")]
fn processor_features() -> Vec<(&'static str, bool)> {
    macro_rules! list {
        ($($feature:tt),*) => { vec![$(($feature, std::arch::is_aarch64_feature_detected!($feature))),*] };
    }
    list!["lse", "paca", "fp16"]
}

/// The features wasmtime's compiler makes use of: none that change at run time.
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn processor_features() -> Vec<(&'static str, bool)> {
    Vec::new()
}

/// Collects what is hashed into a digest that does not change from run to run.
struct Fingerprint(Sha256);

impl Hasher for Fingerprint {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        // Asked for by the trait, not by the code that feeds it.
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fingerprint_follows_the_settings() {
        let engine = |config: &Config| Engine::new(config).unwrap();
        let one = fingerprint(&engine(&sync_contracts()));
        assert_eq!(one, fingerprint(&engine(&sync_contracts())));
        let mut other = sync_contracts();
        other.epoch_interruption(false);
        assert_ne!(one, fingerprint(&engine(&other)));
        assert_ne!(one, fingerprint(&engine(&counting())), "code that counts is kept apart");
    }
}
