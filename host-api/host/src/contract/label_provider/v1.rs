//! `teleport:label-provider@1`, every minor version of it.

use domain::label::DynamicLabel;
use wasmtime::Store;
use wasmtime::component::InstancePre;

use crate::call::CallState;

#[allow(missing_docs, reason = "generated: the documents are in the WIT files")]
#[allow(clippy::all, reason = "generated")]
mod bindings {
    wasmtime::component::bindgen!({
        path: ["../../wit/host", "../../wit/label-provider"],
        world: "teleport:label-provider/label-provider",
        exports: { default: async },
        with: { "teleport:host": crate::capability::v1::teleport::host },
    });
}

use bindings::LabelProviderPre;
use bindings::exports::teleport::label_provider::evaluate::{Failure, Request};

/// What a provider answers that has no value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NoValue {
    /// Whether the host refused it something.
    pub(crate) denied: bool,
    /// The provider's words.
    pub(crate) text: String,
}

/// A linked provider.
pub(crate) struct Linked(LabelProviderPre<CallState>);

impl Linked {
    /// Looks up the contract's exports once.
    ///
    /// # Errors
    /// wasmtime's, when an export is missing or of another type.
    pub(crate) fn new(pre: InstancePre<CallState>) -> wasmtime::Result<Self> {
        LabelProviderPre::new(pre).map(Self)
    }

    /// Instantiates and calls. The store is the caller's to drop, whatever comes back.
    ///
    /// # Errors
    /// wasmtime's, when the plugin trapped or was stopped.
    pub(crate) async fn evaluate(
        &self,
        store: &mut Store<CallState>,
        label: &DynamicLabel,
    ) -> wasmtime::Result<Result<String, NoValue>> {
        let provider = self.0.instantiate_async(&mut *store).await?;
        let request = Request { name: label.name.clone(), command: label.command.clone() };
        let answer = provider.teleport_label_provider_evaluate().call_evaluate(store, &request).await?;
        Ok(answer.map_err(|failure| match failure {
            Failure::Denied(text) => NoValue { denied: true, text },
            Failure::Invalid(text) | Failure::Unavailable(text) => NoValue { denied: false, text },
        }))
    }
}
