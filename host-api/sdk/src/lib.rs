#![doc = include_str!("../README.md")]
//!
//! # What is where
//!
//! One module per kind of plugin ([`label_provider`], [`storage_backend`]) and one per thing the host does
//! for plugins ([`clock`], [`config`], [`http`], [`kv`], [`log`], [`process`], [`random`],
//! [`secrets`]). It is compiled for `wasm32-wasip2` into a plugin, and natively so that a plugin's tests run as usual; called natively, the host's functions panic, so what is tested
//! should take their results as arguments.

#[doc(hidden)]
pub mod bindings;
pub mod clock;
pub mod config;
#[cfg(all(feature = "heap", any(target_arch = "wasm32", test)))]
mod heap;
pub mod http;
pub mod kv;
pub mod label_provider;
pub mod log;
pub mod process;
pub mod random;
pub mod secrets;
pub mod storage_backend;
