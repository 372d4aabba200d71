//! The etcd plugin against real etcd servers: its own code run natively, where clocks can be moved and
//! members lost, and the component in the plugin host, where both must fit together.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod backend;
mod cluster;
mod direct;
mod forgetful;
mod hosted;
mod native;
mod server;
mod suite;
mod time;
