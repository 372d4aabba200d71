//! Whole clusters in one process: real services, real wires, a folder of their own each.
//!
//! [`Cluster`] starts auth and proxy, [`Cluster::add_node`] a node that joins through the proxy's web
//! port with a token and a pin. [`Client`] is an SSH client that goes through the proxy, for what a
//! stock client cannot do or would do too slowly. [`raw`] is one that says what no honest client says,
//! [`forge`] makes certificates that no auth server makes.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has failed, and this crate serves tests alone"
)]

pub mod channel;
mod client;
mod clock;
mod cluster;
pub mod forge;
pub mod raw;
mod until;
pub mod wire;

pub use client::{Answer, AnyServer, Client, NodeSession, answer};
pub use clock::ShiftedClock;
pub use cluster::{Cluster, Credentials, HostProcess, admin, chain, session_child, try_start};
pub use until::until;
