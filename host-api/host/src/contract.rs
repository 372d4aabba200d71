//! The contracts the host serves: one folder per kind of plugin, one file per major version.

pub(crate) mod label_provider;
pub(crate) mod storage_backend;

use std::sync::Arc;

use domain::plugin::ContractKind;
use wasmtime::component::Component;

use crate::call::CallState;
use crate::capability::{http, sockets, v1, wasi};

/// A component that is linked and ready to be instantiated, by contract.
pub(crate) enum Linked {
    /// `teleport:label-provider`, major version 1.
    LabelProviderV1(label_provider::v1::Linked),
    /// `teleport:storage-backend`, major version 1.
    StorageBackendV1(storage_backend::v1::Linked),
}

/// Links a component to what its contract offers; to `wasi:http` only when it may send requests.
///
/// # Errors
/// wasmtime's, which names the import that is missing or of another type.
pub(crate) fn link(
    kind: ContractKind,
    engine: &wasmtime::Engine,
    component: &Component,
    sends: bool,
) -> wasmtime::Result<Arc<Linked>> {
    let mut linker = wasmtime::component::Linker::new(engine);
    wasi::link(&mut linker)?;
    sockets::link(&mut linker, engine, component)?;
    if sends {
        http::link(&mut linker)?;
    }
    type State = wasmtime::component::HasSelf<CallState>;
    v1::teleport::host::log::add_to_linker::<_, State>(&mut linker, |state| state)?;
    v1::teleport::host::config::add_to_linker::<_, State>(&mut linker, |state| state)?;
    v1::teleport::host::process::add_to_linker::<_, State>(&mut linker, |state| state)?;
    v1::teleport::host::secrets::add_to_linker::<_, State>(&mut linker, |state| state)?;
    v1::teleport::host::secret_reveal::add_to_linker::<_, State>(&mut linker, |state| state)?;
    v1::teleport::host::kv::add_to_linker::<_, State>(&mut linker, |state| state)?;
    Ok(Arc::new(match kind {
        ContractKind::LabelProvider => {
            Linked::LabelProviderV1(label_provider::v1::Linked::new(linker.instantiate_pre(component)?)?)
        }
        ContractKind::StorageBackend => {
            Linked::StorageBackendV1(storage_backend::v1::Linked::new(linker.instantiate_pre(component)?)?)
        }
    }))
}
