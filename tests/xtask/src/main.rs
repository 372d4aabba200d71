//! `cargo xtask`: the project's own commands.
//!
//! `up` shows a cluster at work, `test` runs every test, `bench` measures. Each installs what it needs
//! and is missing. Developers and CI call it; it knows the product only by its programs, never by its
//! crates, so that it is built in seconds and does not break with them.

mod bench;
mod debian;
mod failure;
mod guard;
mod interrupt;
mod node;
mod place;
mod python;
mod run;
mod say;
mod test;
mod tool;
mod up;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::failure::Failure;
use crate::interrupt::Interrupts;
use crate::place::Place;
use crate::run::Runner;

/// The project's own commands.
#[derive(Debug, Parser)]
#[command(name = "xtask", bin_name = "cargo xtask", arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Build, start a cluster with one node behind its proxy, show that it works, stay up until Ctrl-C.
    Up(up::Arguments),
    /// Install what the tests need and run all of them.
    Test(test::Arguments),
    /// Build the release and measure it beside its peers.
    Bench(bench::Arguments),
    /// Become a program that ends when the program that started it is gone.
    #[command(hide = true)]
    Guard(guard::Arguments),
}

fn main() -> ExitCode {
    match run(Arguments::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            say::note(failure.to_string().trim_end());
            failure.exit_code()
        }
    }
}

fn run(command: Command) -> Result<(), Failure> {
    if let Command::Guard(arguments) = command {
        return Err(guard::run(&arguments));
    }
    let interrupts = Interrupts::take()?;
    let place = Place::find()?;
    let runner = Runner::new(&interrupts, &place)?;
    match command {
        Command::Up(arguments) => up::run(&arguments, &runner),
        Command::Test(arguments) => test::run(&arguments, &runner),
        Command::Bench(arguments) => bench::run(&arguments, &runner),
        Command::Guard(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Arguments::command().debug_assert();
    }
}
