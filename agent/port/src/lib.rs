//! What the platform asks of the outside world, as traits.
//!
//! Services are written against these; `process` hands them the real things, tests the twins from
//! `teleport-fake`. A trait here says what the caller may rely on (durability, order, limits), so
//! that every implementation can be held to it.

pub mod audit;
pub mod backend;
pub mod clock;
pub mod cluster;
pub mod dial;
pub mod host_user;
pub mod label;
pub mod presence;
pub mod random;
pub mod store;
pub mod stream;
