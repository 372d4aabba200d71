//! Keys and certificates, as bytes: SSH (Ed25519) and X.509 (ECDSA P-256).
//!
//! [`ssh`] and [`x509`] make and verify certificates; [`authority`] holds the private keys of a
//! certificate authority, [`bundle`] those of one host. Whether a verified certificate is *good*
//! (time, principals, options) is decided in `domain::certificate`, never here.
//!
//! Refuses to: keep keys on disk (the caller does, privately), read the clock, talk to anyone.

pub mod authority;
pub mod bundle;
mod error;
pub mod ssh;
pub mod x509;

pub use error::CertError;
