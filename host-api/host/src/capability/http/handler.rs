//! The one function of `wasi:http/outgoing-handler`, around the library's.
//!
//! The contract hands the options of a request over with it. wasmtime-wasi-http 48.0.8 reads them and
//! leaves them in the table of handles for as long as the instance lives, so an instance that is kept
//! would lose one handle with every request; here they are let go.

use wasmtime::StoreContextMut;
use wasmtime::component::{Linker, Resource};
use wasmtime_wasi_http::p2::bindings::http::outgoing_handler::Host;
use wasmtime_wasi_http::p2::bindings::http::types::ErrorCode;
use wasmtime_wasi_http::p2::types::{HostFutureIncomingResponse, HostOutgoingRequest};
use wasmtime_wasi_http::{RequestOptions, WasiHttpCtxView, WasiHttpView};

use crate::call::CallState;

/// The interface; the linker serves the other versions of 0.2 with it too.
const INTERFACE: &str = "wasi:http/outgoing-handler@0.2.12";

/// What the guest hands over.
type Asked = (Resource<HostOutgoingRequest>, Option<Resource<RequestOptions>>);

/// What it gets back.
type Answer = Result<Resource<HostFutureIncomingResponse>, ErrorCode>;

/// Makes the function available.
///
/// # Errors
/// wasmtime's, for an interface defined twice.
pub(super) fn link(linker: &mut Linker<CallState>) -> wasmtime::Result<()> {
    linker.instance(INTERFACE)?.func_wrap(
        "handle",
        |mut store: StoreContextMut<'_, CallState>, (request, options): Asked| {
            handle(store.data_mut().http(), request, options).map(|answer| (answer,))
        },
    )
}

fn handle(
    mut view: WasiHttpCtxView<'_>,
    request: Resource<HostOutgoingRequest>,
    options: Option<Resource<RequestOptions>>,
) -> wasmtime::Result<Answer> {
    let handed_over = options.as_ref().map(Resource::rep);
    let answer = view.handle(request, options);
    if let Some(rep) = handed_over {
        let options = Resource::<RequestOptions>::new_own(rep);
        // Should the library let go of them itself one day, something else may have their number by now.
        if view.table.get(&options).is_ok() {
            view.table.delete(options)?;
        }
    }
    // A trap is no error code and stays a trap.
    answer.map(Ok).or_else(|failed| failed.downcast().map(Err))
}
