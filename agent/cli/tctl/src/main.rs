//! `tctl`, the admin tool of a cluster: users, roles, tokens, nodes, certificates; and of the plugins of a
//! host.
//!
//! It runs on the auth server's host, speaks to the auth server over gRPC and mutual TLS, and is
//! whoever can read the identity the auth server leaves in its data folder. It refuses to: touch the
//! store, hold a key of an authority, or go on with a guess about which cluster is meant.
//!
//! One command, one file under [`command`]; [`context`] is what every command gets, [`place`] finds
//! the auth server, [`document`], [`record`] and [`listing`] read and show resources.

mod arguments;
mod command;
mod context;
mod credential;
mod demotion;
mod document;
mod document_error;
mod invite;
mod listing;
mod place;
mod record;
mod reference;
mod shell;

use std::io::{self, Write};
use std::process::ExitCode;

use terminal::{Failure, Printer, Screen};

use crate::arguments::Arguments;
use crate::context::Context;

fn main() -> ExitCode {
    // Started again by itself to look into a plugin's file.
    let mut given = std::env::args_os().skip(1);
    if given.next().is_some_and(|first| first == plugin_host::compile::CHILD_ARGUMENT) {
        return plugin_host::compile::child_main(given);
    }
    let (mut out, mut err) = (io::BufWriter::new(io::stdout()), io::stderr());
    let arguments = match terminal::parse::<Arguments>(std::env::args_os(), &mut out, &mut err) {
        Ok(arguments) => arguments,
        Err(code) => {
            // Should standard output be gone, the exit code is all that is left to tell.
            let _ = out.flush();
            return code;
        }
    };
    let outcome = run(arguments, &mut out, &mut err);
    terminal::finish(outcome, &mut err)
}

fn run(arguments: Arguments, out: &mut dyn Write, err: &mut dyn Write) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let printer = Printer::new(out, Screen::of(&io::stdout()));
    let mut context = Context::new(printer, err, arguments.place);
    let outcome = runtime.block_on(arguments.command.run(&mut context));
    // What was printed before a failure is true all the same.
    let flushed = context.printer.flush();
    outcome?;
    Ok(flushed?)
}
