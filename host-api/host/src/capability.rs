//! What the host does for plugins: one module per interface of `wit/host`, and the WASI every
//! language's standard library brings along.
//!
//! A capability answers for one call: its limits, and what the operator granted, come with the
//! call's state.

pub(crate) mod config;
pub(crate) mod disk;
pub(crate) mod http;
pub(crate) mod kv;
pub(crate) mod log;
pub(crate) mod process;
pub(crate) mod secrets;
pub(crate) mod sockets;
pub(crate) mod wasi;

/// `teleport:host@1.0.0` in Rust, generated; shared by all contracts.
#[allow(missing_docs, reason = "generated: the documents are in the WIT files")]
#[allow(clippy::all, reason = "generated")]
pub(crate) mod v1 {
    wasmtime::component::bindgen!({
        path: "../../wit/host",
        world: "plugin",
        imports: {
            "teleport:host/process.run": async,
            "teleport:host/kv.get": async,
            "teleport:host/kv.set": async,
            "teleport:host/kv.swap": async,
            "teleport:host/kv.delete": async,
            "teleport:host/kv.keys": async,
            "teleport:host/secrets": async | trappable,
            "teleport:host/secret-reveal": async | trappable,
        },
        with: { "teleport:host/secrets.secret": super::secrets::OpenSecret },
        additional_derives: [PartialEq, Eq],
    });
}
