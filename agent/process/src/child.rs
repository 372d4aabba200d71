//! The other lives of this program: the daemon starts it again to become a user's session, to serve
//! files as a user, and to compile plugins.

use std::process::ExitCode;

use sys::child::Builtin;

/// What sessions may run of this program, by name.
const BUILTINS: &[Builtin] = &[("sftp", node_service::sftp::child_main)];

/// Lives another life and returns its exit code, if this process was started for one. Must be the
/// first call of `main`.
pub fn main_if_child() -> Option<ExitCode> {
    if let Some(code) = sys::child::main_if_child(BUILTINS) {
        return Some(code);
    }
    let mut arguments = std::env::args_os().skip(1);
    (arguments.next()? == plugin_host::compile::CHILD_ARGUMENT)
        .then(|| plugin_host::compile::child_main(arguments))
}
