//! The SFTP server by itself, as whoever starts it: `sftp -D target/debug/examples/sftp-server`.
//!
//! It starts as the daemon does, so sessions can be made with it too.

use std::process::ExitCode;

use teleport_service_node::sftp;

fn main() -> ExitCode {
    sys::child::main_if_child(&[(sftp::BUILTIN, sftp::child_main)]).unwrap_or_else(sftp::child_main)
}
