//! The programs as a shell sees them: arguments and files in; output, files and exit codes out. Nothing
//! of the product is linked.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

mod desk;
mod plugin;
mod plugin_author;
mod plugin_install;
mod plugin_limits;
mod plugin_minisign;
mod plugin_outside;
mod plugin_tutorial;
mod program;
