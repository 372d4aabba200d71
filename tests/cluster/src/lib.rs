//! Whole clusters in one process: real services, real wires, a folder of their own each.
//!
//! [`Cluster`] starts auth and proxy, [`Cluster::add_node`] a node that joins through the proxy's web
//! port with a token and a pin. [`Client`] is an SSH client that goes through the proxy, for what a
//! stock client cannot do or would do too slowly.

mod client;
mod cluster;

pub use client::{Answer, AnyServer, Client, NodeSession, answer};
pub use cluster::{Cluster, Credentials, NodeProcess, admin, session_child};
