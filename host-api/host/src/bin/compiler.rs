//! The compiler child as a program of its own: what `teleport` becomes when it is started with the
//! hidden first argument. For the tests of this crate, which have no `teleport` to start.

use std::process::ExitCode;

fn main() -> ExitCode {
    plugin_host::compile::child_main(std::env::args_os().skip(1))
}
