//! Lines in the daemon's log. The host bounds their length, number and rate, and drops what is over.

use crate::bindings::teleport::host::log::{self as wire, Level};

/// A line for the plugin's author.
pub fn debug(message: &str) {
    wire::write(Level::Debug, message);
}

/// A line an operator may want to date.
pub fn info(message: &str) {
    wire::write(Level::Info, message);
}

/// A line an operator should look at.
pub fn warn(message: &str) {
    wire::write(Level::Warn, message);
}

/// A line about what keeps the plugin from its work.
pub fn error(message: &str) {
    wire::write(Level::Error, message);
}
