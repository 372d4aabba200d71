//! In-memory twins of the ports, for tests.
//!
//! One twin per port, each thread-safe, deterministic, and with switches that make it fail: a
//! service is only as good as what it does when the outside fails. None of them touches disk,
//! network, the machine's clock or its generator. They are development dependencies; no program
//! contains them.
//!
//! The store has no twin here: `storage` has one in memory that keeps every promise of the port.
//! [`FaultyStore`] wraps it, or any other store, and breaks what it is told to; [`FakeBackend`] is a
//! storage backend over it that can break and lie.

mod audit;
mod backend;
mod clock;
mod cluster;
mod dial;
mod fault;
mod host_user;
mod label;
mod random;
mod store;

pub use audit::FakeAudit;
pub use backend::FakeBackend;
pub use clock::FakeClock;
pub use cluster::FakeView;
pub use dial::{Dialled, FakeDial, Refusal};
pub use host_user::FakeUsers;
pub use label::FakeLabels;
pub use random::FakeRandom;
pub use store::FaultyStore;
