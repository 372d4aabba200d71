//! The one unsafe step of this crate: running machine code from a file.
//!
//! Compiled plugins are native code, and wasmtime cannot check that a file holds what its compiler
//! made. This module takes only an [`Artifact`], which nothing but the cache can make, after it has
//! checked that file and folder belong to this user alone and that the file is, byte for byte, what
//! this machine's compiler wrote (HMAC-SHA256 under a key of this machine).

#![allow(unsafe_code, reason = "loading compiled code is unsafe by contract; the proof is the Artifact")]

use wasmtime::Engine;
use wasmtime::component::Component;

use crate::cache::Artifact;

/// Maps compiled code into memory: pages are shared with the page cache and read when first run.
///
/// # Errors
/// wasmtime's, when the code was made for other settings or another processor.
pub(super) fn map(engine: &Engine, artifact: &Artifact) -> wasmtime::Result<Component> {
    // SAFETY: `deserialize_file` wants bytes that `precompile_component` made and that do not
    // change while they are mapped. An `Artifact` exists only for a file whose MAC the cache has
    // verified, in a folder of mode 0700 owned by this user; the cache replaces files by renaming
    // over them and never writes into one.
    unsafe { Component::deserialize_file(engine, artifact.path()) }
}
