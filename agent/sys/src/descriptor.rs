//! Descriptors the runtime watches.

#![allow(unsafe_code, reason = "the runtime asks for a promise about who owns a descriptor")]

use std::io;
use std::os::fd::OwnedFd;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Lets the runtime watch a descriptor. It must not block, and there must be a runtime.
pub(crate) fn watch(descriptor: OwnedFd, interest: Interest) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an `OwnedFd` is open until it is dropped, and nobody can take it out of the result but
    // by unregistering it.
    Ok(unsafe { AsyncFd::register_with_interest(descriptor, interest) }?)
}
