//! What the contracts in `wit/` look like in Rust, generated. Plugins use the modules beside this one.

#![allow(unsafe_code, reason = "generated: arguments are passed to the host as addresses in linear memory")]
#![allow(missing_docs, reason = "generated: the documents are in the WIT files")]
#![allow(
    clippy::all,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::allow_attributes_without_reason,
    reason = "generated"
)]

pub mod host;
pub mod storage_backend;
pub mod storage_get_many;
pub mod storage_put_many;

wit_bindgen::generate!({
    path: ["../../wit/host", "../../wit/label-provider"],
    world: "teleport:label-provider/label-provider",
    generate_all,
    pub_export_macro: true,
    export_macro_name: "export_label_provider_component",
});
