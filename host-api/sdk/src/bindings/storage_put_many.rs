//! `put-many` of storage backends.

wit_bindgen::generate!({
    path: ["../../wit/host", "../../wit/storage-backend", "../../wit/storage-backend-1.1"],
    world: "teleport:storage-backend/storage-backend-put-many@1.1.0",
    with: {
        "teleport:storage-backend/types@1.0.0": crate::bindings::storage_backend::teleport::storage_backend::types,
    },
    generate_all,
    pub_export_macro: true,
    export_macro_name: "export_storage_put_many_component",
});
