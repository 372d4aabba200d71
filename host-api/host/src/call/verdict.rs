//! From the way a call ended to what is said about it.

use domain::plugin::Limits;
use domain::printable;
use tokio::time::error::Elapsed;

use super::{CallError, CallState, Identity, Provisions};
use crate::contract::label_provider::v1::NoValue;
use crate::limit::{Breach, CpuSpent};

/// The longest text of a plugin that is passed on, in bytes.
const TEXT_MAX: usize = 1024;

/// What wasmtime 48 says when a limit of its own is reached; it has no public types for these. The
/// hostile guests under `tests/guests` notice when a later version says it otherwise.
const HOST_CALL_SPENT: &str = "fuel allocated for hostcalls has been exhausted";
const HANDLES_SPENT: &str = "store handle limit exceeded";
const TABLE_FULL: &str = "resource table has no free keys";
const INSTANCES_SPENT: &str = "instance count too high";

/// What a call came to, in time or not.
type Ended = Result<wasmtime::Result<Result<String, NoValue>>, Elapsed>;

/// The verdict on a call that computes a label.
pub(super) fn of(state: &CallState, ended: Ended) -> Result<String, CallError> {
    match settled(state, ended)? {
        Err(failure) => Err(no_value(state, &failure)),
        Ok(value) => {
            let (size, limit) = (value.len(), state.provisions.limits.output);
            if size as u64 > limit {
                let plugin = state.provisions.identity.name.clone();
                return Err(CallError::Output { plugin, size, limit });
            }
            Ok(value)
        }
    }
}

/// What a call of any kind answered.
///
/// # Errors
/// [`CallError`] when it did not answer: it trapped, or was stopped.
pub(crate) fn settled<T>(
    state: &CallState,
    ended: Result<wasmtime::Result<T>, Elapsed>,
) -> Result<T, CallError> {
    let (plugin, limits) = (&*state.provisions.identity, &state.provisions.limits);
    match ended {
        Err(Elapsed { .. }) => {
            Err(CallError::Wall { plugin: plugin.name.clone(), limit: limits.written("wall") })
        }
        Ok(Err(error)) => Err(stopped(plugin, limits, state, error)),
        Ok(Ok(answer)) => Ok(answer),
    }
}

/// An answer of a contract whose answers have no bound of their own.
///
/// # Errors
/// [`CallError::Memory`] when it has more bytes than the plugin's limit.
pub(crate) fn too_long(provisions: &Provisions, bytes: usize) -> Result<(), CallError> {
    if bytes as u64 <= provisions.limits.output {
        return Ok(());
    }
    let (plugin, limit) = (provisions.identity.name.clone(), provisions.limits.written("output"));
    Err(CallError::Memory { plugin, what: "bytes in one answer", key: "output", limit, said: String::new() })
}

/// The plugin answered, and has no value. When it was refused something in this call, the operator
/// is told of that and not of what the plugin made of it.
fn no_value(state: &CallState, failure: &NoValue) -> CallError {
    match state.denied() {
        Some(denied) => CallError::Denied(denied.to_owned()),
        // Denied by its own account only: there is no line to add, so it is the plugin's word.
        None if failure.denied => CallError::Guest(format!("denied: {}", clean(&failure.text))),
        None => CallError::Guest(clean(&failure.text)),
    }
}

/// The plugin did not answer.
fn stopped(plugin: &Identity, limits: &Limits, state: &CallState, error: wasmtime::Error) -> CallError {
    let name = plugin.name.clone();
    let memory = |what, key| {
        let (limit, said) = (limits.written(key), last_said(state));
        CallError::Memory { plugin: name.clone(), what, key, limit, said }
    };
    if error.downcast_ref::<CpuSpent>().is_some() {
        return CallError::Cpu { plugin: name, limit: limits.written("cpu") };
    }
    match state.holdings.breach() {
        // A refused allocation that the plugin did not survive: the trap is only how it died.
        Some(Breach::Memory) => return memory("memory", "memory"),
        Some(Breach::Tables) => return memory("table elements", "tables"),
        None => {}
    }
    let text = format!("{error:#}");
    if text.contains(HOST_CALL_SPENT) {
        return memory("bytes in one host call", "host_call");
    }
    if text.contains(HANDLES_SPENT) || text.contains(TABLE_FULL) {
        return memory("handles", "handles");
    }
    if text.contains(INSTANCES_SPENT) {
        return memory("core instances", "instances");
    }
    // wasmtime's context ("error while executing at …") says nothing to an operator where there is
    // a root.
    trap(plugin, state, &error.root_cause().to_string())
}

fn trap(plugin: &Identity, state: &CallState, reason: &str) -> CallError {
    let reason = format!("{}{}", clean(reason), last_said(state));
    CallError::Trap { plugin: plugin.name.clone(), version: plugin.version.clone(), reason }
}

fn last_said(state: &CallState) -> String {
    state.log.last_errors().map(|lines| format!("; it last said: {}", clean(&lines))).unwrap_or_default()
}

/// A plugin's own text, as a log may show it.
pub(crate) fn clean(text: &str) -> String {
    printable::escape(printable::clip(text.trim(), TEXT_MAX)).into_owned()
}
