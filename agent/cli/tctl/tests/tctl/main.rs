//! The real `tctl` against a real auth server on loopback: what it prints, what it refuses, what it
//! exits with.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

mod cluster;

mod certificates;
mod editing;
mod hosts;
mod persons;
mod resources;
mod whereabouts;
