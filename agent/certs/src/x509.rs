//! X.509 keys and certificates: ECDSA P-256, signed by the cluster's own authorities.
//!
//! Who a certificate stands for is written as JSON in one extension of our own; the DNS name says
//! which role serves behind it, so that TLS clients check the role by checking the name.

use domain::identity::SystemRole;

mod authority;
mod identity;
mod issue;
mod key;
mod pin;
mod web;

pub use authority::Authority;
pub use identity::{WEB_NAME, expiry_of, identity_of, serial_of};
pub use issue::{Leaf, check_public_key, issue};
pub use key::KeyPair;
pub use pin::{Pin, PinError};
pub use web::{SelfSigned, self_signed};

/// The DNS name that only certificates of this role carry: what a TLS client asks for.
pub fn server_name(role: SystemRole) -> String {
    format!("{}.teleport.internal", role.as_str().replace('_', "-"))
}

#[cfg(test)]
mod tests;
