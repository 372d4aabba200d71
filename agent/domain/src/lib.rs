//! Nouns and decisions of the access platform.
//!
//! Everything here is a value or a pure function of values: no I/O, no async, no clock, no
//! randomness. Time and randomness come in as arguments, so every rule can be tested by itself.
//! Every other room may import this one; this one imports none.
//!
//! Entry points: [`access`] (who may do what), [`certificate`] (what a certificate must say and
//! when it is good), [`route`] (which node a client means), [`resource`] (records operators read
//! and write), [`audit`] (what is written down).

pub mod access;
pub mod address;
pub mod audit;
pub mod authority;
pub mod backoff;
pub mod certificate;
pub mod duration;
pub mod health;
pub mod identity;
pub mod label;
pub mod lock;
pub mod name;
pub mod node;
pub mod pattern;
pub mod plugin;
pub mod printable;
pub mod query;
pub mod resource;
pub mod role;
pub mod route;
pub mod secret;
pub mod server;
pub mod token;
pub mod traits;
pub mod user;

pub use jiff::Timestamp;
