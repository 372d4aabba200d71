//! Whole clusters: what honest clients get, and what hostile ones do not.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has failed"
)]

mod age;
mod certificate;
mod channel;
mod claim;
mod crowd;
mod drain;
mod first_path;
mod garbage;
mod kill;
mod link;
mod lost_answer;
mod protocol;
mod proxies;
mod proxy;
mod rpc;
mod stream;
mod trace;
