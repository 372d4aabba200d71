//! The DynamoDB plugin against a server that keeps DynamoDB's rules: the suite every store must pass, and
//! what goes wrong between.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod backend;
mod daemon;
mod direct;
mod fault;
mod hosted;
mod native;
mod server;
mod setting;
mod suite;
