//! The library under `tctl`, `tsh` and every service that speaks to the auth server.
//!
//! [`auth`] is the auth server's API with the domain's types; [`connect`] makes the connection (over
//! several addresses, directly or through a proxy's web port); [`view`] keeps a copy of the cluster
//! fresh by watching; [`join`] turns a token into an identity; [`control`] asks the daemon of this host.

pub mod auth;
pub mod connect;
pub mod control;
mod error;
pub mod find;
pub mod join;
pub mod view;

pub use auth::AuthClient;
pub use connect::AuthEndpoint;
pub use error::ClientError;
