//! Listening and dialling: TCP with limits, TLS with the cluster's own certificates, ALPN routing.
//!
//! Everything a stranger can reach goes through [`listen`] (how many connections, from where) and
//! [`gate`] (how long they may stay without proving who they are; [`severable`] ends what they hold
//! on to). [`read_ahead`] and [`stall`] keep two ends from waiting for each other. [`tls`] builds the
//! configurations, [`hello`] looks at a TLS greeting without answering it.
//!
//! Refuses to: decide who may do what, know any protocol above TLS.

pub mod alpn;
mod dial;
mod error;
pub mod gate;
pub mod hello;
pub mod listen;
pub mod patience;
pub mod preface;
pub mod prompt;
pub mod read_ahead;
pub mod renewed;
pub mod severable;
pub mod splice;
pub mod stall;
mod through;
pub mod tls;

pub use dial::{DIAL_TIMEOUT, dial};
pub use error::NetError;

/// Makes aws-lc-rs the TLS provider of this process. Call it first thing in `main`; later calls do
/// nothing.
pub fn install_crypto() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
}
