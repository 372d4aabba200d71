//! The SFTP server: version 3 of the protocol, as OpenSSH's clients speak it.
//!
//! It runs in a process of its own that is the user's already (`sys::child`), between the client's
//! channel on standard input and output; what it may do is what the system lets that user do. It knows
//! nothing of SSH, certificates or roles. What it does is reported to the daemon, line by line, before
//! the client is told that it was done; a daemon that does not listen stops it.
//!
//! The wire format is that of draft-ietf-secsh-filexfer-02 with the extensions of OpenSSH's
//! `PROTOCOL` file. The packet loop is our own, without a runtime: one thread reads what is there,
//! answers all of it, and writes the answers at once. A packet is at most 256 KiB; a longer one, or
//! anything before the first packet, ends the session.
//!
//! Called by the daemon's `main`, through the list it hands to `sys::child::main_if_child`.

mod attributes;
mod extension;
mod folder;
mod frames;
mod handle;
mod operation;
mod report;
mod request;
mod serve;
mod server;
mod status;
mod wire;

use std::io::Write;
use std::os::fd::AsFd;
use std::process::ExitCode;

use report::Report;
use server::Server;

/// The name under which the daemon starts this.
pub const BUILTIN: &str = "sftp";

/// As much as is on its way in each direction, in bytes. The default would make a large transfer wait
/// for the daemon after every second packet.
const PIPE_SIZE: usize = 256 * 1024;

/// Serves the client on standard input and output until it closes. Call in a process of the user's,
/// in their home folder.
pub fn child_main() -> ExitCode {
    let (input, output) = (std::io::stdin(), std::io::stdout());
    for end in [input.as_fd(), output.as_fd()] {
        // It may be a socket, or the user may have no more pipe memory: slower, that is all.
        _ = rustix::pipe::fcntl_setpipe_size(end, PIPE_SIZE);
    }
    let mut server = Server::new(Report::new(sys::child::take_report()));
    match serve::serve(&mut server, &input, &output) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // The client shows this to the person who uses it; when it is gone, nobody misses it.
            _ = writeln!(std::io::stderr(), "sftp: {}", ssh::refuse::chain(&error));
            ExitCode::FAILURE
        }
    }
}
