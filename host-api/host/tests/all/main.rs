//! The plugin host from the outside: real components, compiled by the real child, called through
//! the real loader. The guests are in `tests/guests`.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test stops where something is wrong"
)]

mod alone;
mod backend;
mod bed;
mod carried;
mod compiler;
mod crooked;
mod hostile;
mod http;
mod http_refusal;
mod isolation;
mod limit;
mod loading;
mod made;
mod place;
mod quarantine;
mod reload;
mod sending;
mod serving;
mod signature;
mod tutorial;
