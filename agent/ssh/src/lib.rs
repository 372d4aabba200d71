//! What the services that speak SSH share: algorithms, the configuration of servers and clients, the
//! check of certificates, and bytes that flow without holding each other up.
//!
//! russh speaks the protocol. It proves that a peer *holds* a key and nothing more, so whom a
//! certificate stands for is decided here ([`user`], [`host`]) with the rules of `domain`, and every
//! default of russh that lets something through is overridden by the services.
//!
//! Refuses to: accept plain keys or passwords, decide about nodes and logins (see `domain::access`).

pub mod ahead;
pub mod algorithm;
mod config;
pub mod entrance;
pub mod host;
pub mod offer;
pub mod refuse;
pub mod serve;
pub mod user;

pub use config::{ServerSettings, client_config, server_config, tunnel_server_config};
