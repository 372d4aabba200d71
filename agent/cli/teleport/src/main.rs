//! `teleport`, the daemon.
//!
//! Thin: reads the command line and hands over to `process`. The first thing it does is to ask whether
//! it was started for one of its other lives.

mod arguments;
mod command;

use std::io::Write;
use std::process::ExitCode;

use arguments::{Arguments, Command};

fn main() -> ExitCode {
    if let Some(code) = process::child::main_if_child() {
        return code;
    }
    sys::process::keep_heap_small();
    let (mut out, mut err) = (std::io::stdout(), std::io::stderr());
    let arguments = match terminal::parse::<Arguments>(std::env::args_os(), &mut out, &mut err) {
        Ok(arguments) => arguments,
        Err(code) => return code,
    };
    let outcome = run(arguments, &mut out);
    terminal::finish(outcome, &mut err)
}

fn run(arguments: Arguments, out: &mut dyn Write) -> Result<(), terminal::Failure> {
    match arguments.command {
        Command::Start(arguments) => command::start::run(*arguments),
        Command::Configure(arguments) => command::configure::run(*arguments, out),
        Command::Plugin(arguments) => command::plugin::run(arguments, out),
        Command::Version(arguments) => command::version::run(&arguments, out),
        Command::Status => command::status::run(out),
    }
}
