//! What the tests of all storage plugins share: the suite's clock, a plugin's own code as a backend of the
//! store, and the component in the plugin host.
//!
//! What differs between plugins stays with their tests: the server, the world outside the code that runs
//! natively, and the settings. A further storage plugin brings those three.

mod clock;
mod guest;
mod hosted;

pub use clock::{MovedClock, Time, remote};
pub use guest::Guests;
pub use hosted::{backend, heard, key, open, wait};
