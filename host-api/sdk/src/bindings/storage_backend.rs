//! The world of storage backends. What it has of the host is the same as in the module above.

wit_bindgen::generate!({
    path: ["../../wit/host", "../../wit/storage-backend"],
    world: "teleport:storage-backend/storage-backend",
    with: {
        "teleport:host/log@1.0.0": crate::bindings::teleport::host::log,
        "teleport:host/config@1.0.0": crate::bindings::teleport::host::config,
    },
    generate_all,
    pub_export_macro: true,
    export_macro_name: "export_storage_backend_component",
});
