//! What the host offers to plugins of every kind beyond what a world of theirs lists.

wit_bindgen::generate!({
    path: "../../wit/host",
    world: "teleport:host/plugin",
    with: {
        "teleport:host/log@1.0.0": crate::bindings::teleport::host::log,
        "teleport:host/config@1.0.0": crate::bindings::teleport::host::config,
        "teleport:host/process@1.0.0": crate::bindings::teleport::host::process,
    },
    generate_all,
});
