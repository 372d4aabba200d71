//! Plugins in Debian's `docker-registry`: pushed by their authors, installed by operators.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has failed"
)]

mod plugin;
mod server;
