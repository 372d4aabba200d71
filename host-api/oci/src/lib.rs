//! Plugins in OCI registries, in the layout of the CNCF's Wasm working group: a manifest with the
//! configuration `application/vnd.wasm.config.v0+json` and one layer `application/wasm`; the publisher's
//! signature is a second layer of our own type, since not every registry keeps referrers.
//!
//! Called by `tctl plugins install` and `teleport plugin push`, never by the daemon: what runs was put on
//! disk by somebody. [`pull`] gives back bytes whose digests hold, and judges nothing else about them.
//! It refuses indexes, other media types, further layers and layers that are too large, and speaks plain
//! HTTP only with this machine, or where that was asked for.

mod advice;
mod artifact;
mod credential;
mod error;
mod fetch;
mod place;

pub use artifact::{Artifact, LAYER_MAX, Upload, pull, push};
pub use credential::Credentials;
pub use error::OciError;
pub use place::{Place, SCHEME};
