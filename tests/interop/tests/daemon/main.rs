//! The daemon from outside: how it joins, lives through outages, says how it is, and ends.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has failed"
)]

mod advice;
mod bed;
mod crowd;
mod data_dir;
mod flag;
mod http;
mod join;
mod label;
mod life;
mod life_span;
mod operate;
mod outage;
mod pair;
mod plugin;
mod program;
mod signal;
mod web;
