#![doc = include_str!("../README.md")]
//!
//! # What is where
//!
//! One module per kind of plugin ([`label_provider`]) and one per thing the host does for plugins
//! ([`log`], [`process`]). It is compiled for `wasm32-wasip2` into a plugin, and natively so that a
//! plugin's tests run as usual; called natively, the host's functions panic, so what is tested
//! should take their results as arguments.

#[doc(hidden)]
pub mod bindings;
pub mod label_provider;
pub mod log;
pub mod process;
