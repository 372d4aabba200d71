//! The house rules, executed: what every test of this crate looks at.
//!
//! Reads the sources and `cargo metadata`; builds nothing and runs nothing else. The rules and their
//! exceptions are in `tests/all`, one file per topic; each exception has a reason, and one that is no
//! longer needed fails as a broken rule does.

mod code;
mod tree;
mod workspace;

pub use code::{code_of, words};
pub use tree::{File, files, root};
pub use workspace::{Crate, crates};
