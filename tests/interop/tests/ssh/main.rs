//! Stock clients of SSH against the programs: OpenSSH, asyncssh and paramiko.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has failed"
)]

mod bed;
mod certificate;
mod copy;
mod forged;
mod forward;
mod identity;
mod library;
mod refusal;
mod route;
mod session;
mod terminal;
