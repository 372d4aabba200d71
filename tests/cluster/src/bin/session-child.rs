//! What a cluster in a test starts for its sessions and compilations, as `teleport` starts itself.

use std::process::ExitCode;

fn main() -> ExitCode {
    process::child::main_if_child().unwrap_or(ExitCode::FAILURE)
}
