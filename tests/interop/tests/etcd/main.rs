//! The etcd plugin's own code against real etcd servers, run natively: what is tested here is how it
//! speaks with etcd. That the component and the host do the same is tested where plugins are hosted.

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
mod native;
mod server;
mod suite;
