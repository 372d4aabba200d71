//! The programs as users have them, and the clients users have.
//!
//! `teleport` and `tctl` run as processes of their own on loopback, each with a folder and ports of its
//! own, and are killed by number when a test ends. What is tested here is what a shell would see: nothing of
//! the product is linked, but for [`storage`], where storage plugins meet real servers.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has failed, and this crate serves tests alone"
)]

mod command;
mod daemon;
mod home;
mod http;
mod mount;
mod port;
pub mod storage;
mod world;

pub use command::{Output, PATIENCE, eventually, program, python, run, run_with, script};
pub use daemon::{Daemon, Signal};
pub use home::Home;
pub use http::get;
pub use mount::{can_mount, seeing};
pub use port::Port;
pub use world::{Ports, World, login};
