//! Loads and runs sandboxed WebAssembly components.
