//! `wasi:sockets` without a socket: there so that languages whose standard library speaks of them can be linked,
//! and refused in every use.
//!
//! CPython imports them whether a program does or not. What this links has no network behind it: every function
//! that could fail answers `access-denied`, as it would on a machine that allows none, and nothing here ever
//! reaches the operating system. What could not fail needs a socket first, and there is none to be had.
//! Requests go through `wasi:http`, where they are granted.

use wasmtime::StoreContextMut;
use wasmtime::component::types::{ComponentFunc, ComponentItem};
use wasmtime::component::{Component, Linker, Resource, ResourceAny, ResourceType, Type, Val};

use crate::call::CallState;

/// The package.
pub(crate) const PACKAGE: &str = "wasi:sockets";

/// The interfaces of it that a component may import.
pub(crate) const INTERFACES: [&str; 7] =
    ["instance-network", "ip-name-lookup", "network", "tcp", "tcp-create-socket", "udp", "udp-create-socket"];

/// What there is none of.
const RESOURCES: [&str; 6] = [
    "incoming-datagram-stream",
    "network",
    "outgoing-datagram-stream",
    "resolve-address-stream",
    "tcp-socket",
    "udp-socket",
];

/// What every function answers.
const DENIED: &str = "access-denied";

/// A handle without anything behind it.
struct Nothing;

/// Links what the component imports of the package.
///
/// # Errors
/// wasmtime's, for an interface defined twice.
pub(crate) fn link(
    linker: &mut Linker<CallState>,
    engine: &wasmtime::Engine,
    component: &Component,
) -> wasmtime::Result<()> {
    for (name, import) in component.component_type().imports(engine) {
        let is_ours = name.strip_prefix(PACKAGE).is_some_and(|rest| rest.starts_with('/'));
        let ComponentItem::ComponentInstance(interface) = import.ty else { continue };
        if !is_ours {
            continue;
        }
        let mut instance = linker.instance(name)?;
        for (name, export) in interface.exports(engine) {
            match export.ty {
                ComponentItem::ComponentFunc(_) => {
                    instance.func_new_async(name, |store, of, arguments, results| {
                        Box::new(answer(store, of, arguments, results))
                    })?;
                }
                ComponentItem::Resource(_) if RESOURCES.contains(&name) => {
                    instance.resource(name, ResourceType::host::<Nothing>(), |_, _| Ok(()))?;
                }
                _ => {}
            }
        }
    }
    Ok(())
}

/// A refusal; a handle of the network, with which nothing can be done, where one is asked for.
async fn answer(
    mut store: StoreContextMut<'_, CallState>,
    of: ComponentFunc,
    arguments: &[Val],
    results: &mut [Val],
) -> wasmtime::Result<()> {
    for argument in arguments {
        // What was lent for the call has to be given back.
        if let Val::Resource(lent) = argument {
            lent.resource_drop_async(&mut store).await?;
        }
    }
    let Some(result) = results.first_mut() else { return Ok(()) };
    *result = match of.results().next() {
        Some(Type::Result(result)) if is_refusal(result.err()) => {
            Val::Result(Err(Some(Box::new(Val::Enum(DENIED.to_owned())))))
        }
        Some(Type::Own(_)) => {
            let network = Resource::<Nothing>::new_own(0);
            Val::Resource(ResourceAny::try_from_resource(network, store)?)
        }
        _ => return Err(wasmtime::Error::msg("there are no sockets for plugins")),
    };
    Ok(())
}

fn is_refusal(error: Option<Type>) -> bool {
    matches!(error, Some(Type::Enum(codes)) if codes.names().any(|name| name == DENIED))
}
